// Several gateways on one PostgreSQL, with the same keys, beside one simulator; and a backend's application that
// holds the library, or the example in C++, to what it promises.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Changes } from '../../conformance/lib/waiting.mjs';
import { Simulator } from '../../conformance/lib/sim.mjs';
import { Gateway, kIntegrator, kIssuer } from './gateway.mjs';
import { Postgres } from './postgres.mjs';
import { Provider } from './provider.mjs';

export class Replicas {
  static async start(count, options = {}) {
    const self = new Replicas();
    self.mark = randomBytes(4).toString('hex');
    self.count = 0;
    self.gateways = [];
    self.sim = await Simulator.start();
    self.postgres = await new Postgres().start();
    for (let i = 0; i < count; i++) {
      const first = self.gateways[0];
      const gateway = new Gateway({ sim: self.sim, postgres: first ? { uri: () => self.postgres.uri(first.database) } : self.postgres,
        dir: mkdtempSync(path.join(tmpdir(), 'gateway-')), ...options });
      if (first) {
        for (const folder of ['keys', 'certs']) cpSync(path.join(first.dir, folder), path.join(gateway.dir, folder), { recursive: true });
        Object.assign(gateway, { jwks: first.jwks, jwk: first.jwk });
        gateway.writeSettings();
      }
      self.gateways.push(await gateway.start());
    }
    await self.sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: self.gateways[0].jwks });
    return self;
  }

  get endpoints() { return this.gateways.map((g) => g.target); }
  get tls() { return { ...this.gateways[0].files(), serverName: 'localhost' }; }
  token = (user) => this.gateways[0].token(user);
  at(endpoint) { return this.gateways.find((g) => g.target === endpoint); }

  provider(gateway) {
    return new Provider({ target: gateway.target, files: this.gateways[0].files(), token: this.token, instance: `test-${++this.count}`, reconnect: true });
  }

  // Enlisted users, each with a phone of its own: {name, number, e164}.
  async pairs(count) {
    const provider = this.provider(this.gateways[0]);
    try {
      const pairs = [];
      for (let i = 0; i < count; i++) {
        const name = `user-${this.mark}-${++this.count}`;
        const number = `4915${String(55500000 + this.count)}`;
        await provider.call('enlist', { userId: name });
        await this.sim.addPhone({ number, opted_in: true, auto_delivered: true });
        pairs.push({ name, number, e164: `+${number}`, sent: [] });
      }
      return pairs;
    } finally { provider.close(); }
  }

  // What a user's events are acknowledged to, and the newest one.
  async seqs(gateway, name) {
    const provider = this.provider(gateway);
    try { return await provider.call('getUser', { userId: name }); } finally { provider.close(); }
  }

  async stop() {
    try { for (const gateway of this.gateways) await gateway.end(); } finally {
      await this.sim.stop();
      await this.postgres.remove();
    }
  }
}

// What an application stores, and what it must never be told.
export class Application {
  constructor() {
    this.changes = new Changes();
    this.users = new Map();  // name -> {finished, states: request id -> [state], received: [text], statuses: []}
    this.violations = [];
  }

  user(name) {
    if (!this.users.has(name)) this.users.set(name, { finished: 0, states: new Map(), received: [], statuses: [], place: undefined, link: 'DOWN' });
    return this.users.get(name);
  }

  // An event was stored.
  finish(name, seq, { requestId, state, text }) {
    const user = this.user(name);
    if (seq !== user.finished + 1) this.violations.push(`${name}: event ${seq} after ${user.finished}`);
    user.finished = seq;
    if (requestId) user.states.set(requestId, [...user.states.get(requestId) ?? [], state]);
    if (text !== undefined) user.received.push(text);
    this.changes.happened();
  }

  status(name, status) {
    const user = this.user(name);
    user.statuses.push(status);
    if (status.state === 'LINK') user.link = status.link;
    else {
      user.place = status.endpoint;
      user.link = 'DOWN';
    }
    this.changes.happened();
  }

  until(condition, what, deadlineMs = 20000) { return this.changes.waitFor(condition, deadlineMs, what); }
  untilUp(pairs) { return this.until(() => pairs.every(({ name }) => this.user(name).link === 'UP'), 'every link up'); }

  // Every accepted message is delivered, once and in order, and so its sender was told.
  async settled(sim, pairs) {
    await this.until(() => pairs.every(({ name, sent }) => sent.every(({ id }) => this.user(name).states.get(id)?.includes('DELIVERED'))),
      'DELIVERED of every accepted message', 30000);
    for (const { number, sent } of pairs) {
      const shown = await sim.waitForInbox(number, (all) => all.length >= sent.length);
      assert.deepEqual(shown.map((m) => m.text), sent.map(({ text }) => text));
    }
    for (const { states } of this.users.values()) {
      for (const [id, all] of states) assert.equal(new Set(all).size, all.length, `${id}: ${all}`);
    }
    assert.deepEqual(this.violations, []);
    assert.deepEqual(await sim.violations(), []);
  }
}
