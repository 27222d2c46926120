// Simulator, gateway and one provider, as all cells share them.
import { Gateway, kIntegrator, kIssuer } from '../../integration/lib/gateway.mjs';
import { Provider } from '../../integration/lib/provider.mjs';
import { trustRoot } from '../lib/baileys_client.mjs';
import { Simulator } from '../lib/sim.mjs';

// What cannot signal is asked for until it holds: another process's state.
export async function eventually(look, what, deadlineMs = 15_000) {
  for (const end = Date.now() + deadlineMs; ;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class World {
  static async start() {
    const world = new World();
    const sim = world.sim = await Simulator.start();
    trustRoot(sim.rootKey);
    const gateway = world.gateway = await new Gateway({ sim }).start();
    await sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: gateway.jwks });
    world.provider = new Provider({ target: gateway.target, files: gateway.files(), token: (user) => gateway.token(user) });
    await world.provider.connect();
    return world;
  }

  users = 0;

  // A user that is attached and that nobody has written to yet.
  async user() {
    const user = new User(this, `user${++this.users}`);
    await this.provider.call('enlist', { userId: user.name });
    await user.attach();
    ({ lid: user.lid } = await user.seen());
    return user;
  }

  // Messages of this account or of this user arrive damaged, so many `enc`.
  spoil(target, count) { return this.sim.addFault({ kind: 'spoil', target, count }); }
  async nothingLeftToSpoil() {
    await eventually(async () => (await this.sim.api('GET', '/faults')).length === 0, 'all of them spoilt');
  }

  async stop() {
    this.provider?.close();
    try { await this.gateway?.end(); } finally { await this.sim?.stop(); }
  }
}

// One user of the provider, and what the provider was told of it.
class User {
  constructor(world, name) {
    Object.assign(this, { world, name, provider: world.provider, account: `${kIntegrator}-${name}`, requests: 0 });
  }

  get jid() { return `${this.lid}@lid`; }
  attach() { return this.provider.attachAndWait(this.name); }
  async detach() {
    this.provider.stream.write({ detach: { userId: this.name } });
    await this.provider.until(() => this.provider.user(this.name).detached, 'detached');
    await eventually(async () => !(await this.seen()).online, 'link closed');
  }
  // The old keys are destroyed.
  async enlistAnew() {
    await this.provider.call('withdraw', { userId: this.name });
    await eventually(async () => !(await this.seen()).online, 'link closed');
    await this.provider.call('enlist', { userId: this.name });
    await this.attach();
  }
  async seen() { return (await this.world.sim.interop()).find((u) => u.user === this.name); }

  // Resolves once it is accepted, with {request, messageId}.
  async send(e164, text) {
    const request = `r${++this.requests}`;
    const result = await this.provider.send(this.name, request, e164, text);
    if (!result.accepted) throw new Error(`not accepted: ${JSON.stringify(result.error)}`);
    return { request, messageId: result.accepted.messageId };
  }
  states({ request }) { return this.provider.states(this.name, request); }
  waitForState(sent, state) {
    return this.provider.until(() => this.states(sent).includes(state), `${state} of ${sent.request}`);
  }

  events(kind) { return this.provider.user(this.name).events.filter((e) => e[kind]); }
  waitForEvent(kind) { return this.provider.until(() => this.events(kind)[0], kind); }
  received() { return this.provider.received(this.name); }
  texts() { return this.received().map((m) => m.content.text.body); }
  waitForText(text) {
    return this.provider.until(() => this.received().find((m) => m.content.text.body === text), `'${text}' at the provider`);
  }
}
