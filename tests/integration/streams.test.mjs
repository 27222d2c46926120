// Connect streams: in the wrong order, taken over, lost and opened again, with a full window.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectProblem, milliseconds, read, refused } from './lib/errors.mjs';
import { octetsOf } from './lib/provider.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const kWindow = 4;
const kGraceMs = 1500;
let rig, provider;
before(async () => {
  rig = await Rig.start({ limits: { submit_window: kWindow, attach_grace: `${kGraceMs}ms` } });
  provider = rig.provider;
});
after(() => rig?.stop());

const logins = async (user) => (await rig.interop(user)).devices[0].logins;

function endOf(from, code, reason, says) {
  return from.until(() => from.ended, reason).then((status) => {
    const end = read(status);
    assert.deepEqual([end.code, end.reason], [code, reason], end.message);
    assert.match(end.message, says);
  });
}

// A stream of its own, to which nobody says Hello.
function bareStream() {
  const stream = provider.openStream();
  const ended = new Promise((resolve) => stream.once('error', (error) => resolve(read(error))));
  stream.on('data', () => {});
  return { stream, ended };
}

test('a frame before Hello, or a Hello that is none', async () => {
  const phone = await rig.phone();
  const user = rig.name('early');
  await provider.call('Enlist', { userId: user });
  const hello = (more) => ({ hello: { instanceId: 'backend-2', eventWindow: 0, ...more } });
  for (const [frame, code, reason, says] of [
    [{ heartbeat: { nonce: 1 } }, 'FAILED_PRECONDITION', 'HELLO_MISSING', /first frame must be hello/],
    [{ attach: { userId: user, clientAddress: '192.0.2.17', token: rig.token(user) } }, 'FAILED_PRECONDITION', 'HELLO_MISSING', /first/],
    [{ submit: { messages: [provider.text(user, rig.nextId(), phone.e164, rig.text('never'))] } }, 'FAILED_PRECONDITION', 'HELLO_MISSING', /first/],
    [hello({ instanceId: '' }), 'INVALID_ARGUMENT', 'HELLO_INVALID', /1 to 64 printable/],
    [hello({ instanceId: 'x'.repeat(65) }), 'INVALID_ARGUMENT', 'HELLO_INVALID', /1 to 64 printable/],
    [hello({ eventWindow: 5000 }), 'INVALID_ARGUMENT', 'HELLO_INVALID', /at most 4096/]]) {
    const { stream, ended } = bareStream();
    stream.write(frame);
    const end = await ended;
    assert.deepEqual([end.code, end.reason], [code, reason]);
    assert.match(end.message, says);
  }
  assert.equal((await provider.call('GetUser', { userId: user })).attached, false);
  await provider.attachAndWait(user);
  await rig.works(user, phone);
});

test('a second Hello ends the stream, the client is adopted by the next', async () => {
  const phone = await rig.phone();
  const user = await rig.user('twice');
  const sent = await rig.send(user, phone);
  provider.stream.write({ hello: { instanceId: 'backend-1' } });
  await endOf(provider, 'FAILED_PRECONDITION', 'HELLO_REPEATED', /once/);
  await provider.connect();
  await provider.attachAndWait(user);
  assert.equal(await logins(user), 1);
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await rig.works(user, phone);
});

test('a frame over max_frame', async () => {
  const phone = await rig.phone();
  const user = await rig.user('large');
  const { maxFrame } = provider.welcome;
  const frame = (size) => Buffer.concat([octetsOf('Connect', { heartbeat: { nonce: 7 } }),
    Buffer.from('7a808080', 'hex'), Buffer.from([size >> 21]), Buffer.alloc(size)]);  // an unknown field
  provider.stream.write(frame(1 << 21 === maxFrame ? maxFrame : 5 << 20));
  const { code, reason, message } = read(await provider.until(() => provider.ended, 'the end'));
  assert.equal(code, 'RESOURCE_EXHAUSTED');
  assert.equal(reason, 'FRAME_TOO_LARGE');
  assert.match(message, new RegExp(`at most ${maxFrame} octets`));
  await provider.connect();
  await provider.attachAndWait(user);
  await rig.works(user, phone);
});

