// The database file under a gateway that runs: locked by another process, on a disk that is full, on one
// that cannot be written, damaged. The provider is told within seconds, nothing is sent and nothing lost;
// after it the same request ids are accepted, once, and arrive in order.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { buildFolder } from '../conformance/lib/sim.mjs';
import { lock, sql } from '../integration/lib/database.mjs';
import { expectProblem, refused } from '../integration/lib/errors.mjs';
import { Rig, eventually } from '../integration/lib/rig.mjs';
import { acceptedOnce, cast, delivered, livesOn, newcomersRefused, refusedMeanwhile, results } from './lib/trouble.mjs';

async function started(t, options) {
  const rig = await Rig.start(options);
  t.after(() => rig.stop());
  return rig;
}

test('locked by another process', async (t) => {
  const rig = await started(t);
  const all = await cast(rig);
  const absent = await rig.user('absent');
  rig.provider.stream.write({ detach: { userId: absent } });
  await rig.provider.until(() => rig.provider.user(absent).detached, 'Detached');

  const unlock = await lock(path.join(rig.gateway.dir, 'gateway.db'));
  const told = await rig.inbound(all.user, all.phone, 3);
  try {
    await refusedMeanwhile(rig, all);
    await livesOn(rig, all);
    assert.equal((await rig.interop(all.user)).queued, 3, 'not stored here: it stays with WhatsApp');
    await newcomersRefused(rig, absent);
  } finally {
    await unlock();
  }
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.provider.attachAndWait(absent);
  await rig.works(absent, await rig.phone());
  await rig.checkNothingTold();
});

test('locked for a moment: nobody is told', async (t) => {
  const rig = await started(t);
  const all = await cast(rig);
  const unlock = await lock(path.join(rig.gateway.dir, 'gateway.db'));
  rig.provider.submit(all.texts);
  rig.provider.stream.write({ heartbeat: { nonce: 1 } });
  await rig.provider.until(() => rig.provider.frames.some((f) => f.heartbeatEcho), 'the echo');
  assert.ok(all.texts.every((m) => !rig.provider.result(m.userId, m.requestId)), 'no answer before the commit');
  await unlock();
  for (const r of await results(rig, all.texts, 'every result')) assert.ok(r.accepted, JSON.stringify(r.error));
  await acceptedOnce(rig, all);
  await rig.checkNothingTold();
});

test('a disk that is full', async (t) => {
  const rig = await started(t, { binary: path.join(buildFolder(), 'tests/fault/faulty_gateway'), commands: true });
  const all = await cast(rig);
  await rig.gateway.tell('full');
  const told = await rig.inbound(all.user, all.phone, 3);
  await refusedMeanwhile(rig, all);
  await livesOn(rig, all);
  assert.equal((await rig.interop(all.user)).queued, 3);
  const failed = await rig.gateway.metric('interop_gateway_store_change_sets_total', '{outcome="failed"}');
  assert.ok(failed >= 2, `${failed} change sets failed`);
  assert.equal(await rig.gateway.metric('interop_gateway_store_unknown_outcomes_total'), 0, 'surely not written');
  await rig.gateway.tell('room');
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.checkNothingTold();
});

test('a disk that is full when the gateway is killed', async (t) => {
  const rig = await started(t, { binary: path.join(buildFolder(), 'tests/fault/faulty_gateway'), commands: true });
  const all = await cast(rig);
  await rig.gateway.tell('full');
  const told = await rig.inbound(all.user, all.phone, 3);
  await refusedMeanwhile(rig, all);
  await rig.gateway.kill();
  await rig.gateway.start();  // there is room again
  await rig.provider.connect();
  for (const user of [all.user, all.other]) await rig.provider.attachAndWait(user);
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.checkNothingTold();
});

