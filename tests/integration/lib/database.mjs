// What others do to the gateway's database file: a process that holds its lock, and statements of it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

// One SQL text by the sqlite3 shell; returns what it prints.
export function sql(file, text) {
  return execFileSync('sqlite3', ['-bail', '-cmd', '.timeout 10000', file, text], { encoding: 'utf8' }).trim();
}

// Takes the write lock, as a backup or a shell would that somebody forgot. Resolves with the function
// that gives it back.
export async function lock(file) {
  const shell = spawn('sqlite3', ['-bail', '-cmd', '.timeout 10000', file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(shell, 'exit');
  shell.stdin.write('BEGIN IMMEDIATE;\nSELECT \'held\';\n');
  const [line] = await Promise.race([once(createInterface({ input: shell.stdout }), 'line'), gone]);
  assert.equal(line, 'held', 'the lock of the database');
  return async () => {
    shell.stdin.end('ROLLBACK;\n');
    const [code] = await gone;
    assert.equal(code, 0, 'the shell that held the lock');
  };
}
