// A provider's backend as a test plays it: opens Connect, attaches users, submits, acknowledges, and
// remembers everything it was told. Waits are for conditions with a deadline, never for time.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { Changes } from '../../conformance/lib/waiting.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const definition = protoLoader.loadSync('interop/gateway/v1/gateway.proto', {
  includeDirs: [path.join(root, 'proto'), '/usr/include'],
  keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true,
});
const { GatewayService } = grpc.loadPackageDefinition(definition).interop.gateway.v1;
const methods = definition['interop.gateway.v1.GatewayService'];

// The octets of a frame or request; a Buffer passes as it is, so that a test can write what no
// library would.
export function octetsOf(method, message) {
  return Buffer.isBuffer(message) ? message : methods[method].requestSerialize(message);
}

// Without certificate and key: those of a client that shows none.
export function credentials(files) {
  const pem = (name) => (name ? readFileSync(name) : null);
  return grpc.credentials.createSsl(pem(files.ca), pem(files.key), pem(files.certificate));
}

export class Provider {
  // options: { target, files: {ca, key, certificate}, token: (user) => jwt, instance, autoAck }
  constructor(options) {
    this.options = { instance: 'backend-1', autoAck: true, eventWindow: 0, ...options };
    this.users = new Map();      // user -> { attached, link, events: [], acked, next }
    this.results = new Map();    // user/request -> SubmitResult, the first one
    this.frames = [];            // everything but events and results
    this.changes = new Changes();
    this.violations = [];        // what the gateway must never do
    this.client = this.makeClient();
  }

  user(name) {
    let u = this.users.get(name);
    if (!u) this.users.set(name, u = { name, attached: false, link: 'DOWN', linkReason: '', events: [], stored: 0, byId: new Map() });
    return u;
  }

  // `method` in either spelling; `request` may be a Buffer with its octets.
  call(method, request, deadlineMs = 10000) {
    const name = method[0].toUpperCase() + method.slice(1);
    const { path, responseDeserialize } = methods[name];
    return new Promise((resolve, reject) => this.client.makeUnaryRequest(path, (r) => octetsOf(name, r),
      responseDeserialize, request, new grpc.Metadata(), { deadline: Date.now() + deadlineMs },
      (error, answer) => error ? reject(error) : resolve(answer)));
  }

