// Load in both directions with an oracle: what was accepted has to be at the phone's application
// once, in order per conversation, and what a phone sent has to become one event, in order.
import assert from 'node:assert/strict';
import { Gateway, kIntegrator, kIssuer } from '../../integration/lib/gateway.mjs';
import { Provider } from '../../integration/lib/provider.mjs';
export { random } from '../../integration/lib/random.mjs';
import { Simulator } from '../../conformance/lib/sim.mjs';

const kFinal = new Set(['SENT', 'DELIVERED', 'READ', 'REJECTED', 'EXPIRED', 'UNCONFIRMED']);
const kPassing = new Set(['THROTTLED', 'STORE_UNAVAILABLE', 'OUTCOME_UNKNOWN', 'OWNERSHIP_LOST', 'NO_CLIENT', 'DRAINING']);
const kWindow = 8;  // submits without a result, a conversation

export class Load {
  constructor({ users = 3, phones = 3, gatewayOptions = {} } = {}) {
    this.gatewayOptions = gatewayOptions;
    this.users = Array.from({ length: users }, (_, i) => `user${i}`);
    this.phones = Array.from({ length: phones }, (_, i) => `49170000000${i}`);
    this.lanes = [];
    for (const user of this.users)
      for (const phone of this.phones) this.lanes.push({ user, phone, next: 0, open: new Map(), accepted: [], inbound: 0 });
    this.running = false;
    this.refusals = new Map();  // reason -> how often
    this.moments = 0;  // results and events so far: what a kill is timed by
  }

  async start() {
    this.sim = await Simulator.start();
    this.gateway = await new Gateway({ sim: this.sim, ...this.gatewayOptions }).start();
    await this.sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: this.gateway.jwks });
    for (const number of this.phones) await this.sim.addPhone({ number, opted_in: true, auto_delivered: true });
    this.provider = new Provider({ target: this.gateway.target, files: this.gateway.files(), reconnect: true,
      token: (user) => this.gateway.token(user) });
    this.provider.onResult = (r) => this.result(r);
    this.provider.onEvent = () => this.moment();
    // What a backend does: a refusal for the time being is tried again, a lost user attached anew.
    this.provider.onDetached = (u, detached) => {
      const passing = detached.reason === 'DETACH_REASON_OWNERSHIP_LOST' || detached.error?.retryAfter;
      if (!passing) return this.provider.violations.push(`${u.name}: detached, ${detached.reason} ${detached.error?.reason}`);
      u.again = true;
      this.provider.attach(u.name);
    };
    await this.provider.connect();
    for (const user of this.users) await this.enlist(user);
    await this.attach();
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

  moment() { this.moments++; }

  lane(r) {
    const [user, phone] = r.requestId.split('/');
    return this.lanes.find((l) => l.user === user && l.phone === phone);
  }

  result(r) {
    this.moment();
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
      while (this.running && lane.open.size < kWindow) {
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
      const states = new Map();
      for (const u of this.users)
        for (const e of this.provider.user(u).events)
          if (e.messageStatus) states.set(e.messageStatus.requestId, e.messageStatus.state.replace('MESSAGE_STATE_', ''));
      this.finalStates = states;
      return this.lanes.flatMap((l) => l.accepted.map((n) => `${l.user}/${l.phone}/${n}`)).filter((id) => !kFinal.has(states.get(id)));
    };
    await this.provider.until(() => unsettled().length === 0, 'every message settled', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${unsettled().slice(0, 5)}`); });
    await this.provider.until(() => this.lanes.every((l) => this.inboundOf(l).length >= l.inbound), 'every inbound message told', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${this.lanes.map((l) => `${this.inboundOf(l).length}/${l.inbound}`)}`); });
  }

  inboundOf(lane) {
    return this.provider.user(lane.user).events.map((e) => e.messageReceived?.content?.text?.body)
      .filter((t) => t?.startsWith(`${lane.phone}>${lane.user}#`));
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
    for (const [id, state] of this.finalStates)
      assert.ok(['SENT', 'DELIVERED', 'READ'].includes(state), `${id} ended as ${state}`);
    assert.deepEqual(await this.sim.violations(), [], 'what the far side saw');
    assert.deepEqual(this.provider.violations, [], 'what the provider saw');
    return { outbound, inbound };
  }

  async stop() {
    this.provider?.close();
    try { await this.gateway?.end(); } finally { await this.sim?.stop(); }
  }
}
