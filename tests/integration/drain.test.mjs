// SIGTERM: what was submitted is answered, streams are told, and the process ends with 0 in time. What
// it had accepted is there after the next start.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { read } from './lib/errors.mjs';
import { Rig } from './lib/rig.mjs';

const kTexts = 200;
const kDeadlineMs = 5000;
let rig, provider;
before(async () => {
  rig = await Rig.start({ limits: { drain_timeout: `${kDeadlineMs}ms` } });
  provider = rig.provider;
});
after(() => rig?.stop());

test('under load: answers, Draining, 0, and nothing lost', async () => {
  const users = [await rig.user('first'), await rig.user('second')];
  const phones = [await rig.phone(), await rig.phone()];
  for (const [i, user] of users.entries()) await rig.works(user, phones[i]);

  const open = users.map((user, i) => Array.from({ length: kTexts }, () =>
    provider.text(user, rig.nextId(), phones[i].e164, rig.text())));
  const results = new Map();
  provider.onResult = (r) => results.set(r.requestId, r);
  for (const messages of open) provider.submit(messages);
  provider.stream.write({ heartbeat: { nonce: 1 } });  // its echo says that what was before it was read
  await provider.until(() => provider.frames.some((f) => f.heartbeatEcho), 'the echo');
  const began = Date.now();
  const ended = rig.gateway.end();  // SIGTERM, with all of it on its way
  const draining = await provider.until(() => provider.frames.find((f) => f.draining), 'Draining');
  assert.ok(draining.draining.deadline.seconds * 1000 <= began + kDeadlineMs + 1500);
  const end = read(await provider.until(() => provider.ended, 'the end of the stream'));
  assert.equal(end.code, 'UNAVAILABLE');
  assert.equal(end.reason, 'DRAINING');
  assert.match(end.message, /another one/);
  assert.ok(end.retryMs > 0);
  const [code, signal] = await ended;
  assert.deepEqual([code, signal], [0, null], rig.gateway.log().slice(-1000));
  assert.ok(Date.now() - began < kDeadlineMs + 3000, `${Date.now() - began} ms`);

  provider.onResult = undefined;
  const all = open.flat();
  assert.equal(all.filter((m) => !results.has(m.requestId)).length, 0, 'every submit is answered');
  for (const user of users) assert.equal(provider.user(user).detached?.reason, 'DETACH_REASON_DRAINING');
  for (const r of results.values())
    assert.ok(r.accepted || ['OUTCOME_UNKNOWN', 'OWNERSHIP_LOST', 'NO_CLIENT', 'DRAINING'].includes(r.error.reason), r.error?.reason);

  // Once more under the same ids, at the next one.
  await rig.gateway.start();
  await provider.connect();
  for (const user of users) await provider.attachAndWait(user);
  provider.results.clear();
  for (const messages of open) provider.submit(messages);
  await provider.until(() => all.every((m) => provider.result(m.userId, m.requestId)), 'every result');
  for (const m of all) {
    const { accepted, error } = provider.result(m.userId, m.requestId);
    assert.ok(accepted, JSON.stringify(error));
    const before = results.get(m.requestId).accepted;
    if (before) assert.equal(accepted.messageId, before.messageId);
  }
  for (const [i, phone] of phones.entries()) phone.texts.push(...open[i].map((m) => m.content.text.body));
  for (const [i, user] of users.entries()) await rig.works(user, phones[i]);
});

test('with nobody there it ends at once', async () => {
  provider.close();
  const began = Date.now();
  const [code] = await rig.gateway.end('SIGINT');
  assert.equal(code, 0);
  assert.ok(Date.now() - began < kDeadlineMs, `${Date.now() - began} ms`);
  await rig.gateway.start();
  const client = await rig.newProvider();
  await rig.works(await rig.user('third', client), await rig.phone(), client);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
