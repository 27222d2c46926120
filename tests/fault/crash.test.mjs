// kill -9 at seeded random moments under load in both directions. GW_SEED replays a run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Postgres } from '../integration/lib/postgres.mjs';
import { Load, random } from './lib/load.mjs';

const seed = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const kills = process.env.GW_LONG ? 100 : 20;

for (const store of ['SQLite', 'PostgreSQL']) test(`${kills} kills under load lose, double and reorder nothing, on ${store} (GW_SEED=${seed})`, async (t) => {
  const next = random(seed);
  const postgres = store === 'PostgreSQL' ? await new Postgres().start() : undefined;
  const load = new Load({ gatewayOptions: { postgres } });
  t.after(async () => {
    try { await load.stop(); } finally { await postgres?.remove(); }
  });
  await load.start();
  load.running = true;
  load.fill();
  for (let i = 0; i < kills; i++) {
    const moment = load.moments + 20 + Math.floor(next() * 300);
    const writing = load.phonesWrite(1 + Math.floor(next() * 3));
    await load.provider.until(() => load.moments >= moment, `moment ${moment} of kill ${i}`, 60000);
    await load.gateway.kill();
    await writing;
    await load.gateway.start();
    await load.recover();
  }
  await load.settle();
  const counted = await load.check();
  assert.ok(counted.outbound > kills * 10, `only ${counted.outbound} messages`);
  t.diagnostic(`${kills} kills, ${counted.outbound} messages out, ${counted.inbound} in`);
});
