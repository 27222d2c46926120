// What the user read is told to its sender, if the user wants that.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refused } from './lib/errors.mjs';
import { kIntegrator } from './lib/gateway.mjs';
import { Rig, eventually } from './lib/rig.mjs';

let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

const stateOf = async (phone, id) => (await rig.sim.outbox(phone.number))[id].state;
const markRead = (user, messages) => provider.call('MarkRead', { userId: user, from: messages[0].from, messageIds: messages.map((m) => m.messageId) });

test('the sender learns which messages were read, and of the others that they arrived', async () => {
  const [user, phone] = [await rig.user('reader'), await rig.phone()];
  await (await rig.inbound(user, phone, 4))();
  const messages = provider.received(user);
  assert.deepEqual(await markRead(user, messages.slice(0, 3)), { told: true });
  for (const { messageId } of messages.slice(0, 3))
    await eventually(async () => await stateOf(phone, messageId) === 'read', 'read');
  assert.equal(await stateOf(phone, messages[3].messageId), 'delivered');
});

test('a user who does not want it known tells nothing, also after a restart, until it wants to again', async () => {
  const [user, phone] = [await rig.user('discreet'), await rig.phone()];
  assert.equal((await provider.call('GetUser', { userId: user })).readReceipts, true);
  assert.deepEqual(await provider.call('UpdateUser', { userId: user, readReceipts: false }), { readReceipts: false });
  assert.deepEqual(await provider.call('UpdateUser', { userId: user }), { readReceipts: false });
  await (await rig.inbound(user, phone))();
  const messages = provider.received(user);
  assert.deepEqual(await markRead(user, messages), { told: false });
  await rig.gateway.kill();
  await rig.gateway.start();
  await provider.connect();
  assert.equal((await provider.call('GetUser', { userId: user })).readReceipts, false, 'of a user who is away');
  await provider.attachAndWait(user);
  assert.deepEqual(await markRead(user, messages), { told: false });
  assert.equal(await stateOf(phone, messages[0].messageId), 'delivered');
  await provider.call('UpdateUser', { userId: user, readReceipts: true });
  assert.deepEqual(await markRead(user, messages), { told: true });
  await eventually(async () => await stateOf(phone, messages[0].messageId) === 'read', 'read');
});

test('what cannot be told is refused with what to do', async () => {
  const from = { e164: '+4915112345678' };
  const away = rig.name('nobody-here');
  await refused(provider.call('MarkRead', { userId: away, from, messageIds: ['A'] }), 'NOT_FOUND', 'USER_UNKNOWN', /nlist/);
  await refused(provider.call('UpdateUser', { userId: away, readReceipts: true }), 'NOT_FOUND', 'USER_UNKNOWN', /nlist/);
  await provider.call('Enlist', { userId: away });
  await refused(provider.call('MarkRead', { userId: away, from, messageIds: ['A'] }), 'FAILED_PRECONDITION', 'NO_CLIENT', /attach/);
  const user = await rig.user('strict');
  for (const messageIds of [[], [''], ['x'.repeat(256)], Array(257).fill('A')])
    await refused(provider.call('MarkRead', { userId: user, from, messageIds }), 'INVALID_ARGUMENT', 'MESSAGE_IDS_INVALID', /1 to 256/);
  await refused(provider.call('MarkRead', { userId: user, messageIds: ['A'] }), 'INVALID_ARGUMENT', 'CONTACT_MISSING', /./);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
