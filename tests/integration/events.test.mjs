// Events that nobody acknowledges: they fill their bound, wait for a backend that starts anew, and come
// again from the number that it names. None is lost, none comes out of order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectProblem, milliseconds, refused } from './lib/errors.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const kMost = 16;  // events_per_user
let rig, slow;
before(async () => {
  rig = await Rig.start({ limits: { events_per_user: kMost } });
  slow = await rig.newProvider({ instance: 'slow', autoAck: false });
});
after(() => rig?.stop());

const interop = (user) => rig.interop(user);
const acknowledge = (user, seq) => slow.stream.write({ acknowledge: { userId: user, seq } });
const told = (user) => slow.call('GetUser', { userId: user });

// Phone to user; resolves with the texts, which the caller waits for.
async function write(user, phone, count) {
  const texts = Array.from({ length: count }, () => rig.text('inbound'));
  for (const text of texts) await rig.sim.send(phone.number, { integrator: 7, user }, text);
  return texts;
}
const bodies = (user) => slow.received(user).map((m) => m.content.text.body);
const arrive = (user, texts) => slow.until(() => bodies(user).length >= texts.length, 'inbound texts')
  .then(() => assert.deepEqual(bodies(user), texts));

// More than the bound has come: the link is closed, what comes now stays with WhatsApp.
async function fill(user, phone) {
  const link = rig.watch(user, slow);
  const before = await write(user, phone, kMost + 1);
  await link.goesDown('EVENTS_FULL');
  await arrive(user, before);
  const { logins } = (await interop(user)).devices[0];
  const queued = await write(user, phone, kMost / 2);
  assert.deepEqual(link.downs(), ['EVENTS_FULL']);
  assert.deepEqual([(await interop(user)).queued, (await interop(user)).online], [queued.length, false]);
  return { link, logins, texts: [...before, ...queued] };
}

test('EVENTS_FULL closes the link, WhatsApp queues, and acknowledging opens it again', async () => {
  const [user, phone] = [await rig.user('full', slow), await rig.phone()];
  const { link, logins, texts } = await fill(user, phone);

  const refusedText = rig.text('never');
  const id = rig.nextId();
  const { error } = await slow.send(user, id, phone.e164, refusedText);
  expectProblem(error, 'THROTTLED', /waits/);
  assert.ok(milliseconds(error.retryAfter) > 0);
  await refused(slow.call('SendMessage', slow.text(user, id, phone.e164, refusedText)), 'RESOURCE_EXHAUSTED', 'THROTTLED', /waits/);

  // Half of the bound still waits: not yet.
  const last = slow.user(user).stored;
  const half = last - kMost / 2;
  acknowledge(user, half);
  await eventually(async () => (await told(user)).ackedSeq === half, 'acknowledged');
  assert.equal((await told(user)).linkState, 'LINK_STATE_DOWN');
  assert.equal((await interop(user)).devices[0].logins, logins);

  acknowledge(user, last);
  await slow.until(() => slow.user(user).link === 'UP', 'link up');
  assert.ok(link.tokenWanted(), 'a fresh token was asked for');
  await arrive(user, texts);
  acknowledge(user, slow.user(user).stored);
  await eventually(async () => (await interop(user)).queued === 0, 'an empty mailbox');

  // The same request id, accepted now and sent once.
  const accepted = await eventually(async () => {
    slow.results.clear();
    return (await slow.send(user, id, phone.e164, refusedText)).accepted;
  }, 'accepted');
  assert.match(accepted.messageId, /^[0-9A-F]{32}$/);
  phone.texts.push(refusedText);
  await rig.works(user, phone, slow);
  assert.deepEqual(link.downs(), ['EVENTS_FULL']);
});

test('EVENTS_FULL outlives the gateway', async () => {
  const [user, phone] = [await rig.user('filled', slow), await rig.phone()];
  const { texts } = await fill(user, phone);
  await rig.gateway.kill();
  await rig.gateway.start();
  await slow.connect();
  Object.assign(slow.user(user), { stored: 0, events: [] });  // it had stored none of them
  const link = rig.watch(user, slow);
  slow.attach(user);
  await link.goesDown('EVENTS_FULL');
  await arrive(user, texts.slice(0, kMost + 1));
  assert.equal((await told(user)).linkState, 'LINK_STATE_DOWN');
  acknowledge(user, slow.user(user).stored);
  await slow.until(() => slow.user(user).link === 'UP', 'link up');
  await arrive(user, texts);
  acknowledge(user, slow.user(user).stored);
  await eventually(async () => (await interop(user)).queued === 0, 'an empty mailbox');
  await rig.works(user, phone, slow);
});

