// What the network does to a link: nobody there, nobody who answers, silence, and flipped bits in the
// handshake. Each is told by its own reason, the link comes back by itself, and nothing is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Simulator } from '../conformance/lib/sim.mjs';
import { read } from './lib/errors.mjs';
import { Gate } from './lib/gate.mjs';
import { random } from './lib/random.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const seed = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const kConnectMs = 1000;
let rig, provider, gate;
before(async () => {
  const sim = await Simulator.start();
  gate = await Gate.listen(sim.tcpPort);
  rig = await Rig.start({ sim, port: gate.port, whatsapp:
    `  connect_timeout: ${kConnectMs}ms
  reconnect: {first: 100ms, most: 1s}
  keepalive: {interval: 1s, deadline: 1s}` });
  provider = rig.provider;
});
after(async () => {
  await rig?.stop();
  await gate?.stop();
});

const logins = async (user) => (await rig.interop(user)).devices[0].logins;

// A text each way while the link is away; once it is back both are there, with all that came before.
async function whileAway(user, phone, trouble) {
  await rig.works(user, phone);
  const link = rig.watch(user);
  const heal = await trouble(link);
  const sent = await rig.send(user, phone);
  const told = await rig.inbound(user, phone, 2);
  const { state } = await provider.call('GetMessage', { userId: user, messageId: sent.messageId });
  assert.ok(['MESSAGE_STATE_WAITING', 'MESSAGE_STATE_READY'].includes(state), state);
  await heal();
  await provider.until(() => provider.user(user).link === 'UP', 'link up');
  assert.ok(link.tokenWanted(), 'a fresh token was asked for');
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await told();
  await rig.works(user, phone);
  return link.downs();
}

test('nobody answers the door: CONNECT_FAILED, until somebody does', async () => {
  const [user, phone] = [await rig.user('closed'), await rig.phone()];
  const downs = await whileAway(user, phone, async (link) => {
    await gate.refuse();
    await link.goesDown('CONNECT_FAILED');
    const asked = await provider.call('GetContact', { userId: user, contact: { e164: (await rig.phone()).e164 } })
      .then(() => assert.fail('answered'), read);
    assert.deepEqual([asked.code, asked.reason], ['UNAVAILABLE', 'LINK_DOWN']);
    return () => gate.allow();
  });
  assert.equal(downs[0], 'CONNECTION_LOST');
  assert.deepEqual([...new Set(downs.slice(1))], ['CONNECT_FAILED']);
});

test('a server that takes the connection and says nothing: CONNECT_TIMEOUT', async () => {
  const [user, phone] = [await rig.user('mute'), await rig.phone()];
  const began = Date.now();
  const downs = await whileAway(user, phone, async (link) => {
    gate.silent = true;
    gate.cut();
    await link.goesDown('CONNECT_TIMEOUT');
    assert.ok(Date.now() - began >= kConnectMs, 'as long as it is set');
    return () => { gate.silent = false; };
  });
  // The silence may have been noticed before the connection was gone.
  assert.deepEqual([...new Set(downs.slice(1))], ['CONNECT_TIMEOUT']);
});

test('a login that is not answered: CONNECT_TIMEOUT', async () => {
  const [user, phone] = [await rig.user('unheard'), await rig.phone()];
  const downs = await whileAway(user, phone, async (link) => {
    const { id } = await rig.fault('drop', user, { direction: 'to_client', tag: 'success', count: -1 });
    await rig.fault('close', user);
    await link.goesDown('CONNECT_TIMEOUT');
    return () => rig.sim.api('DELETE', `/faults/${id}`);
  });
  assert.equal(downs[0], 'CONNECTION_LOST');
  assert.deepEqual([...new Set(downs.slice(1))], ['CONNECT_TIMEOUT']);
});

test('silence on the wire: SILENT', async () => {
  const [user, phone] = [await rig.user('silent'), await rig.phone()];
  const before = await rig.gateway.metric('interop_gateway_link_silent_total');
  const downs = await whileAway(user, phone, async (link) => {
    gate.silent = true;
    await link.goesDown('SILENT');
    return () => { gate.silent = false; gate.cut(); };
  });
  assert.equal(downs[0], 'SILENT');
  assert.ok(await rig.gateway.metric('interop_gateway_link_silent_total') > before);
});

