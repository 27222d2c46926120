// Who may write: unknown and withdrawn users, users without a client, users of another provider.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectProblem, refused } from './lib/errors.mjs';
import { Rig } from './lib/rig.mjs';

let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

// Waits for the answer to an attach that is refused.
async function refusedAttach(to, user, reason, says) {
  to.user(user).detached = null;
  to.attach(user);
  const detached = await to.until(() => to.user(user).detached, `Detached of ${user}`);
  assert.equal(detached.reason, 'DETACH_REASON_REFUSED');
  expectProblem(detached.error, reason, says);
}

async function refusedSubmit(to, user, phone, reason, says) {
  const id = rig.nextId();
  const result = await to.send(user, id, phone.e164, rig.text('never'));
  expectProblem(result.error, reason, says);
  assert.equal(result.accepted, null);
}

function text(user, phone) {
  return provider.text(user, rig.nextId(), phone.e164, rig.text('never'));
}

test('an unknown user', async () => {
  const phone = await rig.phone();
  const name = rig.name('unknown');
  for (const [method, more] of [['SendMessage', text(name, phone)], ['Withdraw', {}], ['ListEvents', {}],
    ['GetMessage', { messageId: '0'.repeat(32) }], ['GetContact', { contact: { e164: phone.e164 } }],
    ['MarkRead', { from: { e164: phone.e164 }, messageIds: ['A'] }], ['UpdateUser', { readReceipts: false }]])
    await refused(provider.call(method, { ...more, userId: name }), 'NOT_FOUND', 'USER_UNKNOWN', /Enlist/);
  assert.equal((await provider.call('GetUser', { userId: name })).enlisted, false);
  await refusedAttach(provider, name, 'USER_UNKNOWN', /Enlist/);
  await refusedSubmit(provider, name, phone, 'NO_CLIENT', /attach/);

  await provider.call('Enlist', { userId: name });
  await provider.attachAndWait(name);
  await rig.works(name, phone);
});

test('a withdrawn user', async () => {
  const phone = await rig.phone();
  const silent = await rig.phone();
  const name = await rig.user('withdrawn');
  const before = await rig.works(name, phone);
  const { id: fault } = await rig.sim.addFault({ kind: 'swallow_iq', target: `7-${name}`, xmlns: 'usync', count: -1 });
  const waits = await provider.send(name, rig.nextId(), silent.e164, rig.text('never'));
  assert.equal(waits.accepted.state, 'MESSAGE_STATE_WAITING');

  await provider.call('Withdraw', { userId: name });
  const detached = await provider.until(() => provider.user(name).detached, 'Detached');
  assert.equal(detached.reason, 'DETACH_REASON_WITHDRAWN');
  await provider.call('Withdraw', { userId: name });
  await refused(provider.call('SendMessage', text(name, phone)), 'FAILED_PRECONDITION', 'USER_WITHDRAWN', /Enlist/);
  await refused(provider.call('GetContact', { userId: name, contact: { e164: phone.e164 } }),
    'FAILED_PRECONDITION', 'USER_WITHDRAWN', /Enlist/);
  await refusedAttach(provider, name, 'USER_WITHDRAWN', /Enlist/);
  await refusedSubmit(provider, name, phone, 'NO_CLIENT', /attach/);
  assert.equal((await provider.call('GetUser', { userId: name })).enlisted, false);
  const { events } = await provider.call('ListEvents', { userId: name });
  const states = events.map((e) => [e.messageStatus?.messageId, e.messageStatus?.state, e.messageStatus?.reason]);
  assert.deepEqual(states.at(-1), [waits.accepted.messageId, 'MESSAGE_STATE_REJECTED', 'REJECT_REASON_WITHDRAWN']);
  assert.equal(states[0][0], before.messageId);

  await rig.sim.api('DELETE', `/faults/${fault}`);
  assert.equal((await provider.call('Enlist', { userId: name })).created, true);
  await provider.attachAndWait(name);
  await rig.works(name, phone);
  assert.deepEqual(await rig.sim.inbox(silent.number), []);
});

test('no client attached', async () => {
  const phone = await rig.phone();
  const name = rig.name('absent');
  await provider.call('Enlist', { userId: name });
  await refused(provider.call('SendMessage', text(name, phone)), 'FAILED_PRECONDITION', 'NO_CLIENT', /attach/);
  await refused(provider.call('GetContact', { userId: name, contact: { e164: phone.e164 } }),
    'FAILED_PRECONDITION', 'NO_CLIENT', /attach/);
  await refusedSubmit(provider, name, phone, 'NO_CLIENT', /attach/);

  await provider.attachAndWait(name);
  await rig.works(name, phone);
  provider.stream.write({ detach: { userId: name } });
  const { reason } = await provider.until(() => provider.user(name).detached, 'Detached');
  assert.equal(reason, 'DETACH_REASON_REQUESTED');
  await refused(provider.call('SendMessage', text(name, phone)), 'FAILED_PRECONDITION', 'NO_CLIENT', /attach/);
  await refusedSubmit(provider, name, phone, 'NO_CLIENT', /attach/);
  await provider.attachAndWait(name);
  await rig.works(name, phone);
});

