// What cannot be read is asked for again and told; what a contact could not read is encrypted again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kIntegrator } from './lib/gateway.mjs';
import { node, plain } from './lib/octets.mjs';
import { Rig, eventually } from './lib/rig.mjs';

const kRetries = 5;
let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

// A user and a phone that have written to each other.
async function acquainted(word, options = {}) {
  const [user, phone] = [await rig.user(word), await rig.phone({ auto_delivered: true, ...options })];
  await rig.works(user, phone);
  await (await rig.inbound(user, phone))();
  return { user, phone, to: { integrator: kIntegrator, user } };
}

const events = (user, kind) => provider.user(user).events.filter((e) => e[kind]);
const spoil = (target, count) => rig.sim.addFault({ kind: 'spoil', target, count });
const unspoil = ({ id }) => rig.sim.api('DELETE', `/faults/${id}`);
const inboxOf = async (phone, device) =>
  (await rig.sim.api('GET', `/phones/${phone.number}/inbox?device=${device}`)).messages.map((m) => m.text);

test('a message that arrives spoilt is PENDING, asked for again, and told with the event that it takes the place of', async () => {
  const { user, phone, to } = await acquainted('spoilt');
  await spoil(phone.number, 1);
  const text = rig.text('inbound');
  const id = await rig.sim.send(phone.number, to, text);
  await provider.until(() => provider.received(user).some((m) => m.content.text.body === text), 'the text');
  const [pending] = events(user, 'messagePending');
  assert.equal(pending.messagePending.messageId, id);
  assert.equal(pending.messagePending.from.e164, phone.e164);
  const received = provider.received(user).at(-1);
  assert.equal(received.earlierSeq, pending.seq);
  assert.equal(received.messageId, id);
  await eventually(async () => (await rig.sim.outbox(phone.number))[id].state === 'delivered', 'delivered at the phone');
  assert.deepEqual(events(user, 'messageUndecryptable'), []);
});

test('however often: after five times it is UNDECRYPTABLE, and what came after it did not wait', async () => {
  const { user, phone, to } = await acquainted('hopeless');
  const asked = await rig.gateway.metric('interop_gateway_retry_receipts_total', '{direction="sent"}');
  const fault = await spoil(phone.number, kRetries + 1);
  const id = await rig.sim.send(phone.number, to, rig.text('lost'));
  await provider.until(() => events(user, 'messageUndecryptable').length, 'UNDECRYPTABLE');
  await unspoil(fault).catch(() => {});
  const [pending] = events(user, 'messagePending'), [lost] = events(user, 'messageUndecryptable');
  assert.equal(lost.messageUndecryptable.messageId, id);
  assert.equal(lost.messageUndecryptable.earlierSeq, pending.seq);
  assert.equal(await rig.gateway.metric('interop_gateway_retry_receipts_total', '{direction="sent"}'), asked + kRetries);
  await (await rig.inbound(user, phone, 3))();
  assert.notEqual((await rig.sim.outbox(phone.number))[id].state, 'delivered', 'nobody claims that it was read');
});

test('2,001 messages ahead: asked for again, and read', async () => {
  const { user, phone, to } = await acquainted('ahead');
  await rig.sim.api('POST', `/phones/${phone.number}/skip`, { to, count: 2001 });
  await (await rig.inbound(user, phone))();
  assert.equal(events(user, 'messagePending').length, 1);
  await (await rig.inbound(user, phone, 2))();
  assert.equal(events(user, 'messagePending').length, 1, 'the next ones are on the fresh session');
});

test('a stanza that comes twice is one event', async () => {
  const { user, phone } = await acquainted('twice');
  await rig.sim.addFault({ kind: 'duplicate', target: `${kIntegrator}-${user}`, direction: 'to_client', tag: 'message', count: 3 });
  await (await rig.inbound(user, phone, 4))();
  assert.deepEqual(events(user, 'messagePending'), []);
});

test('a phone that cannot read asks, and gets the text anew under its id', async () => {
  const { user, phone } = await acquainted('asked');
  await spoil(`${kIntegrator}-${user}`, 1);
  const { id } = await rig.send(user, phone);
  await rig.arrived(phone);
  await provider.until(() => provider.states(user, id).includes('DELIVERED'), 'DELIVERED');
  assert.deepEqual(provider.states(user, id), ['SENT', 'DELIVERED']);
  await rig.works(user, phone);
});

test('it asks five times at most; then the provider hears of the device', async () => {
  const { user, phone } = await acquainted('deaf');
  const fault = await spoil(`${kIntegrator}-${user}`, kRetries + 1);
  const { id, messageId } = await rig.send(user, phone);
  phone.texts.pop();
  // The phone stops by itself after five; one more of a phone that does not:
  await eventually(async () => (await rig.sim.api('GET', '/faults')).length === 0, 'all of them spoilt');
  await unspoil(fault).catch(() => {});
  const { lid } = phone;
  const receipt = plain(node('receipt', { id: messageId, from: `${lid}@lid`, type: 'retry' }, [node('retry', { count: '6', id: messageId })]));
  await rig.sim.api('POST', '/raw', { target: `${kIntegrator}-${user}`, hex: receipt.toString('hex') });
  await provider.until(() => events(user, 'deviceLeftOut').length, 'DeviceLeftOut');
  assert.deepEqual(events(user, 'deviceLeftOut')[0].deviceLeftOut, { messageId, contact: { e164: phone.e164, name: 'e164' }, device: 0 });
  assert.deepEqual(provider.states(user, id), ['SENT']);
  await rig.works(user, phone);
});