// Like a full disk, but in the middle of a write, so that nobody knows what of it would count after a
// crash: the commit is written again until it takes place, and no one else's is refused for it.
test('a file that cannot be written for a while: the outcome is unknown, and found out', async (t) => {
  const rig = await started(t, { prefix: ['sh', '-c', 'trap "" XFSZ; exec "$0" "$@"'] });
  const all = await cast(rig);
  const limit = (size) => execFileSync('prlimit', ['--pid', String(rig.gateway.child.pid), `--fsize=${size}:`]);
  const { provider } = rig;
  limit(0);
  provider.submit(all.texts.slice(0, 2));
  await eventually(async () => await rig.gateway.metric('interop_gateway_store_unknown_outcomes_total') >= 2, 'unknown outcomes');
  // What is behind it is refused, what is in flight has no answer yet.
  const told = await rig.inbound(all.user, all.phone, 3);
  provider.submit(all.texts.slice(2));
  for (const { error } of await results(rig, all.texts.slice(2), 'results of those behind'))
    expectProblem(error, 'STORE_UNAVAILABLE', /same request_id/);
  for (const m of all.texts.slice(0, 2)) assert.equal(provider.result(m.userId, m.requestId), undefined);
  await livesOn(rig, all);
  assert.equal((await rig.interop(all.user)).queued, 3);

  limit('unlimited');
  for (const { accepted } of await results(rig, all.texts.slice(0, 2), 'results of those in flight')) assert.ok(accepted);
  assert.ok((await provider.call('SendMessage', all.unary)).message.messageId);
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.checkNothingTold();
});

// Pages of the file are overwritten under the running gateway; the state before it is restored as an
// operator would, from a backup taken just then.
test('damaged while the gateway runs', async (t) => {
  const rig = await started(t);
  const { provider, gateway } = rig;
  const all = await cast(rig);
  const absent = await rig.user('absent');
  provider.stream.write({ detach: { userId: absent } });
  await provider.until(() => provider.user(absent).detached, 'Detached');
  await gateway.end();
  await gateway.start();  // of the conversations nothing is in memory
  await provider.connect();
  await provider.attachAndWait(all.user);
  const [db, backup] = ['gateway.db', 'backup.db'].map((name) => path.join(gateway.dir, name));
  assert.equal(sql(db, 'PRAGMA wal_checkpoint(TRUNCATE)'), '0|0|0', 'all of it is in the file itself');
  sql(db, `.backup '${backup}'`);
  damage(db);

  // An attached user is let go; an absent one and a new one do not get in.
  const told = await rig.inbound(all.user, all.phone, 2);
  provider.submit(all.texts);
  const gone = await provider.until(() => provider.user(all.user).detached, 'Detached', 15000);
  assert.equal(gone.reason, 'DETACH_REASON_OWNERSHIP_LOST');
  for (const { accepted, error } of await results(rig, all.texts, 'every result')) {
    assert.equal(accepted, null);
    assert.ok(['NO_CLIENT', 'OWNERSHIP_LOST', 'OUTCOME_UNKNOWN'].includes(error.reason), error.reason);
  }
  assert.deepEqual([(await rig.interop(all.user)).queued, (await rig.interop(all.user)).online], [2, false]);
  provider.user(absent).detached = null;
  provider.attach(absent);
  const detached = await provider.until(() => provider.user(absent).detached, 'Detached', 15000);
  assert.equal(detached.reason, 'DETACH_REASON_REFUSED');
  expectProblem(detached.error, 'SQLITE_DAMAGED', /damaged.*backup/);
  for (const [method, userId] of [['GetUser', absent], ['Enlist', rig.name('new')]])
    await refused(provider.call(method, { userId }), 'DATA_LOSS', 'SQLITE_DAMAGED', /damaged.*backup/);
  assert.equal((await fetch(`${gateway.operator}/healthz`)).status, 200, 'it lives');
  assert.equal((await fetch(`${gateway.operator}/readyz`)).status, 503, 'and says that it is not ready');

  await gateway.end();
  for (const end of ['', '-wal', '-shm']) rmSync(db + end, { force: true });
  writeFileSync(db, readFileSync(backup));
  await gateway.start();
  await provider.connect();
  for (const user of [all.user, all.other, absent]) await provider.attachAndWait(user);
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.works(absent, await rig.phone());
  await rig.checkNothingTold();
});

// The beginning of every page but the first.
function damage(db) {
  const file = openSync(db, 'r+');
  for (let at = 4096; at < statSync(db).size; at += 4096) writeSync(file, Buffer.alloc(512, 0xa5), 0, 512, at);
  closeSync(file);
}