test('room for events again opens no link before the end of a ban', async () => {
  const kBanMs = 4000;
  const brief = await Rig.start({ limits: { events_per_user: kMost, waiting_timeout: '1s' } });
  try {
    const unread = await brief.newProvider({ instance: 'unread', autoAck: false });
    const [user, phone] = [await brief.user('both', unread), await brief.phone()];
    const link = brief.watch(user, unread);
    const { logins_refused: before } = await brief.sim.stats();
    await brief.fault('refuse_login', user, { code: 402, expire: kBanMs / 1000 });
    await brief.fault('close', user);
    await link.goesDown('TEMPORARILY_BANNED');
    const began = Date.now();
    for (let i = 0; i <= kMost; i++)
      assert.ok((await unread.send(user, brief.nextId(), phone.e164, brief.text('never'))).accepted);
    await link.goesDown('EVENTS_FULL');
    unread.stream.write({ acknowledge: { userId: user, seq: await unread.until(() => unread.user(user).stored > kMost && unread.user(user).stored, 'EXPIRED') } });
    await unread.until(() => link.downs().at(-1) === 'TEMPORARILY_BANNED', 'the ban, told again');
    assert.deepEqual(link.downs(), ['CONNECTION_LOST', 'TEMPORARILY_BANNED', 'EVENTS_FULL', 'TEMPORARILY_BANNED']);
    await unread.until(() => unread.user(user).link === 'UP', 'link up');
    assert.ok(Date.now() - began > kBanMs - 100, `${Date.now() - began} ms`);
    assert.equal((await brief.sim.stats()).logins_refused, before + 1, 'nothing was tried meanwhile');
    await brief.works(user, phone, unread);
  } finally {
    await brief.stop();
  }
});

test('an attach that names what is stored: the events behind it come again, and they alone', async () => {
  const [user, phone] = [await rig.user('resume', slow), await rig.phone()];
  const texts = await write(user, phone, 9);
  await arrive(user, texts);
  const all = [...slow.user(user).events];
  assert.deepEqual(all.map((e) => e.seq), [1, 2, 3, 4, 5, 6, 7, 8, 9]);

  // On the same stream, on another one, and at the next gateway: 4, then 6 are stored, the rest is not.
  const again = async (stored) => {
    Object.assign(slow.user(user), { stored, events: all.slice(0, stored), attached: false });
    await slow.attachAndWait(user);
    await slow.until(() => slow.user(user).stored === all.length, 'the events behind it');
    assert.deepEqual(slow.user(user).events, all);
    await eventually(async () => (await told(user)).ackedSeq === stored, 'acknowledged by the attach');
  };
  slow.stream.write({ detach: { userId: user } });
  await slow.until(() => slow.user(user).detached, 'Detached');
  await again(4);
  await slow.connect();
  await again(6);
  await rig.gateway.kill();
  await rig.gateway.start();
  await slow.connect();
  await again(6);

  // Below what is acknowledged it counts for nothing; what was acknowledged can still be read.
  const older = await slow.call('ListEvents', { userId: user });
  assert.deepEqual(older.events, all);
  const page = await slow.call('ListEvents', { userId: user, afterSeq: 6, pageSize: 2 });
  assert.deepEqual([page.events, page.nextAfterSeq], [all.slice(6, 8), 8]);
  acknowledge(user, all.length);
  const sent = await rig.works(user, phone, slow);
  assert.ok(slow.states(user, sent.id).includes('SENT'));
});

// All pages of that many users, by user.
async function pending(pageSize, provider = slow) {
  const users = new Map();
  for (let pageToken = ''; ;) {
    const page = await provider.call('ListUsersWithPendingEvents', { pageSize, pageToken });
    assert.ok(page.users.length <= pageSize);
    for (const { userId, ackedSeq, lastSeq } of page.users) {
      assert.ok(!users.has(userId), 'told once');
      users.set(userId, [ackedSeq, lastSeq]);
    }
    if (!page.nextPageToken) return users;
    pageToken = page.nextPageToken;
  }
}

test('users with pending events are listed, page by page, until they acknowledged', async () => {
  const phone = await rig.phone();
  const users = [];
  for (const count of [1, 2, 3, 4, 5]) {
    const user = await rig.user('pending', slow);
    users.push(user);
    await arrive(user, await write(user, phone, count));
  }
  const quiet = await rig.user('quiet', slow);
  for (const size of [1, 2, 1000]) {
    const found = await pending(size);
    assert.deepEqual(users.map((u) => found.get(u)), [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]);
    assert.ok(!found.has(quiet));
  }
  assert.equal((await pending(1000, await rig.newOther())).size, 0, 'another provider sees none of them');

  acknowledge(users[0], 1);
  acknowledge(users[4], 3);
  await eventually(async () => {
    const found = await pending(2);
    return !found.has(users[0]) && found.get(users[4])[0] === 3;
  }, 'acknowledged');

  // A backend that starts anew after the gateway did: it finds whom to attach, and what waits comes.
  await rig.gateway.kill();
  await rig.gateway.start();
  const fresh = rig.provider = await rig.newProvider({ instance: 'fresh' });
  const found = await pending(2, fresh);
  assert.deepEqual(users.map((u) => found.get(u)), [undefined, [0, 2], [0, 3], [0, 4], [3, 5]]);
  for (const user of users.slice(1)) {
    const [acked, last] = found.get(user);
    fresh.user(user).stored = acked;
    await fresh.attachAndWait(user);
    await fresh.until(() => fresh.user(user).stored === last, 'what waited');
    assert.deepEqual(fresh.user(user).events, slow.user(user).events.slice(acked));
  }
  await eventually(async () => {
    const left = await pending(1000, fresh);
    return !users.some((user) => left.has(user));
  }, 'nobody is left');
  await rig.works(users[1], await rig.phone(), fresh);
});

test('a page token that is none, and a page that is too large', async () => {
  await refused(rig.provider.call('ListUsersWithPendingEvents', { pageToken: 'nonsense' }), 'INVALID_ARGUMENT', 'PAGE_TOKEN_INVALID', /./);
  await refused(rig.provider.call('ListUsersWithPendingEvents', { pageSize: 1001 }), 'INVALID_ARGUMENT', 'PAGE_SIZE_INVALID', /1000/);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
