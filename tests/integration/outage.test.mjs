// WhatsApp is away as a whole, and comes back: links are no longer opened but to try, tokens are not
// spent in vain, and afterwards not everybody logs in at once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Simulator } from '../conformance/lib/sim.mjs';
import { Gate } from './lib/gate.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const kUsers = 6;
const kFailures = 3;
const kRate = { first: 10, most: 20 };
let rig, provider, gate, users, phone;
before(async () => {
  const sim = await Simulator.start();
  gate = await Gate.listen(sim.tcpPort);
  rig = await Rig.start({ sim, port: gate.port, whatsapp: `
  connect_timeout: 1s
  reconnect: {first: 50ms, most: 1s}
  openings: {first: ${kRate.first}, most: ${kRate.most}}
  outage: {failures: ${kFailures}, probe_first: 400ms, probe_most: 1s}` });
  provider = rig.provider;
  phone = await rig.phone();
  users = [];
  for (let i = 0; i < kUsers; i++) users.push(await rig.user('user'));
});
after(async () => {
  await rig?.stop();
  await gate?.stop();
});

const metric = (name) => rig.gateway.metric(`interop_gateway_${name}`);
const down = (user) => provider.user(user).link === 'DOWN' && provider.user(user).linkReason === 'ENDPOINT_DOWN';
const wanted = (from) => provider.frames.slice(from).filter((f) => f.tokenWanted).map((f) => f.tokenWanted.userId);
// Seen by the log, where each change of state is one line.
const changes = () => rig.gateway.log().split('\n').filter((line) => line.includes('"endpoint_'))
  .map((line) => JSON.parse(line).event).filter((event) => event !== 'endpoint_ramped');

async function allUpAgain() {
  await provider.until(() => users.every((user) => provider.user(user).link === 'UP'), 'all links up');
  assert.equal(await metric('endpoint_down'), 0);
  assert.equal(await metric('endpoint_openings_waiting'), 0);
  for (const user of users) await rig.works(user, phone);
}

for (const [what, begin, end] of [
  ['nobody is there', () => gate.refuse(), () => gate.allow()],
  ['it takes connections and says nothing', () => { gate.silent = true; gate.cut(); }, () => { gate.silent = false; gate.cut(); }],
  ['it says that it is out of service', () => rig.sim.addFault({ kind: 'refuse_login', target: 'all', code: 503, count: -1 })
    .then(() => rig.sim.addFault({ kind: 'close', target: 'all' })), () => rig.sim.clearFaults()],
]) {
  test(`an outage: ${what}`, async () => {
    const [outages, before] = [await metric('endpoint_outages_total'), changes().length];
    const from = provider.frames.length;
    await begin();
    await provider.until(() => users.filter(down).length >= kUsers / 2, 'ENDPOINT_DOWN');
    assert.equal(await metric('endpoint_down'), 1);
    assert.equal(await metric('endpoint_openings_per_second'), 0);
    // One at a time is tried, however many there are; who waits need not give a token.
    const [opened, probes, asked] = [await metric('link_opened_total'), await metric('endpoint_probes_total'), wanted(from).length];
    await eventually(async () => await metric('endpoint_probes_total') >= probes + 3, 'three probes');
    const more = [await metric('link_opened_total') - opened, await metric('endpoint_probes_total') - probes];
    assert.ok(more[0] <= more[1] + 2, `${more}`);
    assert.ok(wanted(from).length - asked <= more[1] + 2, `${wanted(from).length} tokens, ${asked} before, ${more[1]} probes`);
    await end();
    await allUpAgain();
    // What nobody took was kept for the next try.
    if (what === 'nobody is there') assert.deepEqual(wanted(from).sort(), [...users].sort());
    assert.equal(await metric('endpoint_outages_total'), outages + 1);
    assert.deepEqual(changes().slice(before), ['endpoint_down', 'endpoint_answers']);
  });
}

test('a token keeps through an outage, and one that got old is asked for anew', async () => {
  await gate.refuse();
  await provider.until(() => users.filter(down).length >= kUsers / 2, 'ENDPOINT_DOWN');
  const [fresh, old] = [rig.name('fresh'), rig.name('old')];
  for (const user of [fresh, old]) await provider.call('enlist', { userId: user });
  const { logins_refused: refused } = await rig.sim.stats();
  const from = provider.frames.length;
  const lifetime = 2;
  provider.options.token = (user) => rig.token(user, user === old ? { lifetime } : {});
  const began = Date.now();
  provider.attach(old);
  provider.attach(fresh);
  await provider.until(() => down(fresh) && down(old), 'ENDPOINT_DOWN for who comes now');
  provider.options.token = rig.token;
  await eventually(() => Date.now() > began + lifetime * 1000, 'an old token');
  await gate.allow();
  users.push(fresh, old);
  await allUpAgain();
  assert.ok(wanted(from).includes(old));
  assert.ok(!wanted(from).includes(fresh), 'its token never left the gateway');
  assert.equal((await rig.sim.stats()).logins_refused, refused);
});

test('one user\'s trouble is not the endpoint\'s', async () => {
  const [user, outages] = [users[0], await metric('endpoint_outages_total')];
  const link = rig.watch(user);
  const { id } = await rig.fault('refuse_login', user, { code: 503, count: -1 });
  await rig.fault('close', user);
  await provider.until(() => link.downs().length > kFailures + 1, 'refusals');
  assert.equal(await metric('endpoint_outages_total'), outages);
  await rig.sim.api('DELETE', `/faults/${id}`);
  await allUpAgain();
});

test('after a restart they log in one after the other', async () => {
  for (let i = users.length; i < 40; i++) {
    const user = rig.name('many');
    await provider.call('enlist', { userId: user });
    users.push(user);
  }
  await rig.gateway.end();
  await rig.gateway.start();
  await provider.connect();
  const from = provider.frames.length;
  const began = Date.now();
  for (const user of users) provider.attach(user);
  await provider.until(() => users.every((user) => provider.user(user).link === 'UP'), 'all links up');
  const seconds = (Date.now() - began) / 1000;
  assert.ok(seconds > (users.length - 2 - 1) / kRate.most, `${users.length} links within ${seconds} s`);
  const reasons = new Set(provider.frames.slice(from).filter((f) => f.linkStatus?.state === 'LINK_STATE_DOWN').map((f) => f.linkStatus.reason));
  assert.deepEqual([...reasons], ['RAMPING']);
  await allUpAgain();
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
