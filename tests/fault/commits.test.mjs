// The whole gateway over a database whose commits fail, hang, or answer "unknown" before or after they
// took place, and whose fresh connections fail too. GW_SEED replays a run.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { buildFolder } from '../conformance/lib/sim.mjs';
import { sql } from '../integration/lib/database.mjs';
import { expectProblem, refused } from '../integration/lib/errors.mjs';
import { Postgres } from '../integration/lib/postgres.mjs';
import { Rig, eventually } from '../integration/lib/rig.mjs';
import { Load, random } from './lib/load.mjs';

const seed = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const kStrikes = 10;  // of each kind of fault, at least
const binary = path.join(buildFolder(), 'tests/fault/faulty_gateway');

async function loaded(t, options) {
  const load = new Load({ gatewayOptions: { binary, ...options } });
  t.after(() => load.stop());
  await load.start();
  load.running = true;
  load.fill();
  return load;
}

// What the gateway counted since its start.
async function counters({ gateway }) {
  const changeSets = (outcome) => gateway.metric('interop_gateway_store_change_sets_total', `{outcome="${outcome}"}`);
  return {
    failed: await changeSets('failed'),
    found: await changeSets('found_applied'),
    unknown: await gateway.metric('interop_gateway_store_unknown_outcomes_total'),
    frozen: await gateway.metric('interop_gateway_steps_frozen_total'),
  };
}

async function ends(t, load) {
  await load.settle();
  const counted = await load.check();
  assert.ok(counted.outbound > 100, `only ${counted.outbound} messages`);
  t.diagnostic(`${counted.outbound} messages out, ${counted.inbound} in`);
}

// The faults that are to strike, and those that must not have: how many, in the gateway's own counters.
const kCases = {
  'commits that fail': { rates: ['--fail', '0.1'], some: ['failed', 'frozen'], none: ['unknown', 'found'] },
  'unknown, and nothing was written': { rates: ['--unknown-before', '0.2', '--reopen', '0.3'], some: ['unknown'], none: ['found', 'failed'] },
  'unknown, and all was written': { rates: ['--unknown-after', '0.2', '--reopen', '0.3'], some: ['unknown', 'found'], none: ['failed'] },
  'all of it': { rates: ['--fail', '0.05', '--unknown-before', '0.1', '--unknown-after', '0.1', '--reopen', '0.2'],
    some: ['failed', 'unknown', 'found'], none: [] },
};

const postgres = new Postgres();
before(() => postgres.start());
after(() => postgres.remove());

const kStores = { SQLite: undefined, PostgreSQL: postgres };
const kRuns = Object.entries(kCases).flatMap(([name, c]) => Object.entries(kStores).map(([store, on]) => [`${name}, on ${store}`, on, c]));
for (const [name, on, { rates, some, none }] of kRuns) {
  test(`${name} (GW_SEED=${seed})`, async (t) => {
    const load = await loaded(t, { postgres: on, args: ['--seed', String(seed), ...rates] });
    await load.phonesWrite(10);
    await load.provider.until(() => load.moments > 1500, '1500 results and events', 60000);
    await eventually(async () => {
      const struck = await counters(load);
      return some.every((each) => struck[each] >= kStrikes);
    }, `${kStrikes} faults of each kind`, 60000);
    await ends(t, load);
    const struck = await counters(load);
    for (const each of none) assert.equal(struck[each], 0, each);
    t.diagnostic(JSON.stringify(struck));
  });
}

// The next commit hangs; resolves when it does.
async function hang({ gateway }) {
  await gateway.tell('hang');
  await gateway.tell('hanging');
}

test(`commits that hang for a moment (GW_SEED=${seed})`, async (t) => {
  const next = random(seed);
  const load = await loaded(t, { commands: true });
  for (let i = 0; i < 20; i++) {
    const moment = load.moments + Math.floor(next() * 100);
    const writing = load.phonesWrite(1);
    await load.provider.until(() => load.moments >= moment, `moment ${moment} of hang ${i}`, 60000);
    await hang(load);
    const commits = await load.gateway.metric('interop_gateway_store_commits_total');
    await load.provider.call('ListEvents', { userId: load.users[i % load.users.length] });  // reading goes on
    assert.equal(await load.gateway.metric('interop_gateway_store_commits_total'), commits, 'nothing is committed');
    await load.gateway.tell('release');
    await writing;
  }
  assert.deepEqual([...load.refusals.keys()].filter((r) => r !== 'THROTTLED'), []);
  await ends(t, load);
});