test('a stream that takes over: the clients are adopted without a new login', async () => {
  const phone = await rig.phone();
  const user = await rig.user('heir');
  const sent = await rig.send(user, phone);
  const before = await logins(user);
  const heir = await rig.newProvider();  // the same instance id
  await endOf(provider, 'ABORTED', 'SESSION_TAKEN_OVER', /newer stream/);
  heir.user(user).stored = provider.user(user).stored;  // the backend's own database
  heir.attach(user);
  await heir.until(() => heir.user(user).link === 'UP', 'link up');
  assert.equal(await logins(user), before);
  // Nobody tells of the text that was on its way but the events that were not acknowledged yet.
  await eventually(async () => (await heir.call('ListEvents', { userId: user })).events
    .some((e) => e.messageStatus?.requestId === sent.id && e.messageStatus.state === 'MESSAGE_STATE_SENT'), 'SENT');
  await rig.works(user, phone, heir);
  assert.equal(await logins(user), before);

  provider = rig.provider = heir;
});

test('a newer attach of the same user replaces the older one', async () => {
  const phone = await rig.phone();
  const user = await rig.user('replaced');
  const second = await rig.newProvider({ instance: 'backend-2' });
  second.attach(user);
  const detached = await provider.until(() => provider.user(user).detached, 'Detached');
  assert.equal(detached.reason, 'DETACH_REASON_REPLACED');
  const result = await provider.send(user, rig.nextId(), phone.e164, rig.text('never'));
  expectProblem(result.error, 'NO_CLIENT', /attach/);
  await second.until(() => second.user(user).link === 'UP', 'link up');
  await rig.works(user, phone, second);
  assert.equal(await logins(user), 1);
  provider.user(user).stored = second.user(user).stored;
  await provider.attachAndWait(user);
  await rig.works(user, phone);
  assert.equal(await logins(user), 1);
});

test('a stream lost and opened again within the grace: the link stays up', async () => {
  const phone = await rig.phone();
  const user = await rig.user('grace');
  await rig.works(user, phone);
  provider.stream.cancel();
  await eventually(async () => !(await provider.call('GetUser', { userId: user })).attached, 'the stream is lost');
  assert.equal((await rig.interop(user)).online, true);

  // The client is still there: what needs no stream goes on, and what comes in waits.
  const [id, text] = [rig.nextId(), rig.text()];
  const { message } = await provider.call('SendMessage', provider.text(user, id, phone.e164, text));
  assert.match(message.messageId, /^[0-9A-F]{32}$/);
  phone.texts.push(text);
  const answer = rig.text('answer');
  await rig.sim.send(phone.number, { integrator: 7, user }, answer);

  await provider.connect();
  await provider.attachAndWait(user);
  await provider.until(() => provider.received(user).some((m) => m.content.text.body === answer), 'the answer');
  await provider.until(() => provider.states(user, id).includes('SENT'), 'SENT');
  assert.equal(await logins(user), 1);
  await rig.works(user, phone);
});

// Nobody can be told; who comes for the client attaches it anew, and is told what becomes of that.
for (const [kind, more] of [['replace', {}], ['stream_error', { code: 401 }]]) {
  test(`WhatsApp ends a session for good within the grace (${kind}): the user is let go`, async () => {
    const patient = await Rig.start({ limits: { attach_grace: '1m' } });
    try {
      const phone = await patient.phone();
      const user = await patient.user('orphan');
      await patient.works(user, phone);
      patient.provider.stream.cancel();
      await eventually(async () => !(await patient.provider.call('GetUser', { userId: user })).attached, 'the stream is lost');
      await patient.fault(kind, user, more);
      await eventually(() => patient.provider.call('SendMessage', patient.provider.text(user, patient.nextId(), '+4915199999999', 'never'))
        .then(() => false, (error) => read(error).reason === 'NO_CLIENT'), 'let go');
      await patient.provider.connect();
      await patient.provider.attachAndWait(user);
      assert.equal((await patient.interop(user)).devices[0].logins, 2);
      await patient.works(user, phone);
    } finally {
      await patient.stop();
    }
  });
}

