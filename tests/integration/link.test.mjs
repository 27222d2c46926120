// What WhatsApp's side may do to a link: damage, silence, ends of every kind. Nothing is lost and
// nothing comes twice, and other users' links live on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectProblem } from './lib/errors.mjs';
import { Rig, eventually } from './lib/rig.mjs';

let rig, provider, bystander, bystanderPhone;
before(async () => {
  rig = await Rig.start({ whatsapp: '  reconnect: {first: 100ms, most: 1s}' });
  provider = rig.provider;
  bystander = await rig.user('bystander');
  bystanderPhone = await rig.phone();
});
after(() => rig?.stop());

const fault = (...args) => rig.fault(...args);
const watch = (user) => rig.watch(user);
const inbound = (...args) => rig.inbound(...args);

async function othersLive() {
  await rig.works(bystander, bystanderPhone);
  assert.equal((await rig.interop(bystander)).devices[0].logins, 1);
}

for (const tag of ['ack', 'message', 'iq']) {
  test(`a flipped bit in a frame from WhatsApp (${tag})`, async () => {
    const phone = await rig.phone();
    const user = await rig.user('bit');
    await rig.works(user, phone);
    const link = watch(user);
    await fault('corrupt', user, { direction: 'to_client', tag, seed: 7 });
    const sent = await rig.send(user, tag === 'iq' ? await rig.phone() : phone);
    const told = await inbound(user, phone, 2);
    await link.comesBack('BAD_FRAME');
    assert.deepEqual(link.downs(), ['BAD_FRAME']);
    await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
    await told();
    await rig.works(user, phone);
    await othersLive();
  });
}

test('a flipped bit in the answer to the login (success)', async () => {
  const phone = await rig.phone();
  const user = await rig.user('success');
  await rig.works(user, phone);
  const link = watch(user);
  await fault('corrupt', user, { direction: 'to_client', tag: 'success', seed: 7 });
  const { logins } = (await rig.interop(user)).devices[0];
  await fault('close', user);
  const sent = await rig.send(user, phone);
  const told = await inbound(user, phone, 2);
  await link.comesBack('BAD_FRAME');
  assert.deepEqual(link.downs(), ['CONNECTION_LOST', 'BAD_FRAME']);
  assert.equal((await rig.interop(user)).devices[0].logins, logins + 2, 'a login that was not heard of, and another one');
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await told();
  await rig.works(user, phone);
  await othersLive();
});

test('a flipped bit in a receipt from WhatsApp: the states are told after the next login', async () => {
  const phone = await rig.phone();
  const user = await rig.user('receipt');
  const sent = await rig.works(user, phone);
  const link = watch(user);
  await fault('corrupt', user, { direction: 'to_client', tag: 'receipt', seed: 7 });
  const told = await inbound(user, phone);  // what is behind it is not lost either
  await rig.sim.api('POST', `/phones/${phone.number}/read`, {});
  await link.comesBack('BAD_FRAME');
  assert.deepEqual(link.downs(), ['BAD_FRAME']);
  await provider.until(() => provider.states(user, sent.id).includes('READ'), 'READ');
  assert.deepEqual(provider.states(user, sent.id), ['SENT', 'READ']);
  await told();
  await rig.works(user, phone);
  await othersLive();
});

test('a flipped bit in a receipt to WhatsApp: the message comes again and is told once', async () => {
  const phone = await rig.phone();
  const user = await rig.user('outreceipt');
  await rig.works(user, phone);
  const settled = () => eventually(async () => (await rig.interop(user)).queued === 0, 'an empty mailbox');
  await settled();
  const link = watch(user);
  const { client_frames_bad: before } = await rig.sim.stats();
  await fault('corrupt', user, { direction: 'from_client', seed: 7 });  // the receipt is the next frame
  await (await inbound(user, phone))();
  await link.comesBack('CONNECTION_LOST');
  assert.equal((await rig.sim.stats()).client_frames_bad, before + 1);
  await settled();
  await (await inbound(user, phone, 2))();
  await rig.works(user, phone);
  await othersLive();
});

test('a flipped bit in a frame to WhatsApp', async () => {
  const phone = await rig.phone();
  const user = await rig.user('outbit');
  await rig.works(user, phone);
  const link = watch(user);
  await fault('corrupt', user, { direction: 'from_client', seed: 7 });
  const sent = await rig.send(user, phone);
  await link.comesBack('CONNECTION_LOST');
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await rig.works(user, phone);
  await othersLive();
});

