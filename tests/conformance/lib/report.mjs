// REPORT.md: one file, each suite the owner of one section between its markers. What a run finds has
// to be what the committed file says; GW_REPORT=write writes it instead.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const kFile = fileURLToPath(new URL('../REPORT.md', import.meta.url));
const marker = (word, name) => `<!-- ${word} of section: ${name} -->`;

// The text of a section with its markers, and the whole file around it.
function find(name) {
  const text = readFileSync(kFile, 'utf8');
  const [begin, end] = [marker('begin', name), marker('end', name)];
  const from = text.indexOf(begin), to = text.indexOf(end);
  if (from < 0 && to < 0) return { text, before: `${text.trimEnd()}\n\n`, old: '', behind: '\n' };
  assert.ok(from >= 0 && to > from, `${kFile}: the markers of ${name} are damaged`);
  return { text, before: text.slice(0, from), old: text.slice(from, to + end.length), behind: text.slice(to + end.length) };
}

// Markdown without times, seeds or anything else that differs between two runs of the same result.
export function reportSection(name, markdown) {
  const { before, old, behind } = find(name);
  const found = `${marker('begin', name)}\n${markdown.trim()}\n${marker('end', name)}`;
  if (process.env.GW_REPORT === 'write') {
    if (found !== old) writeFileSync(kFile, before + found + behind);
    return;
  }
  assert.equal(old, found, `${name}: tests/conformance/REPORT.md does not say what this run found; ` +
    'GW_REPORT=write tests/run conformance writes it anew');
}

// A table: an object a row, its keys the columns.
export function table(rows) {
  const columns = Object.keys(rows[0]);
  const line = (cells) => `| ${cells.map((c) => String(c).replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map((row) => line(columns.map((c) => row[c])))].join('\n');
}
