// One of our parties, behind signal_tool.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const build = resolve(root, process.env.GW_BUILD ?? 'build/release');

export class Tool {
  constructor() {
    const path = resolve(build, 'tests/conformance/signal/signal_tool');
    if (!existsSync(path)) throw new Error('build the target signal_tool first (GW_BUILD)');
    this.child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    createInterface({ input: this.child.stdout }).on('line', (line) =>
      this.waiting.shift().done(JSON.parse(line)));
    this.child.on('exit', () => {
      for (const { failed } of this.waiting.splice(0)) failed(new Error('signal_tool ended'));
    });
  }

  ask(request) {
    return new Promise((done, failed) => {
      this.waiting.push({ done, failed });
      this.child.stdin.write(JSON.stringify(request) + '\n');
    });
  }

  async close() {
    const ended = once(this.child, 'exit');
    this.child.stdin.end();
    await ended;
  }
}

const base64 = (octets) => Buffer.from(octets).toString('base64');
const octets = (text) => Buffer.from(text, 'base64');

export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export class OurParty {
  constructor(tool, name) {
    this.tool = tool;
    this.name = name;
  }

  async ask(op, more = {}) {
    const answer = await this.tool.ask({ op, who: this.name, ...more });
    if (answer.error !== undefined) throw new Refused(answer.error);
    return answer;
  }

  async keys() {
    const answer = await this.ask('init');
    return {
      identity: octets(answer.identity),
      secret: octets(answer.secret),
      registrationId: answer.registration_id,
    };
  }

  // Keys without their type octet.
  async bundle(oneTime) {
    const answer = await this.ask('bundle', { one_time: oneTime });
    return {
      registrationId: answer.registration_id,
      identity: octets(answer.identity),
      signedPreKeyId: answer.signed_prekey_id,
      signedPreKey: octets(answer.signed_prekey),
      signature: octets(answer.signature),
      oneTimeId: answer.one_time_id,
      oneTime: answer.one_time && octets(answer.one_time),
    };
  }

  start(remote, bundle) {
    const out = {
      registration_id: bundle.registrationId,
      identity: base64(bundle.identity),
      signed_prekey_id: bundle.signedPreKeyId,
      signed_prekey: base64(bundle.signedPreKey),
      signature: base64(bundle.signature),
    };
    if (bundle.oneTime) {
      out.one_time_id = bundle.oneTimeId;
      out.one_time = base64(bundle.oneTime);
    }
    return this.ask('start', { with: remote, bundle: out });
  }

  async encrypt(remote, plaintext) {
    const answer = await this.ask('encrypt', { with: remote, plaintext: base64(plaintext) });
    return { type: answer.type, ciphertext: octets(answer.ciphertext) };
  }

  async decrypt(remote, { type, ciphertext }) {
    const answer = await this.ask('decrypt', { with: remote, type, ciphertext: base64(ciphertext) });
    this.lastSpent = answer.spent_prekey;
    return octets(answer.plaintext);
  }

  // True when this ciphertext is refused as used before.
  refusesAsDuplicate(remote, message) {
    return this.decrypt(remote, message).then(
      () => false,
      (error) => error.reason === 'SIGNAL_DUPLICATE',
    );
  }

  async record(remote) {
    return octets((await this.ask('record', { with: remote })).record);
  }

  async safetyNumber(remote, identity) {
    return (await this.ask('safety_number', { with: remote, identity: base64(identity) })).digits;
  }
}