  // A channel of its own: grpc-js shares connections between clients otherwise.
  makeClient() {
    const { options } = this;
    return new GatewayService(options.target, credentials(options.files), {
      'grpc.max_receive_message_length': 16 << 20,
      'grpc.initial_reconnect_backoff_ms': 50, 'grpc.max_reconnect_backoff_ms': 300,
      'grpc.ssl_target_name_override': options.serverName ?? 'localhost',
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  async connect(deadlineMs = 15000) {
    const until = Date.now() + deadlineMs;
    for (;;) {
      try { return await this.connectOnce(Math.max(1, this.options.reconnect ? Math.min(3000, until - Date.now()) : until - Date.now())); }
      catch (error) {
        if (Date.now() > until || !this.options.reconnect) throw error;
        // After a kill the old channel may hold a connection to nobody: a fresh one does not.
        this.client.close();
        this.client = this.makeClient();
        // A port that is not open yet cannot signal.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  openStream() {
    const { path, responseDeserialize } = methods.Connect;
    return this.client.makeBidiStreamRequest(path, (frame) => octetsOf('Connect', frame), responseDeserialize);
  }

  connectOnce(deadlineMs) {
    this.stream?.cancel();
    const stream = this.stream = this.openStream();
    this.welcome = null;
    this.ended = null;
    stream.on('data', (frame) => { if (stream === this.stream) this.take(frame); });
    const end = (status) => {
      if (stream !== this.stream || this.ended) return;
      this.ended = status;
      for (const u of this.users.values()) { u.attached = false; u.link = 'DOWN'; }
      this.changes.happened();
    };
    stream.on('error', end);
    stream.on('status', end);
    stream.write({ hello: { instanceId: this.options.instance, eventWindow: this.options.eventWindow } });
    return this.changes.waitFor(() => {
      if (this.ended) throw Object.assign(new Error(`the stream ended: ${this.ended.code} ${this.ended.details}`), { status: this.ended });
      return this.welcome;
    }, deadlineMs, 'Welcome');
  }

  attach(name, address = '192.0.2.17') {
    this.user(name);
    this.stream.write({ attach: { userId: name, clientAddress: address, token: this.options.token(name), resumeSeq: this.user(name).stored } });
  }

  async attachAndWait(name, deadlineMs = 20000) {
    this.attach(name);
    await this.changes.waitFor(() => this.user(name).link === 'UP', deadlineMs, `link of ${name} up`);
  }

  submit(messages) { this.stream.write({ submit: { messages } }); }

  text(user, requestId, to, body) {
    const contact = to.startsWith('+') ? { e164: to } : { lid: to };
    return { userId: user, requestId, to: contact, content: { text: { body } } };
  }

  result(user, requestId) { return this.results.get(`${user}/${requestId}`); }

  async send(user, requestId, to, body, deadlineMs = 15000) {
    this.submit([this.text(user, requestId, to, body)]);
    return this.changes.waitFor(() => this.result(user, requestId), deadlineMs, `result of ${requestId}`);
  }

  // States that events told of a message, in order.
  states(user, requestId) {
    return this.user(user).events.filter((e) => e.messageStatus?.requestId === requestId)
      .map((e) => e.messageStatus.state.replace('MESSAGE_STATE_', ''));
  }
  received(user) { return this.user(user).events.filter((e) => e.messageReceived).map((e) => e.messageReceived); }

  until(condition, what, deadlineMs = 20000) { return this.changes.waitFor(condition, deadlineMs, what); }

  take(frame) {
    if (frame.welcome) this.welcome = frame.welcome;
    else if (frame.attached) this.attached(frame.attached);
    else if (frame.detached) {
      const u = this.user(frame.detached.userId);
      Object.assign(u, { attached: false, link: 'DOWN', detached: frame.detached });
      this.frames.push(frame);
      this.onDetached?.(u, frame.detached);
    } else if (frame.linkStatus) {
      const u = this.user(frame.linkStatus.userId);
      u.link = frame.linkStatus.state.replace('LINK_STATE_', '');
      u.linkReason = frame.linkStatus.reason;
      this.frames.push(frame);
    } else if (frame.tokenWanted) {
      const user = frame.tokenWanted.userId;
      if (!this.options.withholdTokens) this.stream.write({ freshToken: { userId: user, token: this.options.token(user) } });
      this.frames.push(frame);
    } else if (frame.submitResults) {
      for (const r of frame.submitResults.results) this.takeResult(r);
    } else if (frame.events) {
      this.takeEvents(frame.events.events);
    } else this.frames.push(frame);
    this.changes.happened();
  }

  attached(frame) {
    const u = this.user(frame.userId);
    u.attached = true;
    u.detached = null;
    // A provider never loses what it stored: the next event is the one behind it.
    if (frame.ackedSeq > u.stored) this.violations.push(`${u.name}: acked ${frame.ackedSeq} is above what was stored, ${u.stored}`);
    u.next = u.stored + 1;
  }

  takeResult(r) {
    const key = `${r.userId}/${r.requestId}`;
    const known = this.results.get(key);
    if (known?.accepted && r.accepted && known.accepted.messageId !== r.accepted.messageId) {
      this.violations.push(`${key}: accepted under two ids`);
    }
    if (!known?.accepted) this.results.set(key, r);
    this.onResult?.(r);
  }

  takeEvents(events) {
    const ack = new Map();
    for (const e of events) {
      const u = this.user(e.userId);
      if (e.seq <= u.stored) continue;  // at least once
      if (e.seq !== u.stored + 1) this.violations.push(`${u.name}: event ${e.seq} after ${u.stored}`);
      u.stored = e.seq;
      u.events.push(e);
      this.onEvent?.(u, e);
      ack.set(u.name, e.seq);
    }
    if (this.options.autoAck) for (const [user, seq] of ack) this.stream.write({ acknowledge: { userId: user, seq } });
  }

  close() {
    this.stream?.cancel();
    this.stream?.on('error', () => {});
    this.client.close();
  }
}