test('a connection that is cut in the middle', async () => {
  const phone = await rig.phone();
  const user = await rig.user('cut');
  await rig.works(user, phone);
  const link = watch(user);
  for (let i = 0; i < 20; i++) await rig.send(user, phone);
  const told = await inbound(user, phone, 5);
  await fault('close', user);
  for (let i = 0; i < 5; i++) await rig.send(user, phone);
  await link.comesBack('CONNECTION_LOST');
  await told();
  await rig.works(user, phone);
  await othersLive();
});

test('a login that another one replaces: Detached REPLACED, and a new attach', async () => {
  const phone = await rig.phone();
  const user = await rig.user('replaced');
  await rig.works(user, phone);
  await fault('replace', user);
  const detached = await provider.until(() => provider.user(user).detached, 'Detached');
  assert.equal(detached.reason, 'DETACH_REASON_REPLACED');
  assert.equal(provider.user(user).linkReason, 'REPLACED');
  const { error } = await provider.send(user, rig.nextId(), phone.e164, rig.text('never'));
  expectProblem(error, 'NO_CLIENT', /attach/);
  await provider.attachAndWait(user);
  await rig.works(user, phone);
  await othersLive();
});

test('an ack that never comes: the same bytes on the next link, and SENT', async () => {
  const phone = await rig.phone();
  const user = await rig.user('ackless');
  await rig.works(user, phone);
  await fault('swallow_ack', user);
  const sent = await rig.send(user, phone);
  await rig.arrived(phone);
  assert.deepEqual(provider.states(user, sent.id), []);
  const { repeats_dropped: before } = await rig.sim.stats();
  const link = watch(user);
  await fault('close', user);
  await link.comesBack('CONNECTION_LOST');
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  assert.equal((await rig.sim.stats()).repeats_dropped, before + 1);
  await rig.works(user, phone);
});

test('a message that WhatsApp refuses', async () => {
  const phone = await rig.phone();
  const user = await rig.user('refused');
  await fault('nack', user);
  const [id, text] = [rig.nextId(), rig.text('never')];
  assert.ok((await provider.send(user, id, phone.e164, text)).accepted);
  await provider.until(() => provider.states(user, id).length > 0, 'its end');
  assert.deepEqual(provider.states(user, id), ['REJECTED']);
  const status = provider.user(user).events.findLast((e) => e.messageStatus).messageStatus;
  assert.equal(status.reason, 'REJECT_REASON_REFUSED');
  await rig.works(user, phone);
});

test('the same stanza twice is one event', async () => {
  const phone = await rig.phone();
  const user = await rig.user('double');
  await rig.works(user, phone);
  await fault('duplicate', user, { direction: 'to_client', tag: 'message' });
  await (await inbound(user, phone))();
  await (await inbound(user, phone, 2))();
  // And once more on the next link, when its receipt got lost.
  const emptied = () => eventually(async () => (await rig.interop(user)).queued === 0, 'an empty mailbox');
  await emptied();
  await fault('drop', user, { direction: 'from_client', tag: 'receipt' });
  await (await inbound(user, phone))();
  await eventually(async () => (await rig.sim.api('GET', '/faults')).length === 0, 'a lost receipt');
  const link = watch(user);
  await fault('close', user);
  await link.comesBack('CONNECTION_LOST');
  await (await inbound(user, phone))();
  await emptied();
  await rig.works(user, phone);
});

// ---- every way in which WhatsApp ends or refuses a session ----

for (const [code, reason] of [[400, 'LOGIN_REFUSED'], [401, 'TOKEN_REFUSED'], [402, 'TEMPORARILY_BANNED'],
  [499, 'LOGIN_REFUSED'], [500, 'SERVER_UNAVAILABLE'], [501, 'SERVER_UNAVAILABLE'], [503, 'SERVER_UNAVAILABLE']]) {
  test(`a login that is refused for a while (${code})`, async () => {
    const [user, phone] = [await rig.user('later'), await rig.phone()];
    const link = watch(user);
    await fault('refuse_login', user, { code });
    await fault('close', user);
    await link.comesBack(reason);
    assert.deepEqual(link.downs(), ['CONNECTION_LOST', reason]);
    await rig.works(user, phone);
    await othersLive();
  });
}

