// A provider whose gateway has trouble with its database: what it must be told meanwhile, and what must be
// true afterwards. Shared by the tests of both databases.
import assert from 'node:assert/strict';
import { expectProblem, milliseconds, read, refused } from '../../integration/lib/errors.mjs';
import { eventually } from '../../integration/lib/rig.mjs';

const kPatienceMs = 5000;  // about so long the gateway keeps a submit waiting
const kTexts = 5;

// A user who has written, one who has not, and texts that are to be submitted while the trouble lasts, each
// with so much more at its end.
export async function cast(rig, padding = '') {
  const [user, other] = [await rig.user('writer'), await rig.user('other')];
  const [phone, otherPhone] = [await rig.phone(), await rig.phone()];
  await rig.works(user, phone);
  await rig.works(other, otherPhone);
  const text = () => rig.secret(rig.text() + padding);
  const texts = Array.from({ length: kTexts }, () => rig.provider.text(user, rig.nextId(), phone.e164, text()));
  const unary = rig.provider.text(other, rig.nextId(), otherPhone.e164, text());
  return { user, other, phone, otherPhone, texts, unary };
}

export const results = (rig, texts, what) => rig.provider.until(() => {
  const all = texts.map((m) => rig.provider.result(m.userId, m.requestId));
  return all.every(Boolean) && all;
}, what, 30000);

// Everything that needs no commit goes on, and links stay.
export async function livesOn(rig, { user, phone }) {
  const { provider } = rig;
  const { events } = await provider.call('ListEvents', { userId: user });
  assert.ok(events.length > 0);
  const id = events[0].messageStatus.messageId;
  assert.equal((await provider.call('GetMessage', { userId: user, messageId: id })).messageId, id);
  const { attached, linkState } = await provider.call('GetUser', { userId: user });
  assert.deepEqual([attached, linkState], [true, 'LINK_STATE_UP']);
  for (const where of ['healthz', 'readyz']) assert.equal((await fetch(`${rig.gateway.operator}/${where}`)).status, 200, where);
  const { online, devices } = await rig.interop(user);
  assert.deepEqual([online, devices[0].logins], [true, 1]);
  await rig.arrived(phone);  // nothing but what was there before
}

// Submits on the stream and by the unary call; all are refused, within the time, as not stored.
export async function refusedMeanwhile(rig, { texts, unary }) {
  const { provider } = rig;
  const began = Date.now();
  provider.submit(texts);
  const [alone, all] = await Promise.all([
    refused(provider.call('SendMessage', unary, 30000), 'UNAVAILABLE', 'STORE_UNAVAILABLE', /same request_id/),
    results(rig, texts, 'every result')]);
  const took = Date.now() - began;
  assert.ok(alone.retryMs > 0);
  for (const { accepted, error } of all) {
    assert.equal(accepted, null);
    expectProblem(error, 'STORE_UNAVAILABLE', /same request_id/);
    assert.ok(milliseconds(error.retryAfter) > 0);
  }
  assert.ok(took > kPatienceMs / 2 && took < 2 * kPatienceMs, `${took} ms`);
}

// What needs a commit and is no submit: a new user, and a client of one that is not loaded.
export async function newcomersRefused(rig, absent) {
  const { provider } = rig;
  const began = Date.now();
  const enlisted = provider.call('Enlist', { userId: rig.name('new') }, 30000).then(() => assert.fail('enlisted'), read);
  provider.user(absent).detached = null;
  provider.attach(absent);
  const detached = await provider.until(() => provider.user(absent).detached, 'Detached', 15000);
  assert.equal(detached.reason, 'DETACH_REASON_REFUSED');
  assert.ok(milliseconds(detached.error.retryAfter) > 0, JSON.stringify(detached.error));
  const { code, reason, message } = await enlisted;
  assert.ok(['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(code), `${code} ${reason} ${message}`);
  assert.ok(Date.now() - began < 11_000, `${Date.now() - began} ms`);
}

// The trouble is over: the same request ids once more, and once more after that.
export async function acceptedOnce(rig, { texts, unary, phone, otherPhone, user, other }) {
  const { provider } = rig;
  provider.results.clear();
  provider.submit(texts);
  const { message } = await provider.call('SendMessage', unary, 15000);
  const first = await results(rig, texts, 'every result');
  for (const r of first) assert.ok(r.accepted, JSON.stringify(r.error));
  phone.texts.push(...texts.map((m) => m.content.text.body));
  otherPhone.texts.push(unary.content.text.body);
  await rig.arrived(phone);
  await rig.arrived(otherPhone);
  provider.results.clear();
  provider.submit(texts);
  const again = await results(rig, texts, 'every result again');
  assert.deepEqual(again.map((r) => r.accepted.messageId), first.map((r) => r.accepted.messageId));
  assert.equal((await provider.call('SendMessage', unary)).message.messageId, message.messageId);
  for (const m of [...texts, unary])
    await provider.until(() => provider.states(m.userId, m.requestId).includes('SENT'), 'SENT');
  await rig.works(user, phone);
  await rig.works(other, otherPhone);
}

export async function delivered(rig, user) {
  await eventually(async () => (await rig.interop(user)).queued === 0, 'an empty mailbox');
}
