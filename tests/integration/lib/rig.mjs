// Simulator, gateway and providers as the tests of bad input need them; and the two oracles that end
// such a test: the phone has exactly what it should have, and nobody is named in log or metrics.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Simulator } from '../../conformance/lib/sim.mjs';
import { Gateway, kIntegrator, kIssuer } from './gateway.mjs';
import { Provider } from './provider.mjs';

const kOther = { id: 'other', integrator: 8, issuer: 'https://other.example' };
const kClientAddress = '192.0.2.17';

// What cannot signal is asked for until it holds: another process's state.
export async function eventually(look, what, deadlineMs = 15000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Rig {
  // options: those of Gateway; without `sim` one is started
  static async start(options = {}) {
    const rig = new Rig();
    rig.sim = options.sim ?? await Simulator.start();
    rig.gateway = await new Gateway({ sim: rig.sim, extra: 'log:\n  level: debug\n', ...options }).start();
    await rig.sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: rig.gateway.jwks });
    await rig.sim.addProvider({ ...kOther, jwks: rig.gateway.jwks });
    rig.provider = await rig.newProvider();
    return rig;
  }

  constructor() {
    this.providers = [];
    this.secrets = new Set([kClientAddress]);
    this.count = 0;
    this.mark = randomBytes(4).toString('hex');
  }

  token = (user, options) => {
    const token = this.gateway.token(user, options);
    this.secrets.add(token);
    return token;
  };

  async newProvider(options = {}) {
    const provider = new Provider({ target: this.gateway.target, files: this.gateway.files(),
      reconnect: true, token: this.token, ...options });
    this.providers.push(provider);
    await provider.connect();
    return provider;
  }

  // A second tenant.
  newOther(options = {}) {
    return this.newProvider({ files: this.gateway.files(kOther.id),
      token: (user) => this.token(user, { issuer: kOther.issuer }), ...options });
  }

  get database() { return this.gateway.database; }

  secret(text) {
    this.secrets.add(text);
    return text;
  }
  // Names and texts that occur nowhere else.
  name(word) { return this.secret(`${word}-${this.mark}-${++this.count}`); }
  text(word = 'text') { return this.secret(`${word} ${this.mark} ${++this.count}`); }

  // An enlisted user of the provider, its client attached and its link up.
  async user(word, provider = this.provider) {
    const name = this.name(word);
    if (provider.ended) await provider.connect();
    await provider.call('enlist', { userId: name });
    await provider.attachAndWait(name);
    return name;
  }

  // A simulated phone, and what it must show in the end.
  async phone(options = {}) {
    const number = this.secret(`4915${String(55500000 + ++this.count)}`);
    const account = await this.sim.addPhone({ number, opted_in: true, auto_delivered: false, ...options });
    this.secret(account.lid);
    return { number, e164: `+${number}`, lid: account.lid, texts: [] };
  }

  nextId() { return this.secret(`request-${this.mark}-${++this.count}`); }

  // One more text is accepted; it has to arrive.
  async send(user, phone, { provider = this.provider, text = this.text(), deadlineMs = undefined } = {}) {
    const id = this.nextId();
    const result = await provider.send(user, id, phone.e164, text, deadlineMs);
    assert.ok(result.accepted, JSON.stringify(result.error));
    phone.texts.push(text);
    return { id, messageId: result.accepted.messageId, text };
  }

  // The phone shows what was accepted for it, once each and in order, and nothing else.
  async arrived(phone) {
    const shown = await this.sim.waitForInbox(phone.number, (all) => all.length >= phone.texts.length);
    assert.deepEqual(shown.map((m) => m.text), phone.texts);
  }

  // After whatever went wrong: one more text of this user arrives, is acknowledged, and is all that came.
  async works(user, phone, provider = this.provider) {
    const sent = await this.send(user, phone, { provider });
    await this.arrived(phone);
    await provider.until(() => provider.states(user, sent.id).includes('SENT'), `SENT of ${sent.id}`);
    return sent;
  }

  // From a phone to the user; the function that it returns waits until they were told, once and in order.
  async inbound(user, phone, count = 1, provider = this.provider) {
    const before = provider.received(user).length;
    const texts = Array.from({ length: count }, () => this.text('inbound'));
    for (const text of texts) await this.sim.send(phone.number, { integrator: kIntegrator, user }, text);
    return async () => {
      await provider.until(() => provider.received(user).length >= before + count, 'inbound texts');
      assert.deepEqual(provider.received(user).slice(before).map((m) => m.content.text.body), texts);
    };
  }

  // The user's link from now on: reasons of its DOWNs, and waiting for one and the link after it.
  watch(user, provider = this.provider) {
    const from = provider.frames.length;
    const downs = () => provider.frames.slice(from).map((f) => f.linkStatus)
      .filter((s) => s?.userId === user && s.state === 'LINK_STATE_DOWN').map((s) => s.reason);
    const tokenWanted = () => provider.frames.slice(from).some((f) => f.tokenWanted?.userId === user);
    const goesDown = (reason) => provider.until(() => downs().includes(reason), reason).catch((error) => {
      throw new Error(`${error.message}; there were: ${downs()}`);
    });
    const comesBack = async (reason) => {
      await goesDown(reason);
      await provider.until(() => provider.user(user).link === 'UP', 'link up');
      assert.ok(tokenWanted(), 'a fresh token was asked for');
    };
    return { downs, tokenWanted, goesDown, comesBack };
  }

  fault(kind, user, more = {}) { return this.sim.addFault({ kind, target: `${kIntegrator}-${user}`, ...more }); }

  // What the simulator knows of a user.
  async interop(user) { return (await this.sim.interop()).find((u) => u.user === user); }

  async metrics() { return (await fetch(`${this.gateway.operator}/metrics`)).text(); }

  // Law 8, and the laws that the far side and the provider watch over.
  async checkNothingTold() {
    for (const { lid, number } of await this.sim.interop()) this.secrets.add(lid).add(number);
    const metrics = await this.metrics();
    const sample = /^[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="[^"\n]*",?)*\})? [-+0-9.eE]+(nan|inf)?$/i;
    for (const line of metrics.split('\n')) assert.ok(line === '' || line.startsWith('#') || sample.test(line), line);
    const log = this.gateway.log();
    assert.match(log, /serving/);
    for (const secret of this.secrets) {
      assert.ok(!metrics.includes(secret), `in /metrics: ${secret}`);
      assert.ok(!log.includes(secret), `in the log: ${secret}`);
    }
    assert.deepEqual(await this.sim.violations(), []);
    assert.deepEqual(this.providers.flatMap((p) => p.violations), []);
  }

  // Fails when one of the programs does not end as it should.
  async stop() {
    for (const provider of this.providers) provider.close();
    try { await this.gateway?.end(); } finally { await this.sim?.stop(); }
  }
}
