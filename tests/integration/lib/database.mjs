// What others do to the gateway's database file: a process that holds its lock, and statements of it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Program } from '../../conformance/lib/program.mjs';

// One SQL text by the sqlite3 shell; returns what it prints.
export function sql(file, text) {
  return execFileSync('sqlite3', ['-bail', '-cmd', '.timeout 10000', file, text], { encoding: 'utf8' }).trim();
}

// Takes the write lock, as a backup or a shell would that somebody forgot. Resolves with the function
// that gives it back.
export async function lock(file) {
  const shell = spawn('sqlite3', ['-bail', '-cmd', '.timeout 10000', file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const program = new Program('the shell that holds the lock', shell);
  const line = once(createInterface({ input: shell.stdout }), 'line').then(([text]) => text);
  shell.stdin.write('BEGIN IMMEDIATE;\nSELECT \'held\';\n');
  assert.equal(await Promise.race([line, program.gone]), 'held', 'the lock of the database');
  program.detach();
  return async () => {
    if (program.ended) return;
    shell.ref();
    shell.stdin.end('ROLLBACK;\n');
    assert.deepEqual(await program.gone, [0, null], 'the shell that held the lock');
  };
}
