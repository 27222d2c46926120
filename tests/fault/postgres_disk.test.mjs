// The disks under a PostgreSQL: full where the rows go, full where the log of commits goes, slow, and one that
// hangs in a commit. What is refused is refused clearly; nothing is lost, doubled or out of order; it goes on
// by itself once there is room.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Postgres, noSmallDisks } from '../integration/lib/postgres.mjs';
import { Rig, eventually } from '../integration/lib/rig.mjs';
import { survives } from '../integration/lib/survives.mjs';
import { acceptedOnce, cast, delivered, livesOn, refusedMeanwhile, results } from './lib/trouble.mjs';

const kNoSmallDisks = noSmallDisks();
const kLarge = ' and more'.repeat(2500);  // needs new pages, whatever room there is in the old ones

async function started(t, settings, small) {
  const postgres = new Postgres(settings, small);
  t.after(() => postgres.remove());
  await postgres.start();
  const rig = await Rig.start({ postgres });
  t.after(() => rig.stop());
  return { postgres, rig };
}
const troubles = (rig) => rig.gateway.log().split('\n').filter((l) => l.includes('"database_trouble"')).map((l) => JSON.parse(l));

test('full where the rows go', { skip: kNoSmallDisks }, async (t) => {
  const { postgres, rig } = await started(t, {}, { data: 64 });
  const all = await cast(rig, kLarge);
  postgres.disk.full();
  const told = await rig.inbound(all.user, all.phone, 3);
  await refusedMeanwhile(rig, all);
  await livesOn(rig, all);
  assert.equal(await rig.gateway.metric('interop_gateway_store_unknown_outcomes_total'), 0, 'surely not committed');
  assert.equal(troubles(rig).length, 1, 'said once');
  assert.match(JSON.stringify(troubles(rig)), /POSTGRES_FULL/);
  postgres.disk.room();
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
  await rig.checkNothingTold();
});

test('full where the rows go when the gateway is killed', { skip: kNoSmallDisks }, async (t) => {
  const { postgres, rig } = await started(t, {}, { data: 64 });
  const all = await cast(rig, kLarge);
  postgres.disk.full();
  const told = await rig.inbound(all.user, all.phone, 3);
  await refusedMeanwhile(rig, all);
  await rig.gateway.kill();
  postgres.disk.room();
  await rig.gateway.start();
  await rig.provider.connect();
  for (const user of [all.user, all.other]) await rig.provider.attachAndWait(user);
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
});

// PostgreSQL stops in a panic then, with commits in flight, and does not start again before there is room.
test('full where the log of commits goes: the server dies of it', { skip: kNoSmallDisks }, async (t) => {
  const { postgres, rig } = await started(t, { min_wal_size: '2MB', max_wal_size: '4MB' }, { wal: 16 });
  const [user, phone] = [await rig.user('writer'), await rig.phone()];
  const filler = [await rig.user('filler'), await rig.phone()];
  await survives(rig, user, phone, async () => {
    postgres.disk.full();
    // What is left of the segments that are there is used up.
    for (let i = 0; i < 500 && !postgres.log().includes('PANIC'); i++)
      await rig.provider.call('SendMessage', rig.provider.text(filler[0], rig.nextId(), filler[1].e164, rig.secret(rig.text() + kLarge)), 8000).catch(() => {});
    assert.match(postgres.log(), /PANIC:.*No space left on device/);
  }, async () => {
    postgres.disk.room();
    if (!postgres.running) await postgres.start();
  }, { padding: kLarge });
});

test('slow: each commit takes a tenth of a second longer', async (t) => {
  const { rig } = await started(t, { commit_delay: 100000, commit_siblings: 0 });
  const [user, phone] = [await rig.user('writer'), await rig.phone()];
  await survives(rig, user, phone, () => {}, () => {}, { count: 50 });
  for (const { error } of rig.provider.results.values()) assert.equal(error, null, 'slow is no reason to refuse');
  await (await rig.inbound(user, phone, 20))();
  await rig.checkNothingTold();
});

// As a process whose fsync does not come back: the session's own process is stopped in the middle of its work.
test('hanging in a commit: what is behind it is refused, what is in flight is answered after it', async (t) => {
  const { postgres, rig } = await started(t);
  const all = await cast(rig);
  const pid = Number(postgres.sql('postgres', `SELECT pid FROM pg_stat_activity WHERE application_name='interop-gateway' AND query LIKE '%w_account%'`));
  assert.ok(pid > 1, 'one session writes');
  process.kill(pid, 'SIGSTOP');
  const { provider } = rig;
  let told;
  try {
    provider.submit(all.texts.slice(0, 2));
    await eventually(async () => await rig.gateway.metric('interop_gateway_store_pending_change_sets') > 0, 'a commit under way');
    told = await rig.inbound(all.user, all.phone, 3);
    provider.submit(all.texts.slice(2));
    for (const { accepted, error } of await results(rig, all.texts.slice(2), 'results of those behind')) {
      assert.equal(accepted, null);
      assert.equal(error.reason, 'STORE_UNAVAILABLE');
    }
    for (const m of all.texts.slice(0, 2)) assert.equal(provider.result(m.userId, m.requestId), undefined);
    await livesOn(rig, all);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  for (const { accepted } of await results(rig, all.texts.slice(0, 2), 'results of those in flight')) assert.ok(accepted);
  await acceptedOnce(rig, all);
  await told();
  await delivered(rig, all.user);
});