for (const [kind, more, reason] of [['refuse_login', { code: 403 }, 'LOCKED'], ['refuse_login', { code: 405 }, 'CLIENT_OUTDATED'],
  ['refuse_login', { code: 406 }, 'BANNED'], ['refuse_login', { code: 409 }, 'BAD_USER_AGENT'],
  ['refuse_login', { code: 415 }, 'NOT_FOUND'], ['refuse_login', { code: 418 }, 'CLIENT_UNKNOWN'],
  ['stream_error', { code: 401 }, 'LOGGED_OUT'], ['stream_error', { conflict: 'device_removed' }, 'LOGGED_OUT']]) {
  test(`an end for good (${kind} ${Object.values(more)}): Detached LOGGED_OUT, and a new attach`, async () => {
    const [user, phone] = [await rig.user('ended'), await rig.phone()];
    const link = watch(user);
    await fault(kind, user, more);
    if (kind === 'refuse_login') await fault('close', user);
    const detached = await provider.until(() => provider.user(user).detached, reason);
    assert.equal(detached.reason, 'DETACH_REASON_LOGGED_OUT');
    assert.equal(link.downs().at(-1), reason);
    await provider.attachAndWait(user);
    await rig.works(user, phone);
    await othersLive();
  });
}

for (const [kind, more, reason] of [['stream_error', { code: 503 }, 'SERVER_GOING_AWAY'],
  ['stream_error', { code: 515 }, 'RESTART_REQUIRED'], ['stream_error', { code: 500 }, 'STREAM_ERROR'], ['end', {}, 'STREAM_ENDED']]) {
  test(`a stream that WhatsApp ends (${kind} ${Object.values(more)})`, async () => {
    const [user, phone] = [await rig.user('stream'), await rig.phone()];
    const link = watch(user);
    await rig.send(user, phone);
    await fault(kind, user, more);
    await link.comesBack(reason);
    assert.deepEqual(link.downs(), [reason]);
    await rig.works(user, phone);
    await othersLive();
  });
}

test('a conflict of a kind that nobody knows counts as replaced: nobody fights for the link', async () => {
  const user = await rig.user('conflict');
  await fault('stream_error', user, { conflict: 'unheard_of', code: 440 });
  const detached = await provider.until(() => provider.user(user).detached, 'Detached');
  assert.equal(detached.reason, 'DETACH_REASON_REPLACED');
});

test('a ban has its time, for a new attach as well', async () => {
  const kBanMs = 2000;
  const [user, phone] = [await rig.user('banned'), await rig.phone()];
  const { logins_refused: before } = await rig.sim.stats();
  let link = watch(user);
  await fault('refuse_login', user, { code: 402, expire: kBanMs / 1000 });
  await fault('close', user);
  await link.goesDown('TEMPORARILY_BANNED');
  const began = Date.now();
  link = watch(user);
  provider.attach(user);
  await link.goesDown('TEMPORARILY_BANNED');  // said again to who came
  await provider.until(() => provider.user(user).link === 'UP', 'link up');
  assert.ok(Date.now() - began > kBanMs - 100, `${Date.now() - began} ms`);
  assert.equal((await rig.sim.stats()).logins_refused, before + 1, 'nothing was tried meanwhile');
  assert.ok(!link.tokenWanted(), 'the token of the attach was still good');
  await rig.works(user, phone);
});

test('a ban has its time, for a client that was detached meanwhile as well', async () => {
  const kBanMs = 2000;
  const [user, phone] = [await rig.user('returns'), await rig.phone()];
  const { logins_refused: before } = await rig.sim.stats();
  let link = watch(user);
  await fault('refuse_login', user, { code: 402, expire: kBanMs / 1000 });
  await fault('close', user);
  await link.goesDown('TEMPORARILY_BANNED');
  const began = Date.now();
  provider.stream.write({ detach: { userId: user } });
  await provider.until(() => provider.user(user).detached, 'Detached');
  link = watch(user);
  provider.attach(user);
  await link.goesDown('TEMPORARILY_BANNED');
  await provider.until(() => provider.user(user).link === 'UP', 'link up');
  assert.ok(Date.now() - began > kBanMs - 100, `${Date.now() - began} ms`);
  assert.equal((await rig.sim.stats()).logins_refused, before + 1, 'nothing was tried meanwhile');
  assert.ok(!link.tokenWanted(), 'the token of the attach was still good');
  await rig.works(user, phone);
});

