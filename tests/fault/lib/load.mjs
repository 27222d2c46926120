// Load in both directions with an oracle: what was accepted has to be at the phone's application
// once, in order per conversation, and what a phone sent has to become one event, in order.
import assert from 'node:assert/strict';
import { Gateway, kIntegrator, kIssuer } from '../../integration/lib/gateway.mjs';
import { Provider } from '../../integration/lib/provider.mjs';
export { random } from '../../integration/lib/random.mjs';
import { Simulator } from '../../conformance/lib/sim.mjs';

const kFinal = new Set(['SENT', 'DELIVERED', 'READ', 'REJECTED', 'EXPIRED', 'UNCONFIRMED']);
const kPassing = new Set(['THROTTLED', 'STORE_UNAVAILABLE', 'OUTCOME_UNKNOWN', 'OWNERSHIP_LOST', 'NO_CLIENT', 'DRAINING']);
const kRank = { SENT: 1, DELIVERED: 2, READ: 3 };
const kWindow = 8;  // submits without a result, a conversation

// What a load runs on: {sim, gateway, provider}, and through `port`, whatever stands before the simulator.
export async function stage(gatewayOptions, sim) {
  sim ??= await Simulator.start();
  const gateway = await new Gateway({ sim, ...gatewayOptions }).start();
  await sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: gateway.jwks });
  const provider = new Provider({ target: gateway.target, files: gateway.files(), reconnect: true,
    token: (user) => gateway.token(user) });
  await provider.connect();
  return { sim, gateway, provider };
}

export class Load {
  // Names of users and numbers of phones; `unsent`: messages of a conversation that WhatsApp has not
  // acknowledged, at most.
  constructor({ users = ['user0', 'user1', 'user2'], phones = ['491700000000', '491700000001', '491700000002'],
    unsent = Infinity, gatewayOptions = {} } = {}) {
    Object.assign(this, { gatewayOptions, users, phones, unsent });
    this.lanes = [];
    for (const user of users)
      for (const phone of phones) this.lanes.push({ user, phone, next: 0, open: new Map(), accepted: [], sent: 0, inbound: 0 });
    this.running = false;
    this.refusals = new Map();  // reason -> how often
    this.moments = 0;  // results and events so far: what a kill is timed by
  }

  async start() {
    await this.join(await stage(this.gatewayOptions));
    await this.attach();
  }

  // On a stage that others may have used before; its users are enlisted, and not attached yet.
  async join(stage) {
    Object.assign(this, stage);
    for (const number of this.phones) await this.sim.addPhone({ number, opted_in: true, auto_delivered: true });
    this.provider.onResult = (r) => this.result(r);
    this.provider.onEvent = (u, e) => this.event(e);
    // What a backend does: a refusal for the time being is tried again, a lost user attached anew.
    this.provider.onDetached = (u, detached) => {
      if (!this.users.includes(u.name)) return undefined;
      const passing = detached.reason === 'DETACH_REASON_OWNERSHIP_LOST' || detached.error?.retryAfter;
      if (!passing) return this.provider.violations.push(`${u.name}: detached, ${detached.reason} ${detached.error?.reason}`);
      u.again = true;
      return this.provider.attach(u.name);
    };
    for (const user of this.users) await this.enlist(user);
  }

  // UNAVAILABLE asks for another try; enlisting twice changes nothing.
  async enlist(user) {
    for (let tries = 0; ; tries++) {
      try { return await this.provider.call('enlist', { userId: user }); }
      catch (error) { if (error.code !== 14 || tries > 20) throw error; }
    }
  }

  async attach() {
    for (const user of this.users) this.provider.attach(user);
    await this.provider.until(() => this.users.every((u) => this.provider.user(u).link === 'UP'), 'all links up', 30000);
  }

  lane({ requestId }) {
    const [user, phone] = requestId.split('/');
    return this.lanes.find((l) => l.user === user && l.phone === phone);
  }

  event({ messageStatus: status }) {
    this.moments++;
    if (!status || this.unsent === Infinity) return;
    const lane = this.lane(status);
    const n = Number(status.requestId.split('/')[2]);
    if (n < lane.sent) return;
    lane.sent = n + 1;
    this.fill();
  }

  result(r) {
    this.moments++;
    const lane = this.lane(r);
    const n = Number(r.requestId.split('/')[2]);
    if (r.accepted) {
      if (lane.open.delete(n)) lane.accepted.push(n);
    } else {
      this.refusals.set(r.error.reason, (this.refusals.get(r.error.reason) ?? 0) + 1);
      if (kPassing.has(r.error.reason)) lane.again = true;  // not stored: the same, and all behind it, once more and in order
      else this.provider.violations.push(`${r.requestId}: ${r.error.reason}`);
    }
    this.fill();
  }

  // Refused ones go again only when nothing of the lane is under way: order is the provider's duty.
  fill() {
    if (!this.provider.welcome || this.provider.ended) return;
    for (const lane of this.lanes) {
      if (!this.provider.user(lane.user).attached) continue;
      if (this.provider.user(lane.user).again) this.again(lane.user);
      if (lane.again) { lane.again = false; this.resubmit(lane); }
      const messages = [];
      while (this.running && lane.open.size < kWindow && lane.next - lane.sent < this.unsent) {
        const n = lane.next++;
        lane.open.set(n, true);
        messages.push(this.message(lane, n));
      }
      if (messages.length) this.provider.submit(messages);
    }
  }

  message(lane, n) {
    return this.provider.text(lane.user, `${lane.user}/${lane.phone}/${n}`, `+${lane.phone}`, `${lane.user}>${lane.phone}#${n}`);
  }