// Behind it the link waits for octets that nobody sends; what does come, answers to its keepalives too,
// is no sign of life.
test('a frame that claims to be much longer than it is: SILENT', async () => {
  const [user, phone] = [await rig.user('endless'), await rig.phone()];
  const downs = await whileAway(user, phone, async (link) => {
    const flip = gate.arm({ way: 'down', unit: 'frame', connection: gate.count, kind: 'corrupt', where: 'length', part: 0, bit: 0 });
    await link.goesDown('SILENT');
    assert.ok(flip.struck);
    return () => {};
  });
  assert.equal(downs[0], 'SILENT');
});

test('a server that stops answering one user: SILENT, and the others live on', async () => {
  const [user, other] = [await rig.user('unanswered'), await rig.user('bystander')];
  const [phone, otherPhone] = [await rig.phone(), await rig.phone()];
  const otherLogins = await logins(other);
  const downs = await whileAway(user, phone, async (link) => {
    const { id } = await rig.fault('drop', user, { direction: 'to_client', count: -1 });
    await link.goesDown('SILENT');
    await rig.works(other, otherPhone);
    return () => rig.sim.api('DELETE', `/faults/${id}`);
  });
  assert.equal(downs[0], 'SILENT');
  assert.equal(await logins(other), otherLogins);
});

// A user of its own each: a refused try makes the next one wait longer.
async function flipped(word, where, reasons) {
  const [user, phone] = [await rig.user(word), await rig.phone()];
  await rig.works(user, phone);
  // The next connection has to be this user's.
  await provider.until(() => [...provider.users.values()].every((u) => u.link === 'UP'), 'all links up');
  const [link, before] = [rig.watch(user), await logins(user)];
  const flip = gate.arm({ connection: gate.count + 1, kind: 'corrupt', part: next(), bit: Math.floor(next() * 8), ...where });
  await rig.fault('close', user);
  const sent = await rig.send(user, phone);
  const told = await rig.inbound(user, phone);
  await provider.until(() => link.downs().length >= 2, 'the flipped bit to be noticed');
  await provider.until(() => provider.user(user).link === 'UP', 'link up');
  assert.ok(flip.struck, 'a bit was flipped');
  const [first, second, ...more] = link.downs();
  assert.equal(first, 'CONNECTION_LOST');
  assert.ok(reasons.includes(second), `${second}, not ${reasons}`);
  assert.deepEqual(more, []);
  assert.equal(await logins(user), before + 1);
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await told();
  await rig.works(user, phone);
}

const next = random(seed);
// A frame's length is authenticated by nothing: too short is cut wrongly, too long waits for more than
// there is.
const kHandshake = [
  ['the client\'s header', { way: 'up', index: -1, where: 'body' }, ['CONNECTION_LOST']],
  ['the client\'s hello', { way: 'up', index: 0, where: 'body' }, ['CONNECTION_LOST', 'HANDSHAKE_FAILED']],
  ['the length of the client\'s hello', { way: 'up', index: 0, where: 'length' }, ['CONNECTION_LOST', 'HANDSHAKE_FAILED', 'CONNECT_TIMEOUT']],
  ['the server\'s hello', { way: 'down', index: 0, where: 'body' }, ['HANDSHAKE_FAILED']],
  ['the length of the server\'s hello', { way: 'down', index: 0, where: 'length' }, ['HANDSHAKE_FAILED', 'BAD_FRAME', 'CONNECT_TIMEOUT']],
  ['the client\'s finish, which holds the login', { way: 'up', index: 1, where: 'body' }, ['CONNECTION_LOST']],
  ['the length of the client\'s finish', { way: 'up', index: 1, where: 'length' }, ['CONNECTION_LOST', 'CONNECT_TIMEOUT']],
];
for (const [name, where, reasons] of kHandshake) {
  test(`a flipped bit in ${name} (GW_SEED=${seed})`, async () => {
    for (let i = 0; i < 2; i++) await flipped('bit', where, reasons);
  });
}

test('neither log nor metrics name anybody', async () => {
  await eventually(async () => (await rig.sim.api('GET', '/faults')).length === 0, 'no fault is left');
  await rig.checkNothingTold();
});
