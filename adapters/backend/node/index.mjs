// What a provider's backend embeds to speak with the replicas of a gateway; README.md says what it does.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { home, pause } from './placement.mjs';
import { Replica } from './replica.mjs';
import { isText, millis, submitReady, takeResults, validate } from './submits.mjs';
import { Submit, User } from './user.mjs';

const kProto = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../proto');
// What ends an attachment for good. After any other reason the user is attached anew.
const kEnds = new Set(['REPLACED', 'WITHDRAWN', 'LOGGED_OUT']);

const kDefaults = {
  eventWindow: 0,            // events without an acknowledgement, a user; 0: the gateway's choice
  maxQueued: 10000,          // submits without an answer; one more is refused, QUEUE_FULL
  maxQueuedOctets: 64 << 20,
  deadlineMs: 60000,         // of a submit that names none
  connectTimeoutMs: 5000,    // dial to Welcome
  attachTimeoutMs: 30000,    // Attach to Attached: a gateway may wait 15 s until the claim of one that died runs out
  heartbeatMs: 30000,
  heartbeatTimeoutMs: 10000,
  backoffMs: 100,            // the first pause
  backoffCapMs: 5000,
  settleMs: 5000,            // a replica is up for so long before users move back to it
  movesPerSecond: 50,        // and so fast they do
};

/**
 * @typedef {{ca: string, certificate: string, key: string, serverName?: string}} Tls  paths of PEM files
 * @typedef {{clientAddress: string, token: () => string | Promise<string>, resumeSeq?: number}} Client
 * @typedef {{requestId: string, to: {e164: string} | {lid: string}, content: {text: {body: string}}}} Message
 * @typedef {{outcome: 'ACCEPTED', messageId: string, state: string}
 *         | {outcome: 'REFUSED' | 'UNKNOWN', reason: string, message: string, lastError?: object}} Outcome
 *   REFUSED: nothing is stored or sent. UNKNOWN: nobody said in time; submit again with the same id to learn.
 * @typedef {{state: 'ATTACHED', endpoint: string}
 *         | {state: 'WAITING', reason: string}
 *         | {state: 'ENDED', reason: 'REPLACED' | 'WITHDRAWN' | 'LOGGED_OUT' | 'REFUSED', error?: object}
 *         | {state: 'LINK', link: 'CONNECTING' | 'UP' | 'DOWN', reason: string}} Status
 *   After ENDED nothing is tried for the user until it is attached again.
 * @typedef {{
 *   endpoints: string[], tls: Tls, instanceId: string,
 *   onEvent: (user: string, event: object) => Promise<void> | void,
 *   onStatus?: (user: string, status: Status) => void,
 *   onReplica?: (endpoint: string, status: {state: 'UP' | 'DRAINING' | 'DOWN', reason?: string}) => void,
 *   onProblem?: (user: string, error: Error) => void,
 *   protoDir?: string } & Partial<typeof kDefaults>} Options
 *   onEvent: the event as gateway.proto has it, enums as text. One at a time for each user, in order; the next one, and
 *   the acknowledgement, come when it has finished. One that fails is handed over again after a pause.
 *   onProblem: onEvent or a token function failed; without it that is passed over, as it is tried again.
 */
export class BackendClient {
  /** @param {Options} options */
  constructor(options) {
    this.options = { ...kDefaults, onStatus() {}, onReplica() {}, onProblem() {}, ...options };
    this.connect = dialer(this.options);
    this.users = new Map();
    this.replicas = new Map();  // endpoint -> Replica
    this.waiting = new Set();   // users for whom there is no replica
    this.leaving = [];          // users whose home is another replica now
    this.queued = this.queuedOctets = 0;
    this.sink = {
      onEvent: this.options.onEvent, onProblem: this.options.onProblem, options: this.options,
      acknowledge: (user) => this.acknowledge(user),
      left: (user) => { if (this.users.get(user.name) === user) this.users.delete(user.name); },
    };
    this.setEndpoints(options.endpoints);
  }

