// Seeded runs: a plan of faults (lib/plan.mjs) strikes between gateway and WhatsApp and at the commits,
// while users and phones write to each other; then it ends, and everything has to settle. GW_SEED is the
// first seed, so GW_SEED=n replays n, and with GW_SEEDS=1 nothing else. All seeds of a store share one
// gateway, each has users and phones of its own.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Simulator, buildFolder } from '../conformance/lib/sim.mjs';
import { PostgresProtocol } from '../integration/lib/framing.mjs';
import { Gate } from '../integration/lib/gate.mjs';
import { kIntegrator } from '../integration/lib/gateway.mjs';
import { Postgres } from '../integration/lib/postgres.mjs';
import { eventually } from '../integration/lib/rig.mjs';
import { Load, stage } from './lib/load.mjs';
import { Plan } from './lib/plan.mjs';

const first = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const count = Number(process.env.GW_SEEDS ?? (process.env.GW_LONG ? 200 : 20));
const kUnsent = 4;       // messages of a conversation that are under way
const kPlanMs = 60000;   // until every strike of a plan has struck
const kSettleMs = 30000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const postgres = new Postgres();
before(() => postgres.start());
after(() => postgres.remove());

// Simulator, gates, database and gateway for all seeds of a store.
class Stage {
  mark = randomBytes(3).toString('hex');  // in every name and text
  count = 0;

  constructor(store) { this.store = store; }

  async start() {
    this.sim = await Simulator.start();
    this.whatsapp = await Gate.listen(this.sim.tcpPort);
    Object.assign(this, await stage({
      port: this.whatsapp.port,
      whatsapp: '  connect_timeout: 1s\n  keepalive:\n    interval: 1s\n    deadline: 300ms',
      extra: 'log:\n  level: debug\n',
      ...(this.store === 'PostgreSQL' ? await this.postgres() : { binary: path.join(buildFolder(), 'tests/fault/faulty_gateway'), commands: true }),
    }, this.sim));
    for (const gate of [this.whatsapp, this.database]) if (gate) gate.onStruck = () => this.provider.changes.happened();
    return this;
  }

  async postgres() {
    this.database = await Gate.listen(`${postgres.dir}/.s.PGSQL.5432`, PostgresProtocol);
    const uri = (name) => {
      postgres.uri(name);
      return `host=127.0.0.1 port=${this.database.port} user=gateway dbname=${name} sslmode=disable gssencmode=disable`;
    };
    return { postgres: { uri } };
  }

  async stop() {
    this.provider?.close();
    try {
      await this.gateway?.end();
    } finally {
      await this.whatsapp?.stop();
      await this.database?.stop();
      await this.sim?.stop();
    }
  }

  // Users and phones whose names occur nowhere else.
  load() {
    const n = ++this.count;
    return new Load({ unsent: kUnsent, users: ['a', 'b'].map((x) => `${x}${n}-${this.mark}`),
      phones: [1, 2].map((x) => `4915${String(x * 10000000 + n)}`) });
  }

  // Resolves when nothing can strike any more that is not seen to.
  async strike(plan) {
    for (const s of plan.whatsapp) this.whatsapp.arm(s);
    if (this.store === 'PostgreSQL') for (const s of plan.store) this.database.arm(s);
    else await this.atCommits(plan.store);
  }

  async atCommits(strikes) {
    for (const s of strikes) {
      await this.gateway.tell(`pass ${s.after}`);
      if (s.reopen) await this.gateway.tell(`no-reopen ${s.reopen}`);
      await this.gateway.tell(s.command);
      if (s.command === 'hang') {
        await this.gateway.tell('hanging');
        await sleep(s.ms);
        await this.gateway.tell('release');
      } else {
        await this.gateway.tell('struck');
      }
      s.struck = true;
      this.provider.changes.happened();
    }
  }

  heal() {
    this.whatsapp.disarm();
    this.database?.disarm();
  }
}

async function run(stage, plan, load) {
  const striking = stage.strike(plan);
  striking.catch(() => {});
  await load.join(stage);
  await load.attach();
  load.running = true;
  load.fill();
  const end = Date.now() + kPlanMs;
  while (!plan.done) {
    assert.ok(Date.now() < end, `the plan is not done within ${kPlanMs} ms`);
    await load.phonesWrite(1);
    const moment = load.moments + 20;
    await stage.provider.until(() => load.moments >= moment || plan.done, 'traffic', kPlanMs);
  }
  await striking;
  stage.heal();
  await load.settle(kSettleMs);
  await load.delivered(kSettleMs);
  await eventually(async () => (await stage.sim.interop()).filter((u) => load.users.includes(u.user)).every((u) => u.queued === 0),
    'empty mailboxes', kSettleMs);
  const counted = await load.check();
  stage.provider.onDetached = () => {};
  for (const user of load.users) stage.provider.stream.write({ detach: { userId: user } });
  await stage.provider.until(() => load.users.every((u) => !stage.provider.user(u).attached), 'Detached');
  return counted;
}

async function checkGateway({ gateway, mark, sim }) {
  const log = gateway.log();
  assert.match(log, /serving/);
  assert.ok(!log.includes(mark), 'a name or a text in the log');
  assert.ok(!log.includes('192.0.2.17'), 'an address in the log');
  for (const { number } of await sim.accounts()) assert.ok(!log.includes(number), 'a number in the log');
  assert.equal((await fetch(`${gateway.operator}/healthz`)).status, 200);
}

const replay = (seed) => `GW_SEED=${seed} GW_SEEDS=1 tests/run fault`;

function seeds(store) {
  let on;
  after(() => on?.stop());
  for (let seed = first; seed < first + count; seed++) {
    test(`seed ${seed} on ${store}`, async (t) => {
      const plan = new Plan(seed, store);
      let load;
      try {
        on ??= await new Stage(store).start();
        load = on.load();
        const { outbound, inbound } = await run(on, plan, load);
        await checkGateway(on);
        t.diagnostic(`${outbound} messages out, ${inbound} in`);
      } catch (error) {
        t.diagnostic(`the plan of ${replay(seed)}:\n${plan.text()}\n${load?.provider ? load.text() : ''}`);
        const spoilt = on;
        on = undefined;
        await spoilt?.stop().catch((e) => t.diagnostic(`and ended so: ${e.message}`));
        throw error;
      }
    });
  }
}

describe('faults by seed', { concurrency: 2 }, () => {
  for (const store of ['SQLite', 'PostgreSQL']) describe(store, { concurrency: 1 }, () => seeds(store));
});
