// The real gateway binary as a test runs it: a folder of its own with keys, certificates, settings
// and database; started, killed and started again on the same files.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Program } from '../../conformance/lib/program.mjs';
import { buildFolder } from '../../conformance/lib/sim.mjs';

export const kIntegrator = 7;
export const kIssuer = 'https://provider.example';

export function binary(name) { return path.join(buildFolder(), 'gateway', name); }
export function gwctl() { return path.join(buildFolder(), 'gateway/gwctl/gwctl'); }

// Signed by the test itself, not by our identity room: a check of the room's verifier as well.
export function signToken(jwk, { issuer = kIssuer, user, lifetime = 600, claims = {} }) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({ alg: 'ES256', typ: 'JWT', kid: jwk.kid })}.${part({
    iss: issuer, sub: user, aud: 'whatsapp', iat: now, exp: now + lifetime, jti: randomUUID(), ...claims })}`;
  const signature = sign('sha256', Buffer.from(head), { key: jwk.key, dsaEncoding: 'ieee-p1363' });
  return `${head}.${signature.toString('base64url')}`;
}

export class Gateway {
  // {sim, binary?, prefix?: a command that starts it, limits?: {name: text}, whatsapp?: YAML in that
  // section, port?: of WhatsApp, extra?: YAML at the end, rootKey?, args?, env?, postgres?: a Postgres, commands?: true for
  // faulty_gateway, which obeys tell()}
  constructor(options) {
    this.options = options;
    this.dir = options.dir ?? mkdtempSync(path.join(tmpdir(), 'gateway-'));
    this.starts = 0;
  }

  // Keys, certificates and settings; once.
  prepare() {
    const run = (...args) => execFileSync(gwctl(), args, { cwd: this.dir, stdio: ['ignore', 'ignore', 'inherit'] });
    run('dev', 'keys', '--out', path.join(this.dir, 'keys'));
    run('dev', 'certs', '--out', path.join(this.dir, 'certs'), '--provider', 'birdy', '--provider', 'other');
    const jwks = JSON.parse(readFileSync(path.join(this.dir, 'keys/jwks.json')));
    this.jwks = jwks;
    this.jwk = { kid: jwks.keys[0].kid, key: createPrivateKey(readFileSync(path.join(this.dir, 'keys/signing_key.pem'))) };
    this.writeSettings();
  }

  writeSettings(changes = {}) {
    const { sim } = this.options;
    const limits = { ...this.options.limits, ...changes.limits };
    this.config = path.join(this.dir, 'gateway.yaml');
    writeFileSync(this.config, `
listen:
  api: 127.0.0.1:${this.apiPort ?? 0}
  tls:
    certificate: certs/server.pem
    key: certs/server.key
    client_ca: certs/ca.pem
operator:
  listen: 127.0.0.1:0
store:
${this.options.postgres ? `  kind: postgres\n  uri: ${this.options.postgres.uri(this.database)}` : '  kind: sqlite\n  path: gateway.db'}
keys:
  key_encryption_key_file: keys/key_encryption_key
whatsapp:
  host: 127.0.0.1
  port: ${this.options.port ?? sim.tcpPort}
  root_key: ${this.options.rootKey ?? sim.rootKey}
${this.options.whatsapp ?? ''}
${Object.keys(limits).length ? 'limits:\n' + Object.entries(limits).map(([k, v]) => `  ${k}: ${v}\n`).join('') : ''}
providers:
  - id: birdy
    integrator: ${kIntegrator}
    issuer: ${kIssuer}
    trust_level: IN_GATEWAY
    adapter: native
  - id: other
    integrator: 8
    issuer: https://other.example
    trust_level: IN_GATEWAY
    adapter: native
${changes.extra ?? this.options.extra ?? ''}
`);
  }

  async start() {
    if (!this.config) this.prepare();
    const log = openSync(path.join(this.dir, 'gateway.log'), 'a');
    const [command, ...args] = this.command(...(this.options.args ?? []));
    const child = this.child = spawn(command, args,
      { stdio: [this.options.commands ? 'pipe' : 'ignore', 'pipe', log], env: { ...process.env, ...this.options.env } });
    closeSync(log);
    this.lines = createInterface({ input: child.stdout });
    const program = this.program = new Program('the gateway', child, () => this.log().slice(-2000));
    const line = await Promise.race([
      once(this.lines, 'line').then(([text]) => text),
      program.gone.then(([code, signal]) => {
        throw new Error(`the gateway ended with ${code ?? signal}: ${this.log().slice(-2000)}`);
      }),
    ]);
    program.detach();
    const ready = JSON.parse(line);
    this.apiPort = Number(ready.api.split(':').pop());  // the same one at the next start
    this.operator = `http://${ready.operator}`;
    if (++this.starts === 1) this.writeSettings();
    return this;
  }

  // A command to faulty_gateway, one at a time.
  async tell(command) {
    const answer = once(this.lines, 'line');
    this.child.stdin.write(`${command}\n`);
    const [line] = await answer;
    assert.deepEqual(JSON.parse(line), { done: true }, command);
  }

  // Where it must not start, or only checks: {code, stdout, stderr} of its end.
  run(...args) {
    const [command, ...rest] = this.command(...args);
    return new Promise((resolve) => execFile(command, rest, { timeout: 20_000 },
      (error, stdout, stderr) => resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr })));
  }

  command(...args) {
    const { prefix = [], binary: program = binary('interop-gateway') } = this.options;
    return [...prefix, program, '--config', this.config, ...args];
  }

  get database() { return path.basename(this.dir); }  // on options.postgres

  log() { return readFileSync(path.join(this.dir, 'gateway.log'), 'utf8'); }
  get target() { return `127.0.0.1:${this.apiPort}`; }

  files(provider = 'birdy') {
    const at = (name) => path.join(this.dir, 'certs', name);
    return { ca: at('ca.pem'), certificate: at(`${provider}.pem`), key: at(`${provider}.key`) };
  }
  token(user, options = {}) { return signToken(this.jwk, { user, ...options }); }

  async metric(name, labels = '') {
    const text = await (await fetch(`${this.operator}/metrics`)).text();
    const line = text.split('\n').find((l) => l.startsWith(`${name}${labels} `));
    return line === undefined ? undefined : Number(line.split(' ').pop());
  }

  // SIGTERM and SIGINT have to lead to exit code 0, without a report of a sanitizer; one that ended by
  // itself before crashed. Resolves with [code, signal].
  async end(signal = 'SIGTERM') {
    if (!this.program) return undefined;
    const ended = await this.program.end(signal);
    assert.doesNotMatch(this.log(), /ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: runtime error: /);
    return ended;
  }
  kill() { return this.end('SIGKILL'); }
}