  /** Users of an endpoint that is no longer named move; those of others stay where they are. */
  setEndpoints(endpoints) {
    this.endpoints = [...new Set(endpoints)];
    for (const replica of this.replicas.values()) {
      replica.removed = !this.endpoints.includes(replica.endpoint);
      if (replica.removed && !replica.alive) this.forget(replica);
    }
    if (this.users.size > 0) this.dialAll();
    this.empty();
    this.findLeaving();
  }

  /**
   * A client of the user is connected. Attached before: this client takes its place.
   * @param {string} name
   * @param {Client} client  token: called for each attach and each time the gateway wants one. resumeSeq: the last
   *   event that the application has stored, if it knows; else events follow the acknowledged ones.
   */
  attach(name, client) {
    if (!/^[A-Za-z0-9_=-]{1,64}$/.test(name)) throw new TypeError('user: 1 to 64 characters of A-Z a-z 0-9 _ = -');
    if (!isText(client.clientAddress, 1, 64)) throw new TypeError('clientAddress: an IPv4 or IPv6 address');
    let user = this.users.get(name);
    if (!user) this.users.set(name, user = new User(name));
    if (user.state === 'ENDED') user.state = 'WAITING';
    if (client.resumeSeq !== undefined && !user.handling) user.startAt(client.resumeSeq);
    user.client = client;
    user.failures = 0;
    this.dialAll();
    this.place(user);
  }

  /** The client is gone. Submits without an answer end now; an event that is being handled may come again. */
  detach(name) {
    const user = this.users.get(name);
    if (!user || user.state === 'ENDED') return;
    const { replica } = user;
    this.end(user, 'DETACHED', 'the application detached the user');
    for (const held of new Set([replica, user.previous])) held?.write({ detach: { userId: name } });
    user.previous = undefined;
  }

  /**
   * Sends a message of an attached user; again by itself, under the same id, while no final answer came.
   * @param {string} name
   * @param {Message} message
   * @param {{deadlineMs?: number}} [options]
   * @returns {Promise<Outcome>}  never rejects
   */
  submit(name, message, { deadlineMs = this.options.deadlineMs } = {}) {
    const user = this.users.get(name);
    const octets = Buffer.byteLength(JSON.stringify(message)) + name.length + 64;  // a little more than the wire's
    const refused = (reason, text) => Promise.resolve({ outcome: 'REFUSED', reason, message: text });
    if (!user || user.state === 'ENDED') return refused('NO_CLIENT', 'attach the user first');
    const fault = validate(message);
    if (fault) return refused(...fault);
    if (user.submits.has(message.requestId)) return refused('REQUEST_ID_PENDING', 'an earlier submit of this id has no answer yet');
    if (this.queued >= this.options.maxQueued || this.queuedOctets + octets > this.options.maxQueuedOctets) {
      return refused('QUEUE_FULL', 'wait for answers first');
    }
    this.queued++;
    this.queuedOctets += octets;
    return new Promise((resolve) => {
      const submit = new Submit(user, message, octets, (outcome) => {
        this.queued--;
        this.queuedOctets -= octets;
        resolve(outcome);
      });
      submit.timer = setTimeout(() => {
        submit.giveUp('DEADLINE', 'no final answer in time');
        this.retryIfDue(user);
      }, deadlineMs);
      user.submits.set(message.requestId, submit);
      user.queue.push(submit);
      this.wantsToSubmit(user);
    });
  }

  /** Ends the streams. Users stay attached for the gateway's grace, 5 s if not set otherwise. */
  close() {
    for (const user of [...this.users.values()]) this.end(user, 'CLOSED', 'the application closed the library');
    for (const replica of this.replicas.values()) replica.close();
    this.replicas.clear();
    clearInterval(this.mover);
  }

  // ---- replicas ----

  dialAll() {
    for (const endpoint of this.endpoints) {
      if (!this.replicas.has(endpoint)) this.replicas.set(endpoint, new Replica(endpoint, this));
    }
  }