// ---- tokens ----

test('a token that is refused again and again: each time a fresh one is asked for, at growing pauses', async () => {
  const [user, phone] = [await rig.user('refusals'), await rig.phone()];
  const link = watch(user);
  await fault('refuse_login', user, { code: 401, count: 5 });
  const from = provider.frames.length;
  const began = Date.now();
  await fault('close', user);
  await provider.until(() => link.downs().length === 6 && provider.user(user).link === 'UP', 'link up');
  // 100 ms doubled up to 1 s, half of each by chance: these are the least.
  assert.ok(Date.now() - began > 50 + 100 + 200 + 400 + 500 + 500, `${Date.now() - began} ms`);
  assert.deepEqual(link.downs(), ['CONNECTION_LOST', ...Array(5).fill('TOKEN_REFUSED')]);
  assert.equal(provider.frames.slice(from).filter((f) => f.tokenWanted?.userId === user).length, 6);
  await rig.works(user, phone);
});

// Answers of a backend that open nothing: WhatsApp does not even see them.
for (const [reason, make] of [['TOKEN_EXPIRED', (user) => rig.token(user, { lifetime: -1 })],
  ['TOKEN_REFUSED', () => rig.token(bystander)], ['TOKEN_USED', (user, last) => last]]) {
  test(`a backend that answers TokenWanted with a bad one: ${reason}`, async () => {
    const [user, phone] = [rig.name('answers'), await rig.phone()];
    const backend = await rig.newProvider({ instance: `backend-${reason}` });
    await backend.call('enlist', { userId: user });
    let [last, bad] = [null, 0];
    backend.options.token = (of) => (bad-- > 0 ? make(of, last) : last = rig.token(of));
    await backend.attachAndWait(user);
    const { logins, logins_refused: refused } = await rig.sim.stats();
    const link = rig.watch(user, backend);
    bad = 2;
    await fault('close', user);
    await backend.until(() => link.downs().length === 3 && backend.user(user).link === 'UP', 'link up');
    assert.deepEqual(link.downs(), ['CONNECTION_LOST', reason, reason]);
    const now = await rig.sim.stats();
    assert.deepEqual([now.logins, now.logins_refused], [logins + 1, refused]);
    await rig.works(user, phone, backend);
    await othersLive();
  });
}

test('a token that opened a link opens no other one, after a detach neither', async () => {
  const [user, phone] = [rig.name('again'), await rig.phone()];
  const backend = await rig.newProvider({ instance: 'backend-again' });
  await backend.call('enlist', { userId: user });
  const used = [rig.token(user), rig.token(user)];
  for (const token of used) {
    backend.options.token = () => token;
    await backend.attachAndWait(user);
    backend.stream.write({ detach: { userId: user } });
    await backend.until(() => backend.user(user).detached, 'Detached');
  }
  const { logins, logins_refused: refused } = await rig.sim.stats();
  const link = rig.watch(user, backend);
  const tokens = [...used, rig.token(user)];
  backend.options.token = () => tokens.shift();
  await backend.attachAndWait(user);
  assert.deepEqual(link.downs(), ['TOKEN_USED', 'TOKEN_USED']);
  const now = await rig.sim.stats();
  assert.deepEqual([now.logins, now.logins_refused], [logins + 1, refused]);
  await rig.works(user, phone, backend);
});

test('a backend that does not answer TokenWanted: TOKEN_MISSING after 10 s, and asked again', async () => {
  const [user, phone] = [rig.name('unanswered'), await rig.phone()];
  const backend = await rig.newProvider({ instance: 'backend-slow' });
  await backend.call('enlist', { userId: user });
  await backend.attachAndWait(user);
  const link = rig.watch(user, backend);
  const from = backend.frames.length;
  const wanted = () => backend.frames.slice(from).filter((f) => f.tokenWanted?.userId === user).length;
  backend.options.withholdTokens = true;
  await fault('close', user);
  await backend.until(() => wanted() === 1, 'TokenWanted');
  const began = Date.now();
  await link.goesDown('TOKEN_MISSING');
  assert.ok(Date.now() - began > 9_500, `${Date.now() - began} ms`);
  backend.options.withholdTokens = false;
  await backend.until(() => backend.user(user).link === 'UP', 'link up');
  assert.equal(wanted(), 2);
  await rig.works(user, phone, backend);
  await othersLive();
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