  resubmit(lane) {
    const open = [...lane.open.keys()].sort((a, b) => a - b);
    if (open.length) this.provider.submit(open.map((n) => this.message(lane, n)));
  }

  again(user) {
    this.provider.user(user).again = false;
    for (const lane of this.lanes) if (lane.user === user) this.resubmit(lane);
  }

  // Everything that has no answer goes again under the same request ids.
  resubmitAll() { for (const lane of this.lanes) this.resubmit(lane); }

  async phonesWrite(count) {
    for (const lane of this.lanes)
      for (let i = 0; i < count; i++) {
        await this.sim.send(lane.phone, { integrator: kIntegrator, user: lane.user }, `${lane.phone}>${lane.user}#${lane.inbound++}`);
      }
  }

  // After the gateway was killed and started again.
  async recover() {
    await this.provider.connect(30000);
    await this.attach();
    this.resubmitAll();
    this.fill();
  }

  async settle(deadlineMs = 90000) {
    this.running = false;
    await this.provider.until(() => this.lanes.every((l) => l.open.size === 0), 'every submit answered', deadlineMs);
    const unsettled = () => {
      const states = this.statesTold();
      return this.lanes.flatMap((l) => l.accepted.map((n) => `${l.user}/${l.phone}/${n}`)).filter((id) => !kFinal.has(states.get(id)?.at(-1)));
    };
    await this.provider.until(() => unsettled().length === 0, 'every message settled', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${unsettled().slice(0, 5)}`); });
    await this.provider.until(() => this.lanes.every((l) => this.inboundOf(l).length >= l.inbound), 'every inbound message told', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${this.lanes.map((l) => `${this.inboundOf(l).length}/${l.inbound}`)}`); });
  }

  // Phones answer each message with a receipt, which WhatsApp keeps for us until it is received. Then
  // it is told by event and said when asked.
  async delivered(deadlineMs) {
    const missing = () => [...this.statesTold()].filter(([, states]) => !states.includes('DELIVERED')).map(([id]) => id);
    await this.provider.until(() => missing().length === 0, 'every message delivered', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${missing().slice(0, 5)}`); });
    const ids = this.lanes.flatMap(({ user, phone, accepted }) => accepted.map((n) => [user, `${user}/${phone}/${n}`]));
    await Promise.all(ids.map(async ([userId, requestId]) => {
      const { messageId } = this.provider.result(userId, requestId).accepted;
      const { state } = await this.provider.call('GetMessage', { userId, messageId });
      assert.equal(state, 'MESSAGE_STATE_DELIVERED', requestId);
    }));
  }

  // Request id -> the states that were told of it, in order.
  statesTold() {
    const states = new Map();
    for (const user of this.users)
      for (const { messageStatus: status } of this.provider.user(user).events) {
        if (!status) continue;
        if (!states.has(status.requestId)) states.set(status.requestId, []);
        states.get(status.requestId).push(status.state.replace('MESSAGE_STATE_', ''));
      }
    return states;
  }

  inboundOf(lane) {
    return this.provider.user(lane.user).events.map((e) => e.messageReceived?.content?.text?.body)
      .filter((t) => t?.startsWith(`${lane.phone}>${lane.user}#`));
  }

  // Where each conversation stands, a line each: for a report.
  text() {
    const told = this.statesTold();
    return this.lanes.map((l) => {
      const user = this.provider.user(l.user);
      const states = l.accepted.map((n) => told.get(`${l.user}/${l.phone}/${n}`)?.at(-1) ?? 'accepted');
      const counts = [...new Set(states)].map((s) => `${states.filter((x) => x === s).length} ${s}`);
      return `  ${l.user} to ${l.phone}: link ${user.link}${user.attached ? '' : ', not attached'}, ${l.open.size} without an answer, `
        + `${counts.join(', ') || 'none accepted'}, ${this.inboundOf(l).length}/${l.inbound} inbound`;
    }).concat(`  refused: ${JSON.stringify(Object.fromEntries(this.refusals))}`).join('\n');
  }

  // The laws, from the far side and from the near side.
  async check() {
    let outbound = 0, inbound = 0;
    const inboxes = new Map();
    for (const phone of this.phones) inboxes.set(phone, (await this.sim.inbox(phone)).map((m) => m.text));
    for (const lane of this.lanes) {
      const at = inboxes.get(lane.phone).filter((t) => t.startsWith(`${lane.user}>`));
      const expected = lane.accepted.slice().sort((a, b) => a - b).map((n) => `${lane.user}>${lane.phone}#${n}`);
      assert.deepEqual(at, expected, `${lane.user} to ${lane.phone}: once and in order`);
      assert.deepEqual(this.inboundOf(lane), Array.from({ length: lane.inbound }, (_, i) => `${lane.phone}>${lane.user}#${i}`),
        `${lane.phone} to ${lane.user}: once and in order`);
      outbound += expected.length;
      inbound += lane.inbound;
    }
    for (const [id, states] of this.statesTold())
      for (let i = 0; i < states.length; i++)
        assert.ok(kRank[states[i]] > (kRank[states[i - 1]] ?? 0), `${id} became ${states}`);
    assert.deepEqual(await this.sim.violations(), [], 'what the far side saw');
    assert.deepEqual(this.provider.violations, [], 'what the provider saw');
    return { outbound, inbound };
  }

  async stop() {
    this.provider?.close();
    try { await this.gateway?.end(); } finally { await this.sim?.stop(); }
  }
}