  forget(replica) {
    replica.close();
    if (this.replicas.get(replica.endpoint) === replica) this.replicas.delete(replica.endpoint);
    for (const user of this.users.values()) if (user.previous === replica) user.previous = undefined;
  }

  onUp(replica) {
    this.options.onReplica(replica.endpoint, { state: 'UP' });
    this.placeWaiting();
    this.empty();
    replica.seasoning = setTimeout(() => this.findLeaving(), this.options.settleMs);
  }

  onLost(replica, reason) {
    this.options.onReplica(replica.endpoint, { state: 'DOWN', reason });
    const users = [...replica.users];
    replica.users.clear();
    for (const user of this.users.values()) if (user.previous === replica) user.previous = undefined;
    for (const user of users) {
      for (const submit of user.submits.values()) if (submit.on === replica) submit.takeBack();
      user.replica = undefined;
      this.wait(user, 'STREAM_LOST');
      this.place(user);
    }
    if (replica.removed) this.forget(replica);
    this.placeWaiting();  // who waited for this one's first try
    this.empty();
  }

  // Moves everybody off the replicas that go, if there is another one.
  empty() {
    for (const replica of [...this.replicas.values()]) {
      if (!replica.removed && replica.state !== 'DRAINING') continue;
      const to = [...this.replicas.values()].some((other) => other.takesUsers);
      if (to) for (const user of [...replica.users]) this.place(user);
      if (replica.removed && replica.users.size === 0 && ![...this.users.values()].some((u) => u.previous === replica)) this.forget(replica);
    }
  }

  // ---- where users are ----

  // The replica to attach at now; nothing while there is none, or the first try of the right one is under way.
  choose(user) {
    const candidates = [...this.replicas.values()].filter((r) => r.takesUsers || (r.state === 'STARTING' && !r.removed));
    const others = candidates.filter((r) => r !== user.avoid);
    const best = home(others.some((r) => r.takesUsers) ? others : candidates, user.name);
    return best?.takesUsers ? best : undefined;
  }

  place(user) {
    const replica = this.choose(user);
    if (replica) return void this.attachAt(user, replica);
    if (user.state === 'ATTACHED') return;  // on a replica that goes, while there is no other
    this.wait(user, 'NO_REPLICA');
    this.waiting.add(user);
  }

  placeWaiting() { for (const user of [...this.waiting]) this.place(user); }

  wait(user, reason) {
    user.attempt++;
    clearTimeout(user.timer);
    this.leavePlace(user);
    if (user.state === 'WAITING') return;
    user.state = 'WAITING';
    this.options.onStatus(user.name, { state: 'WAITING', reason });
  }

  // An attachment that may still stand on a live stream is ended once the next one is in force.
  leavePlace(user) {
    const { replica } = user;
    user.replica = undefined;
    if (!replica) return;
    replica.users.delete(user);
    replica.ready.delete(user);
    if (!replica.alive) return;
    replica.lingering.add(user.name);
    user.previous = replica;
  }

  async attachAt(user, replica) {
    const attempt = ++user.attempt;
    clearTimeout(user.timer);
    this.waiting.delete(user);
    this.leavePlace(user);
    user.replica = replica;
    user.state = 'ATTACHING';
    replica.users.add(user);
    user.timer = setTimeout(() => this.failed(user, 'TIMEOUT', 0), this.options.attachTimeoutMs);
    try {
      const token = await freshToken(user);
      if (attempt !== user.attempt) return;
      replica.write({ attach: { userId: user.name, clientAddress: user.client.clientAddress, token, resumeSeq: user.finished } });
    } catch (error) {
      if (attempt !== user.attempt) return;
      this.options.onProblem(user.name, error);
      this.failed(user, 'TOKEN_MISSING', this.options.backoffMs);
      user.avoid = undefined;
    }
  }

