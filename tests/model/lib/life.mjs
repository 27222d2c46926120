// A seeded list of what happens to two users and two phones of a real gateway, and the oracle of it:
// what was accepted is at each device once and in order, what a phone wrote is one event, every
// message ends. An operation that finds nothing to work on does nothing, so that a list can be made
// shorter by leaving some out.
import assert from 'node:assert/strict';
import { kIntegrator } from '../../integration/lib/gateway.mjs';
import { random } from '../../integration/lib/random.mjs';

const kOperations = { submit: 30, write: 16, breathe: 14, attach: 8, detach: 5, stream: 4, kill: 5, database: 4, close: 6,
  spoil: 5, hold: 4, unhold: 4, pause: 3, resume: 4, swallow: 4, duplicate: 4, device: 2, read: 3 };
const kPassing = new Set(['THROTTLED', 'STORE_UNAVAILABLE', 'OUTCOME_UNKNOWN', 'OWNERSHIP_LOST', 'NO_CLIENT', 'DRAINING', 'USER_BUSY']);
const kEnds = new Set(['SENT', 'DELIVERED', 'READ']);
const kOrder = ['SENT', 'DELIVERED', 'READ'];
const kMostSpoilt = 4;  // of a target: below the five times that a message is asked for

export function draw(seed, count) {
  const next = random(seed);
  const kinds = Object.entries(kOperations);
  const all = kinds.reduce((sum, [, weight]) => sum + weight, 0);
  return Array.from({ length: count }, () => {
    let at = next() * all;
    const [kind] = kinds.find(([, weight]) => (at -= weight) < 0);
    return { kind, user: Math.floor(next() * 2), phone: Math.floor(next() * 2), n: 1 + Math.floor(next() * 6) };
  });
}

export function describe({ kind, user, phone, n }) { return `${kind} user ${user} phone ${phone} n ${n}`; }

export class Life {
  // rig: a Rig; postgres?: its server
  static async begin(rig, postgres, deadlineMs = 30000) {
    const life = new Life();
    Object.assign(life, { rig, postgres, deadlineMs, provider: rig.provider, lanes: [], moments: 0, spoilt: new Map(), refusals: new Set() });
    const { provider } = rig;
    provider.onResult = (r) => life.result(r);
    provider.onEvent = () => { life.moments++; };
    provider.onDetached = (u, detached) => life.detached(u, detached);
    life.users = [rig.name('user'), rig.name('user')];
    life.phones = [await rig.phone({ auto_delivered: true }), await rig.phone({ auto_delivered: true, devices: [0, 3] })];
    life.devices = [[0], [0, 3]];
    for (const user of life.users) {
      await provider.call('enlist', { userId: user });
      for (const phone of life.phones)
        life.lanes.push({ user, phone, next: 0, open: new Set(), accepted: new Map(), wrote: [], unordered: false });
    }
    return life;
  }

  lane(op) { return this.lanes[op.user * 2 + op.phone]; }
  interop(user) { return `${kIntegrator}-${user}`; }

  // ---- the provider ----

  result(r) {
    this.moments++;
    const [, index, n] = /^(\d)-(\d+)$/.exec(r.requestId) ?? [];
    const lane = this.lanes[index];
    if (lane?.user !== r.userId) return;
    if (r.accepted) {
      lane.open.delete(Number(n));
      lane.accepted.set(Number(n), r.accepted.messageId);
    } else if (kPassing.has(r.error.reason)) {
      lane.again = true;
      this.refusals.add(r.error.reason);
    } else {
      this.provider.violations.push(`${r.requestId}: ${r.error.reason}`);
    }
  }

  detached(u, { reason, error }) {
    if (!this.users.includes(u.name) || reason === 'DETACH_REASON_REQUESTED') return;
    if (reason === 'DETACH_REASON_OWNERSHIP_LOST' || error?.retryAfter) return void this.provider.attach(u.name);
    this.provider.violations.push(`${u.name}: detached, ${reason} ${error?.reason}`);
  }

  text(lane, n) { return `${lane.user}>${lane.phone.number}#${n}`; }

  // While something of a lane may be lost only that goes again: order is the provider's duty.
  submit(lane, count) {
    if (!lane.again || lane.open.size === 0) for (; count > 0; count--) lane.open.add(lane.next++);
    const index = this.lanes.indexOf(lane);
    const open = [...lane.open].sort((a, b) => a - b);
    lane.again = false;
    if (open.length)
      this.provider.submit(open.map((n) => this.provider.text(lane.user, `${index}-${n}`, lane.phone.e164, this.text(lane, n))));
  }

