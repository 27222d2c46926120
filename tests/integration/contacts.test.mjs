// To whom: contacts that are not there, do not want it, or have no valid keys. Normal results, told by
// an event; and questions that WhatsApp does not answer.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { read, refused } from './lib/errors.mjs';
import { Rig } from './lib/rig.mjs';

let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

function lastStatus(user, id) {
  return provider.user(user).events.filter((e) => e.messageStatus?.requestId === id).at(-1)?.messageStatus;
}

// Accepted, and rejected by an event; GetMessage tells the same.
async function rejected(user, to, reason) {
  const id = rig.nextId();
  const { accepted, error } = await provider.send(user, id, to, rig.text('never'));
  assert.ok(accepted, JSON.stringify(error));
  await provider.until(() => provider.states(user, id).length > 0, reason);
  assert.deepEqual(provider.states(user, id), ['REJECTED']);
  const status = lastStatus(user, id);
  assert.equal(status.reason, `REJECT_REASON_${reason}`);
  assert.equal(status.messageId, accepted.messageId);
  const told = await provider.call('GetMessage', { userId: user, messageId: accepted.messageId });
  assert.deepEqual([told.state, told.reason], [status.state, status.reason]);
}

test('a contact that nobody is', async () => {
  const phone = await rig.phone();
  const user = await rig.user('nobody');
  const [number, lid] = [rig.secret('+4915555999001'), rig.secret('999999999999001')];
  await rejected(user, number, 'CONTACT_UNKNOWN');
  await rejected(user, number, 'CONTACT_UNKNOWN');  // known by now
  await rejected(user, lid, 'CONTACT_UNKNOWN');
  const about = await provider.call('GetContact', { userId: user, contact: { e164: number } });
  assert.deepEqual([about.reachable, about.optedIn, about.deviceCount, about.lid, about.safetyNumber],
    [false, false, 0, '', '']);
  await rig.works(user, phone);
});

test('a contact that does not accept this provider', async () => {
  const phone = await rig.phone();
  const closed = await rig.phone({ opted_in: [8] });
  const user = await rig.user('closed');
  await rejected(user, closed.e164, 'CONTACT_NOT_OPTED_IN');
  const about = await provider.call('GetContact', { userId: user, contact: { e164: closed.e164 } });
  assert.deepEqual([about.reachable, about.optedIn], [true, false]);

  // It changes its mind after it was asked: WhatsApp refuses, and that is the same result.
  await rig.works(user, phone);
  await rig.sim.api('POST', `/accounts/${phone.number}`, { opted_in: false });
  await rejected(user, phone.e164, 'CONTACT_NOT_OPTED_IN');
  await rig.arrived(phone);
  assert.deepEqual(await rig.sim.inbox(closed.number), []);
  await rig.works(user, await rig.phone());
});

test('a contact without devices, or without keys', async () => {
  const user = await rig.user('keyless');
  const bare = await rig.phone({ devices: [] });
  await rejected(user, bare.e164, 'CONTACT_NO_DEVICES');
  for (const kind of ['no_bundle', 'bad_bundle']) {
    const phone = await rig.phone();
    await rig.sim.addFault({ kind, target: phone.number });
    await rejected(user, phone.e164, 'CONTACT_NO_DEVICES');
    assert.deepEqual(await rig.sim.inbox(phone.number), []);
  }
  await rig.works(user, await rig.phone());
});

test('a bundle with a bad signature leaves one device out, the others get the text', async () => {
  const phone = await rig.phone({ devices: [0, 3] });
  const user = await rig.user('forged');
  await rig.sim.addFault({ kind: 'bad_bundle', target: phone.number });
  const { id, messageId } = await rig.send(user, phone);
  const event = await provider.until(() => provider.user(user).events.find((e) => e.deviceLeftOut), 'DeviceLeftOut');
  assert.equal(event.deviceLeftOut.messageId, messageId);
  const left = event.deviceLeftOut.device;
  const inbox = async (device, waitMs) => (await rig.sim.api('GET',
    `/phones/${phone.number}/inbox?device=${device}&wait_ms=${waitMs}`)).messages;
  assert.equal((await inbox(left === 0 ? 3 : 0, 5000)).length, 1);
  await provider.until(() => provider.states(user, id).includes('SENT'), 'SENT');
  assert.equal((await inbox(left, 0)).length, 0);
  await rig.works(user, await rig.phone());
});