test('a commit that hangs for long: what is behind it is refused, links stay, and nothing is lost', async (t) => {
  const load = await loaded(t, { commands: true });
  const { provider, gateway, sim, users, phones } = load;
  await provider.until(() => load.moments > 300, '300 results and events', 60000);
  await hang(load);
  const began = Date.now();
  await load.phonesWrite(2);
  const text = provider.text(users[0], 'alone', `+${phones[0]}`, 'never told');
  const alone = refused(provider.call('sendMessage', text, 30000), 'UNAVAILABLE', 'STORE_UNAVAILABLE', /try again/);
  // Of the load perhaps nothing is behind the commit: its windows may be in it, whole.
  assert.ok((await alone).retryMs > 0);
  assert.ok(Date.now() - began > 2000, `${Date.now() - began} ms: a moment is waited for`);
  assert.ok(Date.now() - began < 10000, `${Date.now() - began} ms`);
  const health = await fetch(`${gateway.operator}/healthz`);
  assert.equal(health.status, 200);
  for (const user of users) assert.equal(provider.user(user).link, 'UP');
  assert.ok((await sim.interop()).every((u) => u.devices[0].logins === 1));
  assert.ok((await sim.stats()).queued > 0, 'what phones wrote waits at WhatsApp');
  await gateway.tell('release');
  await ends(t, load);
  assert.equal((await sim.stats()).queued, 0);
  assert.ok(!(await sim.inbox(phones[0])).some((m) => m.text === 'never told'), 'what was refused was not sent');
});

test('a repeat behind the commit that holds the first: nobody is told that it was not stored', async (t) => {
  const rig = await Rig.start({ binary, commands: true });
  t.after(() => rig.stop());
  const { provider, gateway } = rig;
  const [user, phone] = [await rig.user('writer'), await rig.phone()];
  await rig.works(user, phone);
  const message = (body) => provider.text(user, rig.nextId(), phone.e164, body);
  const [text, other] = [rig.text(), message(rig.text())];
  const same = message(text);
  await gateway.tell('hang');
  const first = provider.call('SendMessage', same, 60000);
  await gateway.tell('hanging');
  provider.submit([same, other]);
  const repeat = refused(provider.call('SendMessage', same, 60000), 'UNAVAILABLE', 'OUTCOME_UNKNOWN', /same request_id/);
  const result = (m) => provider.until(() => provider.result(user, m.requestId), m.requestId, 30000);
  assert.ok((await repeat).retryMs > 0);
  expectProblem((await result(same)).error, 'OUTCOME_UNKNOWN', /same request_id/);
  expectProblem((await result(other)).error, 'STORE_UNAVAILABLE', /same request_id/);
  await gateway.tell('release');
  const { messageId } = await first;
  assert.equal((await provider.call('SendMessage', same)).messageId, messageId);
  phone.texts.push(text);
  await rig.arrived(phone);
});

test('who gave up on a user behind a commit that hangs has not taken it', async (t) => {
  const rig = await Rig.start({ binary, commands: true });
  t.after(() => rig.stop());
  const { provider, gateway } = rig;
  const [user, phone] = [await rig.user('writer'), await rig.phone()];
  await rig.works(user, phone);
  const other = rig.name('other');
  await provider.call('enlist', { userId: other });
  const terms = () => sql(path.join(gateway.dir, 'gateway.db'), 'SELECT uid, term FROM account ORDER BY uid');
  const before = terms();
  await gateway.tell('hang');
  const first = rig.send(user, phone);
  await gateway.tell('hanging');
  await refused(provider.call('UpdateUser', { userId: other, readReceipts: false }, 30000),
    'UNAVAILABLE', 'STORE_UNAVAILABLE', /try again/);
  await gateway.tell('release');
  await first;
  await rig.works(user, phone);  // its commits are behind where the claim stood
  assert.equal(terms(), before);
  await provider.attachAndWait(other);
  assert.notEqual(terms(), before);
});

test('a gateway that is killed while a commit hangs', async (t) => {
  const load = await loaded(t, { commands: true });
  for (let i = 0; i < 5; i++) {
    const moment = load.moments + 100;
    await load.provider.until(() => load.moments >= moment, `moment ${moment} of kill ${i}`, 60000);
    await hang(load);
    await load.phonesWrite(1);
    await load.gateway.kill();
    await load.gateway.start();
    await load.recover();
  }
  await ends(t, load);
});