  unsure(lanes = this.lanes) { for (const lane of lanes) lane.again = true; }

  attach(user) { if (!this.provider.user(user).attached) this.provider.attach(user); }

  // ---- what happens ----

  async run(operations) {
    for (const op of operations) await (this[`${op.kind}Op`] ?? this[op.kind]).call(this, op);
    await this.settle();
    return this.check();
  }

  async attachOp({ user }) { this.attach(this.users[user]); }
  async submitOp(op) { this.submit(this.lane(op), op.n); }
  async detachOp({ user }) {
    this.provider.stream.write({ detach: { userId: this.users[user] } });
    Object.assign(this.provider.user(this.users[user]), { attached: false, link: 'DOWN' });
    this.unsure(this.lanes.filter((l) => l.user === this.users[user]));
  }

  async write(op) {
    const lane = this.lane(op);
    for (let i = 0; i < op.n; i++) {
      const text = `${lane.phone.number}>${lane.user}#${lane.wrote.length}`;
      // Before its first login WhatsApp knows no such user.
      try { await this.rig.sim.send(lane.phone.number, { integrator: kIntegrator, user: lane.user }, text); }
      catch (error) { if (/404|409|400/.test(error.message)) return; throw error; }
      lane.wrote.push(text);
    }
  }

  // Something goes on, or nothing does: for so long as it takes the pace is given away.
  async breathe({ n }) {
    const until = this.moments + 4 * n;
    await this.provider.until(() => this.moments >= until, 'moments', 150).catch(() => {});
  }

  async reconnect() {
    await this.provider.connect(30000);
    this.unsure();
    // The new stream takes the users over.
    for (const user of this.users) {
      Object.assign(this.provider.user(user), { attached: false, link: 'DOWN' });
      this.provider.attach(user);
    }
  }
  stream() { return this.reconnect(); }
  async kill() {
    await this.rig.gateway.kill();
    await this.rig.gateway.start();
    await this.reconnect();
  }
  async database({ n }) {
    if (!this.postgres) return;
    await this.postgres.stop(n % 2 ? 'SIGQUIT' : 'SIGINT');
    await this.postgres.start();
  }

  fault(kind, target, more) { return this.rig.sim.addFault({ kind, target, ...more }).catch((error) => { if (!/40[049]/.test(error.message)) throw error; }); }
  close({ user }) { return this.fault('close', this.interop(this.users[user])); }
  swallow({ user, n }) { return this.fault('swallow_ack', this.interop(this.users[user]), { count: n }); }
  duplicate({ user, n }) { return this.fault('duplicate', this.interop(this.users[user]), { direction: 'to_client', tag: 'message', count: n }); }
  hold({ user }) { return this.fault('hold', this.interop(this.users[user]), { count: -1 }); }
  async unhold() {
    for (const fault of await this.rig.sim.api('GET', '/faults'))
      if (fault.kind === 'hold') await this.rig.sim.api('DELETE', `/faults/${fault.id}`);
  }
  pause() { return this.rig.sim.api('POST', '/pause', {}); }
  resume() { return this.rig.sim.api('POST', '/resume', {}); }

  async spoil({ user, phone, n }) {
    const mine = n % 2 === 0;
    const target = mine ? this.interop(this.users[user]) : this.phones[phone].number;
    const before = this.spoilt.get(target) ?? 0;
    if (before + 2 > kMostSpoilt) return;
    this.spoilt.set(target, before + 2);
    for (const lane of this.lanes) if (mine ? lane.user === this.users[user] : lane.phone === this.phones[phone]) lane.unordered = true;
    await this.fault('spoil', target, { count: 2 });
  }

  async device({ phone, n }) {
    const id = 4 + this.devices[phone].length;
    if (this.devices[phone].length > 3) return;
    await this.rig.sim.api('POST', `/accounts/${this.phones[phone].number}/devices`, { id, notify: n % 2 === 0 });
    this.devices[phone].push(id);
  }

  read({ phone }) { return this.rig.sim.api('POST', `/phones/${this.phones[phone].number}/read`, {}); }

  // ---- the end ----

