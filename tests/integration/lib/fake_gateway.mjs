// A gateway as the library for backends sees it: answers what it is told to, remembers every frame, and breaks when a
// test wants it to. As in ../../unit/backend_client.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Changes } from '../../conformance/lib/waiting.mjs';
import { gwctl } from './gateway.mjs';

const proto = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../proto');
const { GatewayService } = grpc.loadPackageDefinition(protoLoader.loadSync('interop/gateway/v1/gateway.proto',
  { includeDirs: [proto], keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true })).interop.gateway.v1;

// Files of certificates as the library takes them, and the server's.
export function certificates() {
  const dir = mkdtempSync(path.join(tmpdir(), 'fake-gateway-'));
  execFileSync(gwctl(), ['dev', 'certs', '--out', dir, '--provider', 'birdy'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const at = (name) => path.join(dir, name);
  return { ca: at('ca.pem'), certificate: at('birdy.pem'), key: at('birdy.key'), serverName: 'localhost',
    server: { private_key: readFileSync(at('server.key')), cert_chain: readFileSync(at('server.pem')) } };
}

export const accepted = ({ userId, requestId }) => ({ userId, requestId, accepted: { messageId: `id-of-${requestId}`, state: 'MESSAGE_STATE_READY' } });
export const refused = ({ userId, requestId }, reason, retryMs) => ({ userId, requestId,
  error: { reason, ...(retryMs === undefined ? {} : { retryAfter: { seconds: 0, nanos: retryMs * 1e6 } }) } });

export class FakeGateway {
  static async start(server) {
    const self = new FakeGateway();
    self.server = new grpc.Server();
    self.server.addService(GatewayService.service, { connect: (stream) => self.connect(stream) });
    const port = await new Promise((resolve, reject) => self.server.bindAsync('127.0.0.1:0',
      grpc.ServerCredentials.createSsl(null, [server]), (error, bound) => error ? reject(error) : resolve(bound)));
    self.endpoint = `127.0.0.1:${port}`;
    return self;
  }

  constructor() {
    this.frames = [];
    this.changes = new Changes();
    this.submitWindow = 100;
    this.onSubmit = accepted;  // or undefined: no answer
    this.onAttach = ({ userId, resumeSeq }) => ({ attached: { userId, ackedSeq: resumeSeq } });
  }

  connect(stream) {
    if (this.isDown) return void stream.emit('error', { code: grpc.status.UNAVAILABLE, details: 'down' });
    this.stream = stream;
    stream.on('data', (frame) => {
      this.frames.push(frame);
      this.answer(frame);
      this.changes.happened();
    });
    stream.on('error', () => {});
    stream.on('end', () => stream.end());
  }

  answer({ hello, attach, detach, heartbeat, submit }) {
    if (hello) this.send({ welcome: { submitWindow: this.submitWindow, submitWindowOctets: 1 << 20, maxFrame: 1 << 20 } });
    else if (attach) {
      const answer = this.onAttach(attach);
      if (answer) this.send(answer);
    } else if (detach) this.detached(detach.userId, 'REQUESTED');
    else if (heartbeat && !this.silent) this.send({ heartbeatEcho: heartbeat });
    else if (submit) {
      const results = submit.messages.map((m) => this.onSubmit(m)).filter(Boolean);
      if (results.length > 0) this.send({ submitResults: { results } });
    }
  }

  send(frame) { this.stream.write(frame); }
  events(userId, ...seqs) { this.send({ events: { events: seqs.map((seq) => ({ userId, seq })) } }); }
  detached(userId, reason) { this.send({ detached: { userId, reason: `DETACH_REASON_${reason}` } }); }
  down() {
    this.isDown = true;
    this.stream?.emit('error', { code: grpc.status.UNAVAILABLE, details: 'down' });
  }
  up() { this.isDown = false; }

  all(kind) { return this.frames.filter((f) => f[kind]).map((f) => f[kind]); }
  get submitted() { return this.all('submit').flatMap((s) => s.messages.map((m) => m.requestId)); }
  // The n-th frame of this kind.
  async nth(kind, n = 1) {
    await this.changes.waitFor(() => this.all(kind).length >= n, 10000, `${kind} ${n}`);
    return this.all(kind)[n - 1];
  }
  until(condition, what) { return this.changes.waitFor(condition, 10000, what); }
  stop() { this.server.forceShutdown(); }
}
