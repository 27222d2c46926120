// The whole gateway over a database whose commits fail, or answer "unknown" before or after they
// took place, and whose fresh connections fail too. GW_SEED replays a run.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { buildFolder } from '../conformance/lib/sim.mjs';
import { Load } from './lib/load.mjs';

const seed = Number(process.env.GW_SEED ?? Date.now() % 1e9);
const binary = path.join(buildFolder(), 'tests/fault/faulty_gateway');

const kCases = {
  'commits that fail': ['--fail', '0.1'],
  'unknown, and nothing was written': ['--unknown-before', '0.2', '--reopen', '0.3'],
  'unknown, and all was written': ['--unknown-after', '0.2', '--reopen', '0.3'],
  'all of it': ['--fail', '0.05', '--unknown-before', '0.1', '--unknown-after', '0.1', '--reopen', '0.2'],
};

for (const [name, rates] of Object.entries(kCases)) {
  test(`${name} (GW_SEED=${seed})`, async (t) => {
    const load = new Load({ gatewayOptions: { binary, args: ['--seed', String(seed), ...rates] } });
    t.after(() => load.stop());
    await load.start();
    load.running = true;
    load.fill();
    await load.phonesWrite(10);
    await load.provider.until(() => load.moments > 1500, '1500 results and events', 60000);
    await load.settle();
    const counted = await load.check();
    assert.ok(counted.outbound > 100, `only ${counted.outbound} messages`);
    t.diagnostic(`${counted.outbound} messages out, ${counted.inbound} in`);
  });
}
