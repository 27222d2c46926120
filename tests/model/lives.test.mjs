// The real gateway, simulator and store through seeded lists of operations, one gateway a store. A
// failure prints its seed and a shorter list that fails too. GW_SEED is the first life's seed,
// GW_LIVES how many there are a store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Postgres } from '../integration/lib/postgres.mjs';
import { Rig } from '../integration/lib/rig.mjs';
import { describe, draw, Life } from './lib/life.mjs';

const first = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const lives = Number(process.env.GW_LIVES ?? (process.env.GW_LONG ? 300 : 12));
const kOperations = 30;
const kMostTries = 14, kMostShrinkingMs = 90_000;

class Place {
  static async open(store) {
    const place = new Place();
    place.postgres = store === 'PostgreSQL' ? await new Postgres().start() : undefined;
    place.rig = await Rig.start({ postgres: place.postgres });
    return place;
  }
  async close() {
    try { await this.rig.stop(); } finally { await this.postgres?.remove(); }
  }
  async live(operations, deadlineMs) { return (await Life.begin(this.rig, this.postgres, deadlineMs)).run(operations); }
}

// In a place of its own, for the last one may be broken.
async function fails(store, operations) {
  const place = await Place.open(store);
  try {
    await place.live(operations, 10_000);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await place.close().catch(() => {});
  }
}

// Leaves out halves, quarters... as long as what is left still fails.
async function shrink(store, operations) {
  const until = Date.now() + kMostShrinkingMs;
  let least = operations, tries = 0;
  for (let part = Math.ceil(least.length / 2); part > 0; part = Math.floor(part / 2)) {
    for (let from = 0; from < least.length;) {
      if (++tries > kMostTries || Date.now() > until) return least;
      const less = least.toSpliced(from, part);
      if (await fails(store, less)) least = less;
      else from += part;
    }
  }
  return least;
}

for (const store of ['SQLite', 'PostgreSQL']) test(`${lives} lives on ${store} lose, double and reorder nothing (GW_SEED=${first})`, async (t) => {
  const place = await Place.open(store);
  const all = { outbound: 0, inbound: 0 };
  try {
    for (let seed = first; seed < first + lives; seed++) {
      const operations = draw(seed, kOperations);
      try {
        const { outbound, inbound } = await place.live(operations);
        all.outbound += outbound;
        all.inbound += inbound;
      } catch (error) {
        const least = await shrink(store, operations);
        assert.fail(`GW_SEED=${seed} GW_LIVES=1 replays it on ${store}; of ${operations.length} operations these ${least.length} are enough:\n` +
          `${least.map((op) => `  ${describe(op)}`).join('\n')}\n${error.stack}`);
      }
    }
    await place.rig.checkNothingTold();
    assert.ok(lives < 12 || (all.outbound > lives * 5 && all.inbound > lives), JSON.stringify(all));
    t.diagnostic(`${lives} lives, ${all.outbound} messages out, ${all.inbound} in`);
  } catch (error) {
    await place.close().catch((other) => t.diagnostic(String(other)));
    throw error;
  }
  await place.close();
});