test('of two devices the one that asks gets it', async () => {
  const { user, phone } = await acquainted('two', { devices: [0, 3] });
  await spoil(`${kIntegrator}-${user}`, 1);  // the first enc alone
  const { text } = await rig.send(user, phone);
  for (const device of [0, 3])
    await eventually(async () => (await inboxOf(phone, device)).includes(text), `at device ${device}`);
  for (const device of [0, 3])
    assert.equal((await inboxOf(phone, device)).filter((t) => t === text).length, 1);
});

test('a gateway that is killed before it is asked still has the text', async () => {
  const { user, phone } = await acquainted('killed');
  const held = await rig.sim.addFault({ kind: 'hold', target: `${kIntegrator}-${user}`, count: -1 });
  await spoil(`${kIntegrator}-${user}`, 1);
  const { id } = await rig.send(user, phone);
  await provider.until(() => provider.states(user, id).includes('SENT'), 'SENT');
  await rig.gateway.kill();
  await rig.gateway.start();
  await provider.connect();
  await provider.attachAndWait(user);
  await unspoil(held);
  await rig.arrived(phone);
  await provider.until(() => provider.states(user, id).includes('DELIVERED'), 'DELIVERED');
});

test('a request for a message that is not ours is acked and answered with nothing', async () => {
  const { user, phone } = await acquainted('unknown');
  const ignored = await rig.gateway.metric('interop_gateway_stanzas_ignored_total');
  const id = 'F'.repeat(32);
  const receipt = plain(node('receipt', { id, from: `${phone.lid}@lid`, type: 'retry' }, [node('retry', { count: '1', id })]));
  await rig.sim.api('POST', '/raw', { target: `${kIntegrator}-${user}`, hex: receipt.toString('hex') });
  await rig.works(user, phone);
  assert.equal(await rig.gateway.metric('interop_gateway_stanzas_ignored_total'), ignored + 1);
});

test('a device that nobody told us of gets the text after the ack says so, a device that we were told of at once', async () => {
  const { user, phone } = await acquainted('linked');
  await rig.sim.api('POST', `/accounts/${phone.number}/devices`, { id: 4 });
  const first = await rig.send(user, phone);
  await eventually(async () => (await inboxOf(phone, 4)).includes(first.text), 'at the new device');
  await provider.until(() => provider.states(user, first.id).includes('DELIVERED'), 'DELIVERED');
  await rig.sim.api('POST', `/accounts/${phone.number}/devices`, { id: 5, notify: true });
  const second = await rig.send(user, phone);
  await eventually(async () => (await inboxOf(phone, 5)).includes(second.text), 'at the one that was told of');
  for (const device of [0, 4]) assert.equal((await inboxOf(phone, device)).filter((t) => t === second.text).length, 1);
  await rig.arrived(phone);
});

test('a phone that was installed anew: the change is told, and the next text is read', async () => {
  const { user, phone } = await acquainted('anew');
  await rig.sim.api('POST', `/phones/${phone.number}/reinstall`, {});
  await rig.works(user, phone);
  await provider.until(() => events(user, 'identityChanged').length, 'IdentityChanged');
  assert.equal(events(user, 'identityChanged')[0].identityChanged.contact.e164, phone.e164);
  await (await rig.inbound(user, phone))();
});

test('without one-time keys of ours a contact still reaches us, and we top up', async () => {
  const [user, phone] = [await rig.user('dry'), await rig.phone()];
  await rig.sim.addFault({ kind: 'no_prekey', target: `${kIntegrator}-${user}` });
  await (await rig.inbound(user, phone))();
  for (let i = 0; i < 60; i++) await rig.sim.send((await rig.phone()).number, { integrator: kIntegrator, user }, rig.text('many'));
  await provider.until(() => provider.received(user).length >= 61, 'all of them');
  await eventually(async () => (await rig.interop(user)).devices[0].prekeys >= 10, 'topped up');
  assert.deepEqual(events(user, 'messagePending'), []);
});

test('keys that ran out while the user was away are there again when it is back', async () => {
  const user = await rig.user('away');
  provider.stream.write({ detach: { userId: user } });
  await provider.until(() => provider.user(user).detached, 'detached');
  const phones = [];
  for (let i = 0; i < 55; i++) phones.push(await rig.phone());
  for (const phone of phones) await rig.sim.send(phone.number, { integrator: kIntegrator, user }, rig.text('away'));
  assert.equal((await rig.interop(user)).devices[0].prekeys, 0);
  await provider.attachAndWait(user);
  await provider.until(() => provider.received(user).length >= 55, 'all of them');
  assert.ok((await rig.interop(user)).devices[0].prekeys >= 10);
  assert.deepEqual(events(user, 'messagePending'), []);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