  // The attach, or the attachment, came to nothing: another one, at once at first, then after pauses.
  failed(user, reason, atLeastMs) {
    if (user.attachedAt && Date.now() - user.attachedAt > 2 * this.options.backoffCapMs) user.failures = 0;
    user.attachedAt = undefined;
    user.avoid = user.replica;
    this.wait(user, reason);
    const wait = user.failures++ === 0 ? 0 : pause(user.failures, this.options.backoffMs, this.options.backoffCapMs);
    if (wait === 0 && !atLeastMs) return this.place(user);
    user.timer = setTimeout(() => this.place(user), Math.max(wait, atLeastMs));
  }

  end(user, reason, message) {
    this.waiting.delete(user);
    clearTimeout(user.timer);
    this.leavePlace(user);
    user.attempt++;
    user.state = 'ENDED';
    user.dropEvents();
    clearTimeout(user.retryTimer);
    for (const submit of [...user.submits.values()]) submit.giveUp(reason, message);
    user.queue = [];
    if (!user.handling) this.sink.left(user);
  }

  // Users who would be elsewhere if they came now, and who are well where they are.
  findLeaving() {
    for (const user of this.users.values()) if (this.betterHome(user)) this.leaving.push(user);
    if (this.leaving.length === 0 || this.mover) return;
    const everyMs = Math.max(20, 1000 / this.options.movesPerSecond);
    let due = 0;
    this.mover = setInterval(() => {
      for (due += this.options.movesPerSecond * everyMs / 1000; due >= 1 && this.leaving.length > 0; due--) {
        const user = this.leaving.shift();
        const to = this.betterHome(user);
        if (to) this.attachAt(user, to);
      }
      if (this.leaving.length > 0) return;
      clearInterval(this.mover);
      this.mover = undefined;
    }, everyMs);
  }

  betterHome(user) {
    if (user.state !== 'ATTACHED') return undefined;
    const best = home([...this.replicas.values()].filter((r) => r.seasoned || r === user.replica), user.name);
    return best === user.replica ? undefined : best;
  }

  // ---- frames ----

  onFrame(replica, frame) {
    if (frame.events) this.takeEvents(replica, frame.events.events);
    else if (frame.submitResults) this.takeResults(replica, frame.submitResults.results);
    else if (frame.attached) this.attached(replica, frame.attached);
    else if (frame.detached) this.detached(replica, frame.detached);
    else if (frame.tokenWanted) this.tokenWanted(replica, frame.tokenWanted.userId);
    else if (frame.linkStatus) {
      const { userId, state, reason } = frame.linkStatus;
      if (this.at(replica, userId)) this.options.onStatus(userId, { state: 'LINK', link: state.replace('LINK_STATE_', ''), reason });
    } else if (frame.draining) {
      replica.state = 'DRAINING';
      this.options.onReplica(replica.endpoint, { state: 'DRAINING' });
      this.empty();
    }
  }

  at(replica, name) {
    const user = this.users.get(name);
    return user?.replica === replica ? user : undefined;
  }

  attached(replica, { userId, ackedSeq }) {
    replica.lingering.delete(userId);
    const user = this.at(replica, userId);
    if (!user) return;
    clearTimeout(user.timer);
    const { previous } = user;
    user.previous = undefined;
    user.avoid = undefined;
    user.state = 'ATTACHED';
    user.attachedAt = Date.now();
    user.received = Math.max(user.received, ackedSeq);
    if (user.events.length === 0) user.finished = Math.max(user.finished, ackedSeq);
    if (user.finished > ackedSeq) this.acknowledge(user);
    // The gateway that had the user can change nothing of it any more.
    if (previous && previous !== replica) previous.write({ detach: { userId } });
    user.requeue();
    this.options.onStatus(userId, { state: 'ATTACHED', endpoint: replica.endpoint });
    this.wantsToSubmit(user);
    if (previous?.removed) this.empty();
    if (!replica.takesUsers) this.empty();
  }

