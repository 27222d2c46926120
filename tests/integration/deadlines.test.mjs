// Messages that do not get through in time: EXPIRED when they never left, UNCONFIRMED when they left and
// were never acked. The provider is told, by an event or, without a client, by ListEvents.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { node, plain } from './lib/octets.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const kWaitingMs = 2000;
const kResendMs = 60_000;  // the least that the settings take
let rig, provider;
before(async () => {
  rig = await Rig.start({ limits: { waiting_timeout: `${kWaitingMs}ms`, resend_window: '1m' } });
  provider = rig.provider;
});
after(() => rig?.stop());

const statusOf = (events, id) => events.filter((e) => e.messageStatus?.requestId === id)
  .map((e) => [e.messageStatus.state, e.messageStatus.reason].map((s) => s.replace(/^.*_(STATE|REASON)_/, '')));
const statuses = (user, id) => statusOf(provider.user(user).events, id);
const stored = async (user, id) => statusOf((await provider.call('ListEvents', { userId: user, pageSize: 1000 })).events, id);

async function message(user, sent) {
  const { state, reason } = await provider.call('GetMessage', { userId: user, messageId: sent.messageId });
  return [state, reason].map((s) => s.replace(/^.*_(STATE|REASON)_/, ''));
}

// Accepted, and never to arrive.
async function doomed(user, to) {
  const [id, text] = [rig.nextId(), rig.text('never')];
  const { accepted } = await provider.send(user, id, to.e164, text);
  assert.equal(accepted?.state, 'MESSAGE_STATE_WAITING');
  return { id, text, messageId: accepted.messageId, at: Date.now() };
}

async function expired(user, to, sent, reason) {
  await provider.until(() => statuses(user, sent.id).length > 0, 'its end');
  assert.ok(Date.now() - sent.at >= kWaitingMs - 100, `${Date.now() - sent.at} ms`);
  assert.deepEqual(statuses(user, sent.id), [['EXPIRED', reason]]);
  assert.deepEqual(await message(user, sent), ['EXPIRED', reason]);
  // Its request id is spent: the first answer comes again, and nothing is sent.
  provider.results.delete(`${user}/${sent.id}`);
  const { accepted } = await provider.send(user, sent.id, to.e164, sent.text);
  assert.deepEqual([accepted.messageId, accepted.state], [sent.messageId, 'MESSAGE_STATE_EXPIRED']);
}

// No login works until the function that it returns is called.
async function linkDown(user) {
  const link = rig.watch(user);
  const { id } = await rig.fault('refuse_login', user, { code: 503, count: -1 });
  await rig.fault('close', user);
  await link.goesDown('SERVER_UNAVAILABLE');
  return async () => {
    await rig.sim.api('DELETE', `/faults/${id}`);
    await provider.until(() => provider.user(user).link === 'UP', 'link up');
  };
}

const late = {};  // what the first test begins and the last ones see the end of

test('messages whose acks never come leave, and are not told of', async () => {
  const user = late.user = await rig.user('unconfirmed');
  const absent = late.absent = await rig.user('left');
  const phone = late.phone = await rig.phone();
  const other = late.other = await rig.phone();
  await rig.works(user, phone);
  await rig.works(absent, other);
  for (const name of [user, absent]) await rig.fault('swallow_ack', name, { count: -1 });
  late.began = Date.now();
  late.sent = [await rig.send(user, phone), await rig.send(user, phone)];
  late.absentSent = await rig.send(absent, other);
  await rig.arrived(phone);
  await rig.arrived(other);
  provider.stream.write({ detach: { userId: absent } });
  await provider.until(() => provider.user(absent).detached, 'Detached');
  for (const sent of late.sent) assert.deepEqual(await message(user, sent), ['READY', 'UNSPECIFIED']);
});

test('EXPIRED: no link in time', async () => {
  const [user, phone] = [await rig.user('linkless'), await rig.phone()];
  await rig.works(user, phone);
  const up = await linkDown(user);
  const stranger = await rig.phone();
  const [known, unknown] = [await doomed(user, phone), await doomed(user, stranger)];
  await expired(user, phone, known, 'LINK_TIMEOUT');
  await expired(user, stranger, unknown, 'LINK_TIMEOUT');
  await up();
  await rig.works(user, phone);
  await rig.works(user, stranger);
});

test('EXPIRED: the contact\'s keys did not come in time; other contacts do not wait', async () => {
  const [user, phone, silent] = [await rig.user('keyless'), await rig.phone(), await rig.phone()];
  await rig.fault('swallow_iq', user, { xmlns: 'usync' });
  const sent = await doomed(user, silent);
  await rig.works(user, phone);
  await expired(user, silent, sent, 'KEYS_TIMEOUT');
  assert.equal(provider.user(user).link, 'UP');
  assert.deepEqual(await rig.sim.inbox(silent.number), []);
  late.silent = { user, silent };
});

