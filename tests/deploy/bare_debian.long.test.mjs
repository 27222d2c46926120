// Both of the README's commands on a bare Debian 12, each from nothing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const missing = process.getuid() !== 0 ? 'needs root, for chroot'
  : spawnSync('debootstrap', ['--version']).error ? 'needs debootstrap (apt-get install debootstrap)'
    : false;

test('deploy/quickstart and tests/run pass on a bare Debian 12', { skip: missing }, () => {
  const { status } = spawnSync(join(here, 'bare_debian'),
    ['--from-nothing=each', 'deploy/quickstart', 'tests/run'], { stdio: 'inherit' });
  assert.equal(status, 0);
});
