// The compatibility matrix: unmodified clients against the gateway, a test case a cell. What is found
// has to be what REPORT.md says.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { reportSection, table } from '../lib/report.mjs';
import { kIntroduction, kNotes } from './notes.mjs';
import { columns } from './columns.mjs';
import rows from './rows.mjs';
import { World } from './world.mjs';

const kCellMs = 60_000;
const found = new Map();  // row -> column -> what the report says
let world;

before(async () => { world = await World.start(); }, { timeout: 60_000 });
after(() => world?.stop());

for (const column of columns) {
  suite(column.name, () => {
    before(() => column.start(world), { timeout: 60_000 });
    after(() => column.stop());
    for (const [row, run] of Object.entries(rows)) {
      test(`${row} (${column.name})`, { timeout: kCellMs }, async () => {
        const cells = found.get(row) ?? found.set(row, {}).get(row);
        cells[column.name] = 'FAILED';
        await column.ready();
        const refused = await run(column);
        cells[column.name] = refused ? `refused by rule: ${refused}` : 'passed';
      });
    }
  });
}

test('the far side saw nothing wrong', async () => {
  assert.deepEqual(await world.sim.violations(), []);
  assert.deepEqual(world.provider.violations, []);
});

test('REPORT.md says what was found', () => {
  const matrix = Object.keys(rows).map((row) => ({
    '': row, ...Object.fromEntries(columns.map((c) => [c.name, found.get(row)?.[c.name] ?? 'not run'])) }));
  reportSection('Baileys', `${kIntroduction}\n\n${table(matrix)}\n\n${kNotes}`);
});