  // Undisturbed it all comes to an end.
  async settle() {
    const { provider, rig, deadlineMs } = this;
    await rig.sim.clearFaults();
    await this.resume();
    for (const user of this.users) this.attach(user);
    await provider.until(() => this.users.every((u) => provider.user(u).link === 'UP'), 'links up', deadlineMs);
    const deadline = Date.now() + deadlineMs;
    while (this.lanes.some((l) => l.open.size)) {
      if (Date.now() > deadline) throw new Error(`submits are refused on and on: ${[...this.refusals]}`);
      for (const lane of this.lanes) {
        lane.again = true;  // nothing new
        this.submit(lane, 0);
      }
      await provider.until(() => this.lanes.every((l) => l.open.size === 0), 'submits answered', 1000).catch(() => {});
    }
    await provider.until(() => this.open().length === 0, 'messages settled', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${this.open().slice(0, 5)}`); });
    await provider.until(() => this.untold().length === 0, 'inbound told', deadlineMs)
      .catch((error) => { throw new Error(`${error.message}: ${this.untold().slice(0, 5)}`); });
    for (const phone of this.phones)
      await rig.sim.waitForInbox(phone.number, (all) => this.missing(phone, all).length === 0, deadlineMs)
        .catch((error) => { throw new Error(`${error.message}: of ${phone.number}`); });
  }

  requests(lane) { return [...lane.accepted.keys()].map((n) => `${this.lanes.indexOf(lane)}-${n}`); }
  open() {
    return this.lanes.flatMap((lane) => this.requests(lane).filter((id) => !kEnds.has(this.provider.states(lane.user, id).at(-1))));
  }
  told(lane) {
    return this.provider.received(lane.user).map((m) => m.content.text.body).filter((t) => t.startsWith(`${lane.phone.number}>`));
  }
  untold() {
    return this.lanes.flatMap((lane) => {
      const told = new Set(this.told(lane));
      return lane.wrote.filter((text) => !told.has(text));
    });
  }
  expected(lane) { return [...lane.accepted.keys()].sort((a, b) => a - b).map((n) => this.text(lane, n)); }
  missing(phone, inbox) {
    const there = new Set(inbox.map((m) => m.text));
    return this.lanes.filter((l) => l.phone === phone).flatMap((l) => this.expected(l)).filter((t) => !there.has(t));
  }

  async check() {
    const { provider, rig } = this;
    for (const [p, phone] of this.phones.entries()) {
      for (const device of this.devices[p]) {
        const { messages } = await rig.sim.api('GET', `/phones/${phone.number}/inbox?device=${device}`);
        for (const lane of this.lanes.filter((l) => l.phone === phone)) {
          const shown = messages.map((m) => m.text).filter((t) => t.startsWith(`${lane.user}>`));
          const what = `${lane.user} at device ${device} of ${phone.number}`;
          assert.equal(new Set(shown).size, shown.length, `${what}: once each`);
          // A device that came later has what was sent to it since.
          const whole = device === 0;
          const expected = whole ? this.expected(lane) : this.expected(lane).filter((t) => shown.includes(t));
          assert.deepEqual(lane.unordered ? shown.toSorted() : shown, lane.unordered ? expected.toSorted() : expected, `${what}: what was accepted, in order`);
        }
      }
    }
    for (const lane of this.lanes) {
      const told = this.told(lane);
      assert.deepEqual(lane.unordered ? told.toSorted() : told, lane.unordered ? lane.wrote.toSorted() : lane.wrote,
        `${lane.phone.number} to ${lane.user}: once and in order`);
      for (const id of this.requests(lane)) {
        const states = provider.states(lane.user, id);
        assert.deepEqual(states, kOrder.filter((s) => states.includes(s)), `${id} of ${lane.user}: forwards, once each`);
      }
    }
    for (const user of this.users) this.checkPending(user);
    assert.deepEqual(await rig.sim.violations(), [], 'what the far side saw');
    assert.deepEqual(provider.violations, [], 'what the provider saw');
    const sum = (count) => this.lanes.reduce((n, lane) => n + count(lane), 0);
    return { outbound: sum((l) => l.accepted.size), inbound: sum((l) => l.wrote.length) };
  }

  // Every PENDING event is named by exactly one that says what became of it.
  checkPending(user) {
    const { events } = this.provider.user(user);
    for (const { seq } of events.filter((e) => e.messagePending)) {
      const later = events.filter((e) => (e.messageReceived ?? e.messageUndecryptable)?.earlierSeq === seq);
      assert.equal(later.length, 1, `event ${seq} of ${user} is PENDING`);
      assert.ok(later[0].messageReceived, `event ${seq} of ${user} was given up`);
    }
  }
}