test('a stream lost and not opened again: the link closes, and a new attach opens it', async () => {
  const phone = await rig.phone();
  const user = await rig.user('lost');
  await rig.works(user, phone);
  provider.stream.cancel();
  await eventually(async () => !(await rig.interop(user)).online, 'the link closes');
  await refused(provider.call('SendMessage', provider.text(user, rig.nextId(), phone.e164, rig.text('never'))),
    'FAILED_PRECONDITION', 'NO_CLIENT', /attach/);
  await provider.connect();
  await provider.attachAndWait(user);
  assert.equal(await logins(user), 2);
  await rig.works(user, phone);
});

test('a full window: what is over it is THROTTLED, and goes later', async () => {
  const phone = await rig.phone();
  const user = await rig.user('window');
  await rig.works(user, phone);
  assert.equal(provider.welcome.submitWindow, kWindow);
  const texts = new Map(Array.from({ length: 3 * kWindow }, () => [rig.nextId(), rig.text()]));
  const submit = (ids) => {
    for (const id of ids) provider.results.delete(`${user}/${id}`);
    provider.submit(ids.map((id) => provider.text(user, id, phone.e164, texts.get(id))));
    return provider.until(() => {
      const all = ids.map((id) => provider.result(user, id));
      return all.every(Boolean) && all;
    }, 'every result');
  };
  const first = await submit([...texts.keys()]);
  const throttled = first.filter((r) => r.error);
  assert.ok(throttled.length > 0 && throttled.length <= 2 * kWindow, `${throttled.length} throttled`);
  assert.ok(first.slice(0, kWindow).every((r) => r.accepted), 'those within the window');
  for (const { error } of throttled) {
    expectProblem(error, 'THROTTLED', /window/);
    assert.ok(milliseconds(error.retryAfter) > 0);
  }
  const accepted = first.filter((r) => r.accepted).map((r) => r.requestId);
  const rest = throttled.map((r) => r.requestId);
  for (let i = 0; i < rest.length; i += kWindow) {
    const results = await submit(rest.slice(i, i + kWindow));
    assert.ok(results.every((r) => r.accepted), JSON.stringify(results));
  }
  phone.texts.push(...[...accepted, ...rest].map((id) => texts.get(id)));
  await rig.works(user, phone);
});

test('a half-close gets the results that are due, then OK', async () => {
  const phone = await rig.phone();
  const user = await rig.user('half');
  const [id, text] = [rig.nextId(), rig.text()];
  provider.submit([provider.text(user, id, phone.e164, text)]);
  provider.stream.end();
  const end = await provider.until(() => provider.ended, 'the end');
  assert.equal(end.code, 0, end.details);
  assert.ok(provider.result(user, id).accepted);
  phone.texts.push(text);
  await provider.connect();
  await provider.attachAndWait(user);
  await rig.works(user, phone);
});

test('questions behind an attach and a detach that came at once are all answered', async () => {
  const names = Array.from({ length: 40 }, () => rig.name('brief'));
  const phone = await rig.phone();
  await Promise.all(names.map((userId) => provider.call('Enlist', { userId })));
  const answers = names.map((userId) => {
    provider.attach(userId);
    provider.stream.write({ detach: { userId } });
    return provider.call('GetContact', { userId, contact: { e164: phone.e164 } }, 15000).catch(read);
  });
  for (const answer of await Promise.all(answers))
    assert.match(answer.reason ?? 'ANSWERED', /^(ANSWERED|USER_BUSY|NO_CLIENT|LINK_DOWN)$/, answer.message);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