  detached(replica, { userId, reason: long, error }) {
    const reason = String(long).replace('DETACH_REASON_', '');
    const answersAttach = reason === 'REFUSED' || reason === 'DRAINING';
    const ofOld = replica.lingering.has(userId) && !answersAttach;
    if (ofOld) replica.lingering.delete(userId);
    const user = this.at(replica, userId);
    if (!user) {
      const gone = this.users.get(userId);
      if (gone?.previous === replica) gone.previous = undefined;
      return;
    }
    if (ofOld || (user.state === 'ATTACHING' && reason === 'REQUESTED')) return;
    if (reason === 'REFUSED' && error?.retryAfter) this.failed(user, error.reason, millis(error.retryAfter));
    else if (reason !== 'REFUSED' && !kEnds.has(reason)) this.failed(user, reason, 0);
    else {
      this.end(user, reason, error?.reason ?? 'the attachment ended');
      this.options.onStatus(userId, { state: 'ENDED', reason, ...(error ? { error } : {}) });
    }
    replica.lingering.delete(userId);  // there is nothing left of it there
    if (user.previous === replica) user.previous = undefined;
  }

  async tokenWanted(replica, name) {
    const user = this.at(replica, name);
    if (!user) return;
    try {
      const token = await freshToken(user);
      if (user.replica === replica) replica.write({ freshToken: { userId: name, token } });
    } catch (error) { this.options.onProblem(name, error); }
  }

  takeEvents(replica, events) {
    for (const event of events) {
      const user = this.at(replica, event.userId);
      if (user?.state !== 'ATTACHED' || event.seq <= user.received) continue;
      if (event.seq !== user.received + 1) {  // an acknowledgement would pass over what is missing
        this.failed(user, 'EVENT_MISSING', 0);
        continue;
      }
      user.received = event.seq;
      user.events.push(event);
      user.handle(this.sink);
    }
  }

  acknowledge(user) {
    const { replica } = user;
    if (user.state !== 'ATTACHED') return;
    if (replica.acks.size === 0) {
      setImmediate(() => {
        for (const one of replica.acks) {
          if (one.replica === replica && one.state === 'ATTACHED') replica.write({ acknowledge: { userId: one.name, seq: one.finished } });
        }
        replica.acks.clear();
      });
    }
    replica.acks.add(user);
  }

  // ---- submits ----

  wantsToSubmit(user) {
    const { replica } = user;
    if (user.state !== 'ATTACHED' || user.retrying || user.queue.length === 0) return;
    replica.ready.add(user);
    this.submitSoon(replica);
  }

  submitSoon(replica) {
    if (replica.submitting) return;
    replica.submitting = setImmediate(() => {
      replica.submitting = undefined;
      if (replica.takesUsers) submitReady(replica);
    });
  }

  takeResults(replica, results) {
    for (const user of takeResults(replica, results, this.users)) this.retryIfDue(user);
    if (replica.ready.size > 0) this.submitSoon(replica);
  }

  // Once nothing is on its way any more, all that has no answer is sent again, in order.
  retryIfDue(user) {
    if (!user.retrying || user.inFlight > 0 || user.state === 'ENDED') return;
    clearTimeout(user.retryTimer);
    user.retryTimer = setTimeout(() => {
      user.requeue();
      this.wantsToSubmit(user);
    }, Math.max(0, user.retryAt - Date.now()));
  }
}

async function freshToken(user) {
  const token = await user.client.token();
  if (!isText(token, 1, 8192)) throw new TypeError('token: 1 to 8192 octets');
  return token;
}

// (endpoint) -> {client, stream}: a channel of its own for each try, for an old one may hold a connection to nobody.
function dialer({ tls, protoDir = kProto }) {
  const definition = protoLoader.loadSync('interop/gateway/v1/gateway.proto',
    { includeDirs: [protoDir], keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true });
  const { path: method, requestSerialize, responseDeserialize } = definition['interop.gateway.v1.GatewayService'].Connect;
  const pem = (name) => readFileSync(name);
  return (endpoint) => {
    const credentials = grpc.credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.certificate));
    const client = new grpc.Client(endpoint, credentials, {
      'grpc.max_receive_message_length': 64 << 20, 'grpc.use_local_subchannel_pool': 1,
      ...(tls.serverName ? { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName } : {}),
    });
    return { client, stream: client.makeBidiStreamRequest(method, requestSerialize, responseDeserialize) };
  };
}
