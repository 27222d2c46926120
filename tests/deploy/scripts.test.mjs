// The project's shell scripts, and deploy/install-packages with lists made up for the test.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync,
  writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
// In /tmp, whatever TMPDIR says: nobody has to reach it, and our home may be closed to others.
const folder = mkdtempSync('/tmp/gw-scripts-');
after(() => rmSync(folder, { recursive: true, force: true }));

function* filesUnder(path) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const name = join(path, entry.name);
    if (entry.isDirectory() && !/^(build|var|node_modules|\.git)$/.test(entry.name)) {
      yield* filesUnder(name);
    } else if (entry.isFile()) {
      yield name;
    }
  }
}

test('every bash script parses, stops on errors and can be executed', () => {
  const scripts = [...filesUnder(source)].filter((name) =>
    readFileSync(name).subarray(0, 11).toString() === '#!/bin/bash');
  for (const needed of ['deploy/install-packages', 'tests/run', '.ci/run']) {
    assert.ok(scripts.includes(join(source, needed)), needed);
  }
  for (const name of scripts) {
    execFileSync('bash', ['-n', name]);
    assert.match(readFileSync(name, 'utf8'), /^set -[a-z]*u/m, `${name} does not set -u`);
    assert.ok(statSync(name).mode & 0o100, `${name} cannot be executed`);
  }
});

// install-packages with a list of its own.
function install(list, args, options = {}) {
  mkdirSync(join(folder, 'deploy'), { recursive: true });
  cpSync(join(source, 'deploy/install-packages'), join(folder, 'deploy/install-packages'));
  writeFileSync(join(folder, 'deploy/packages.txt'), list);
  const { status, stdout, stderr } = spawnSync('bash',
    [join(folder, 'deploy/install-packages'), ...args], { encoding: 'utf8', cwd: '/', ...options });
  return { status, stdout, stderr };
}

const list = '# why\n[build]  # to build\nbash  # a shell\n\n# more\ncoreutils\n' +
  '[test]\nno-such-package-of-ours  # nowhere\n';

test('what is installed already is left alone, silently', () => {
  assert.deepEqual(install(list, ['build']), { status: 0, stdout: '', stderr: '' });
  assert.deepEqual(install(list, ['--check', 'build']), { status: 0, stdout: '', stderr: '' });
});

test('--list and --check name packages and install nothing', () => {
  assert.equal(install(list, ['--list', 'build', 'test']).stdout,
    'bash\ncoreutils\nno-such-package-of-ours\n');
  assert.deepEqual(install(list, ['--check', 'build', 'test']),
    { status: 1, stdout: 'no-such-package-of-ours\n', stderr: '' });
});

test('an unknown section or option, or none, is an error that names the sections', () => {
  for (const args of [['nope'], ['build', 'nope'], []]) {
    const { status, stderr } = install(list, args);
    assert.equal(status, 1);
    assert.match(stderr, /build test/);
  }
  assert.equal(install(list, ['--nope']).status, 1);
});

test('without root and sudo it says so, and what is missing', () => {
  // A PATH in which there is no sudo, and a user that is not root.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const tool of ['bash', 'sed', 'awk', 'xargs', 'sort', 'comm', 'dpkg-query', 'dirname', 'wc',
    'cat', 'env', 'echo']) {
    symlinkSync(execFileSync('bash', ['-c', `type -P ${tool}`], { encoding: 'utf8' }).trim(),
      join(bin, tool));
  }
  const root = process.getuid() === 0;
  // The folder is private to its owner; nobody has to read the script in it.
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  const { status, stderr } = install(list, ['build', 'test'], {
    env: { PATH: bin }, ...(root && { uid: 65534, gid: 65534 }),
  });
  assert.equal(status, 1);
  assert.match(stderr, /neither root nor sudo.*no-such-package-of-ours/);
});

test('every section that the scripts name is in packages.txt', () => {
  for (const section of ['build', 'run', 'test', 'postgres', 'node', 'bench', 'fuzz']) {
    const names = execFileSync(join(source, 'deploy/install-packages'), ['--list', section],
      { encoding: 'utf8' }).trim().split('\n');
    assert.ok(names.length > 0 && names[0] !== '', section);
    assert.equal(new Set(names).size, names.length, `${section} names a package twice`);
  }
});