test('a bundle without a one-time key will do', async () => {
  const phone = await rig.phone();
  const user = await rig.user('spent');
  await rig.sim.addFault({ kind: 'no_prekey', target: phone.number });
  const before = (await rig.sim.stats()).bundles_without_one_time;
  await rig.works(user, phone);
  assert.equal((await rig.sim.stats()).bundles_without_one_time, before + 1);
  await rig.works(user, phone);
});

test('a user whose link is UP can ask about contacts at once', async () => {
  const phone = await rig.phone();
  for (let i = 0; i < 10; i++) {
    const user = await rig.user('curious');
    const about = await provider.call('GetContact', { userId: user, contact: { e164: phone.e164 } });
    assert.deepEqual([about.reachable, about.optedIn, about.deviceCount, about.lid], [true, true, 1, phone.lid]);
  }
});

test('the safety number: none without keys, the same while the keys are, another one after them', async () => {
  const [phone, other] = [await rig.phone(), await rig.phone()];
  const [user, second] = [await rig.user('careful'), await rig.user('second')];
  const numberOf = async (name, contact) => (await provider.call('GetContact', { userId: name, contact })).safetyNumber;
  assert.equal(await numberOf(user, { e164: phone.e164 }), '', 'no keys are known yet');
  await rig.works(user, phone);
  const number = rig.secret(await numberOf(user, { e164: phone.e164 }));
  assert.match(number, /^(\d{5} ){11}\d{5}$/);
  assert.equal(await numberOf(user, { lid: phone.lid }), number, 'by either name');
  await rig.works(user, phone);
  assert.equal(await numberOf(user, { e164: phone.e164 }), number);
  await rig.works(second, phone);
  await rig.works(user, other);
  const numbers = [number, await numberOf(second, { e164: phone.e164 }), await numberOf(user, { e164: other.e164 })];
  assert.equal(new Set(numbers).size, 3, 'of each two people its own');

  await rig.gateway.kill();
  await rig.gateway.start();
  await provider.connect();
  await provider.attachAndWait(user);
  assert.equal(await numberOf(user, { e164: phone.e164 }), number, 'after a restart');

  await rig.sim.api('POST', `/phones/${phone.number}/reinstall`, {});
  await (await rig.inbound(user, phone))();
  const changed = provider.user(user).events.findIndex((e) => e.identityChanged);
  assert.ok(changed >= 0, 'IdentityChanged');
  assert.ok(changed < provider.user(user).events.findLastIndex((e) => e.messageReceived), 'before what came under the new keys');
  const { contact } = provider.user(user).events[changed].identityChanged;
  assert.equal(await numberOf(user, contact), await numberOf(user, { e164: phone.e164 }));
  assert.notEqual(await numberOf(user, contact), number);
  assert.match(await numberOf(user, contact), /^(\d{5} ){11}\d{5}$/);
  await rig.works(user, phone);
});

test('a missed deadline: the caller\'s, and the gateway\'s own', async () => {
  const [phone, silent] = [await rig.phone(), await rig.phone()];
  const [user, patient] = [await rig.user('hasty'), await rig.user('patient')];
  const faults = await Promise.all([user, patient].map((name) =>
    rig.sim.addFault({ kind: 'swallow_iq', target: `7-${name}`, xmlns: 'usync', count: -1 })));
  const ask = (userId, deadlineMs) => provider.call('GetContact', { userId, contact: { e164: silent.e164 } }, deadlineMs);
  const long = refused(ask(patient, 30000), 'DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED', /repeat/);
  const hasty = await ask(user, 300).then(() => assert.fail('answered'), read);
  assert.equal(hasty.code, 'DEADLINE_EXCEEDED');

  // A text that waits for the same answer stays, and leaves once WhatsApp was asked again.
  const waits = await rig.send(user, silent);
  for (const { id } of faults) await rig.sim.api('DELETE', `/faults/${id}`);
  await rig.works(user, phone);
  await long;
  await rig.works(patient, phone);
  await provider.until(() => provider.states(user, waits.id).includes('SENT'), 'SENT', 30000);
  await rig.arrived(silent);
  assert.equal((await ask(patient, 10000)).reachable, true);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