test('fields that are wrong are named', async () => {
  const phone = await rig.phone();
  const name = await rig.user('fields');
  const good = () => text(name, phone);
  for (const [change, reason, field, says] of [
    [{ userId: 'a b' }, 'USER_ID_INVALID', 'user_id', /1 to 64/],
    [{ requestId: '' }, 'REQUEST_ID_INVALID', 'request_id', /1 to 128/],
    [{ requestId: 'x'.repeat(129) }, 'REQUEST_ID_INVALID', 'request_id', /1 to 128/],
    [{ to: null }, 'CONTACT_MISSING', 'to', /e164/],
    [{ to: { e164: '+0123' } }, 'CONTACT_INVALID', 'to.e164', /7 to 15 digits/],
    [{ to: { lid: 'x' } }, 'CONTACT_INVALID', 'to.lid', /digits/],
    [{ content: null }, 'CONTENT_MISSING', 'content', /text/]]) {
    const error = await refused(provider.call('SendMessage', { ...good(), ...change }), 'INVALID_ARGUMENT', reason, says);
    assert.deepEqual(error.fields, [field]);
    if (change.userId !== undefined) continue;
    const message = { ...good(), ...change };
    provider.submit([message]);
    const id = message.requestId.slice(0, 128);
    const result = await provider.until(() => provider.result(name, id), reason);
    provider.results.delete(`${name}/${id}`);
    expectProblem(result.error, reason, says);
    assert.match(result.error.message, new RegExp(`^messages\\[0\\]\\.${field.replace('.', '\\.')}: `));
  }
  for (const [change, reason, says] of [
    [{ clientAddress: 'somewhere' }, 'CLIENT_ADDRESS_INVALID', /IPv4 or IPv6/],
    [{ clientAddress: '' }, 'CLIENT_ADDRESS_INVALID', /IPv4 or IPv6/],
    [{ token: '' }, 'TOKEN_INVALID', /1 to 8192/],
    [{ token: 'x'.repeat(8193) }, 'TOKEN_INVALID', /1 to 8192/],
    [{ resumeSeq: 1000000 }, 'RESUME_SEQ_AHEAD', /lost data/]]) {
    provider.user(name).detached = null;
    provider.stream.write({ attach: { userId: name, clientAddress: '192.0.2.17', token: rig.token(name), resumeSeq: 0, ...change } });
    const detached = await provider.until(() => provider.user(name).detached, reason);
    assert.equal(detached.reason, 'DETACH_REASON_REFUSED');
    expectProblem(detached.error, reason, says);
  }
  await provider.attachAndWait(name);
  await rig.works(name, phone);
});

test('another provider neither sees nor uses a user', async () => {
  const phone = await rig.phone();
  const name = await rig.user('tenant');
  const { messageId } = await rig.works(name, phone);
  const other = await rig.newOther();  // under the same instance id: no take-over
  for (const [method, more] of [['SendMessage', text(name, phone)], ['Withdraw', {}], ['ListEvents', {}],
    ['GetMessage', { messageId }], ['GetContact', { contact: { e164: phone.e164 } }],
    ['MarkRead', { from: { e164: phone.e164 }, messageIds: ['A'] }], ['UpdateUser', { readReceipts: false }]])
    await refused(other.call(method, { ...more, userId: name }), 'NOT_FOUND', 'USER_UNKNOWN', /Enlist/);
  assert.equal((await other.call('GetUser', { userId: name })).enlisted, false);
  await refusedAttach(other, name, 'USER_UNKNOWN', /Enlist/);
  await refusedSubmit(other, name, phone, 'NO_CLIENT', /attach/);
  assert.deepEqual((await other.call('ListUsersWithPendingEvents', {})).users, []);

  // Its own user of the same name is another one.
  assert.equal((await other.call('Enlist', { userId: name })).created, true);
  await other.attachAndWait(name);
  await refused(other.call('GetMessage', { userId: name, messageId }), 'NOT_FOUND', 'MESSAGE_UNKNOWN', /message/);
  assert.deepEqual((await other.call('ListEvents', { userId: name })).events, []);
  await rig.works(name, phone, other);
  assert.equal(provider.user(name).attached, true);
  await other.call('Withdraw', { userId: name });
  await rig.works(name, phone);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
