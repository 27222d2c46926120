// Starts the simulator as a process of its own and speaks to its control API.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Program } from './program.mjs';

const kRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

// GW_BUILD: the build folder, absolute or below the repository; build/release without it.
export function buildFolder() {
  return path.resolve(kRoot, process.env.GW_BUILD ?? 'build/release');
}

export class Simulator {
  // {args: [...]}: further command line arguments.
  static async start({ args = [] } = {}) {
    const binary = path.join(buildFolder(), 'tests/whatsapp_sim/whatsapp_sim');
    if (!existsSync(binary)) {
      throw new Error(`no simulator at ${binary}: build whatsapp_sim, or set GW_BUILD`);
    }
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const program = new Program('the simulator', child, () => 'see its output above');
    const lines = createInterface({ input: child.stdout });
    const first = await Promise.race([
      once(lines, 'line').then(([line]) => line),
      program.gone.then(([code, signal]) => {
        throw new Error(`the simulator ended with ${code ?? signal}`);
      }),
    ]);
    program.detach();
    return new Simulator(program, JSON.parse(first));
  }

  constructor(program, ready) {
    this.program = program;
    this.tcpPort = ready.tcp_port;
    this.wsPort = ready.ws_port;
    this.httpPort = ready.http_port;
    this.rootKey = ready.root_key;
  }

  async api(method, path, body) {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer.error}`);
    return answer;
  }

  addAccount(account) { return this.api('POST', '/accounts', account); }
  addPhone(phone) { return this.addAccount({ ...phone, simulated: true }); }
  addProvider(provider) { return this.api('POST', '/providers', provider); }
  addFault(fault) { return this.api('POST', '/faults', fault); }
  clearFaults() { return this.api('DELETE', '/faults'); }
  accounts() { return this.api('GET', '/accounts'); }
  interop() { return this.api('GET', '/interop'); }
  stats() { return this.api('GET', '/stats'); }
  async violations() { return (await this.api('GET', '/violations')).violations; }
  async send(number, to, text) {
    return (await this.api('POST', `/phones/${number}/send`, { to, text })).id;
  }
  outbox(number) { return this.api('GET', `/phones/${number}/outbox`); }
  async inbox(number, { after = 0, waitMs = 0 } = {}) {
    const path = `/phones/${number}/inbox?after=${after}&wait_ms=${waitMs}`;
    return (await this.api('GET', path)).messages;
  }

  // Waits until the phone's inbox satisfies the predicate; returns the inbox.
  async waitForInbox(number, predicate, deadlineMs = 20_000) {
    const end = Date.now() + deadlineMs;
    for (let seen = 0; ;) {
      const all = await this.inbox(number);
      if (predicate(all)) return all;
      const left = end - Date.now();
      if (left <= 0) throw new Error(`inbox of ${number}: not within ${deadlineMs} ms`);
      seen = all.length;
      await this.inbox(number, { after: seen, waitMs: left });
    }
  }

  // Fails when it crashed, or ends with anything but 0.
  async stop() { await this.program.end(); }
}