test('EXPIRED: of a user whose client has gone, and over a restart', async () => {
  const [user, phone] = [await rig.user('gone'), await rig.phone()];
  await rig.works(user, phone);
  const up = await linkDown(user);
  const sent = await doomed(user, phone);
  provider.stream.write({ detach: { userId: user } });
  await provider.until(() => provider.user(user).detached, 'Detached');
  await eventually(async () => (await stored(user, sent.id)).length > 0, 'its end');
  assert.deepEqual(await stored(user, sent.id), [['EXPIRED', 'LINK_TIMEOUT']]);
  provider.attach(user);
  await expired(user, phone, sent, 'LINK_TIMEOUT');

  const crashed = await doomed(user, phone);
  await rig.gateway.kill();
  await rig.gateway.start();
  await provider.connect();
  await eventually(async () => (await stored(user, crashed.id)).length > 0, 'its end');
  assert.deepEqual(await stored(user, crashed.id), [['EXPIRED', 'LINK_TIMEOUT']]);
  provider.attach(user);
  await expired(user, phone, crashed, 'LINK_TIMEOUT');
  await up();
  await rig.works(user, phone);
});

test('UNCONFIRMED: the identical bytes left again at each link-up, and then no more', async () => {
  const { user, phone, sent } = late;
  const repeats = async () => (await rig.sim.stats()).repeats_dropped;
  for (let ups = 0; ups < 2; ups++) {
    const before = await repeats();
    const link = rig.watch(user);
    if (ups === 0) await provider.attachAndWait(user);  // the gateway was killed
    else {
      await rig.fault('close', user);
      await link.comesBack('CONNECTION_LOST');
    }
    await eventually(async () => await repeats() === before + sent.length, 'the same bytes once more');
  }
  assert.ok(Date.now() - late.began < kResendMs, 'too slow for this test');
  for (const { id } of sent) assert.deepEqual(statuses(user, id), []);

  await provider.until(() => sent.every(({ id }) => statuses(user, id).length > 0), 'UNCONFIRMED', kResendMs + 10_000);
  assert.ok(Date.now() - late.began >= kResendMs - 100, `${Date.now() - late.began} ms`);
  for (const each of sent) {
    assert.deepEqual(statuses(user, each.id), [['UNCONFIRMED', 'UNSPECIFIED']]);
    assert.deepEqual(await message(user, each), ['UNCONFIRMED', 'UNSPECIFIED']);
  }
  const told = provider.user(user).events.filter((e) => e.messageStatus?.state === 'MESSAGE_STATE_UNCONFIRMED');
  assert.deepEqual(told.map((e) => e.messageStatus.requestId), sent.map(({ id }) => id), 'in order');

  const before = await repeats();
  const link = rig.watch(user);
  await rig.fault('close', user);
  await link.comesBack('CONNECTION_LOST');
  const { id: faults } = (await rig.sim.api('GET', '/faults')).find((f) => f.target === `7-${user}`);
  await rig.sim.api('DELETE', `/faults/${faults}`);
  await rig.works(user, phone);
  assert.equal(await repeats(), before, 'they do not leave again');
});

test('UNCONFIRMED: of a user whose client has gone', async () => {
  const { absent, absentSent: { id }, other } = late;
  await eventually(async () => (await stored(absent, id)).length > 0, 'its end');
  assert.deepEqual(await stored(absent, id), [['UNCONFIRMED', 'UNSPECIFIED']]);
  await rig.sim.clearFaults();
  await provider.attachAndWait(absent);
  await rig.works(absent, other);
  assert.deepEqual(statuses(absent, id), [['UNCONFIRMED', 'UNSPECIFIED']]);
});

test('a late ack, and a late receipt, still follow', async () => {
  const { user, phone, sent: [acked, read] } = late;
  const ack = node('ack', { class: 'message', id: acked.messageId, from: `${phone.lid}@lid`, t: String(Math.floor(Date.now() / 1000)) });
  await rig.sim.api('POST', '/raw', { target: `7-${user}`, hex: plain(ack).toString('hex') });
  await provider.until(() => statuses(user, acked.id).length === 2, 'SENT');
  await rig.sim.api('POST', `/phones/${phone.number}/read`, {});
  await provider.until(() => statuses(user, read.id).length === 2 && statuses(user, acked.id).length === 3, 'READ');
  assert.deepEqual(statuses(user, acked.id).map(([state]) => state), ['UNCONFIRMED', 'SENT', 'READ']);
  assert.deepEqual(statuses(user, read.id).map(([state]) => state), ['UNCONFIRMED', 'READ']);
  assert.deepEqual(await message(user, acked), ['READ', 'UNSPECIFIED']);
  await rig.works(user, phone);
});

test('a contact whose keys did not come in time can be written to later', async () => {
  const { user, silent } = late.silent;
  await provider.attachAndWait(user);
  await rig.works(user, silent);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
