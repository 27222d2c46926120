// tests/run itself, on a made-up project of a few tests: does it count what happened?
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const tree = mkdtempSync(join(tmpdir(), 'runner-'));

const files = {
  'CMakeLists.txt': `
    cmake_minimum_required(VERSION 3.25)
    project(made_up CXX)
    find_package(GTest CONFIG REQUIRED)
    enable_testing()
    function(add name label)
      add_executable(\${name} \${name}.cpp)
      target_link_libraries(\${name} GTest::gtest_main)
      add_test(NAME \${name} COMMAND \${name})
      set_tests_properties(\${name} PROPERTIES LABELS "\${label}" \${ARGN})
    endfunction()
    add(mixed unit ENVIRONMENT "FLAVOUR=sweet and sour")
    add(crash unit)
    add(hang store TIMEOUT 1)
    add(patient "model;long")
    add(broken fault)`,
  'mixed.cpp': `
    #include <gtest/gtest.h>
    #include <cstdlib>
    TEST(Mixed, passes) { EXPECT_STREQ(std::getenv("FLAVOUR"), "sweet and sour"); }
    TEST(Mixed, knowsTheSeed) { EXPECT_STREQ(std::getenv("GW_SEED"), "77"); }
    TEST(Mixed, prints) { puts("[       OK ] not a case"); }
    TEST(Mixed, fails) { FAIL() << "the moon is down"; }
    TEST(Mixed, skips) { GTEST_SKIP() << "needs a moon"; }
    TEST(Mixed, skipsSilently) { GTEST_SKIP(); }`,
  'crash.cpp': `
    #include <gtest/gtest.h>
    TEST(Crash, before) {}
    TEST(Crash, crashes) { abort(); }
    TEST(Crash, never) {}`,
  'hang.cpp': `
    #include <gtest/gtest.h>
    #include <unistd.h>
    TEST(Hang, before) {}
    TEST(Hang, hangs) { for (;;) pause(); }`,
  'patient.cpp': `
    #include <gtest/gtest.h>
    TEST(Patient, waits) {}`,
  'broken.cpp': '#error "this does not compile"',
  'tests/deploy/mixed.test.mjs': `
    import test, { describe, it } from 'node:test';
    test('passes', () => {});
    test('skips', { skip: 'no bread' }, () => {});
    describe('a suite is no case', () => {
      it('passes too', () => {});
      it('fails', () => { throw new Error('no butter'); });
    });`,
  'tests/deploy/slow.long.test.mjs': `
    import test from 'node:test';
    test('waits', () => {});`,
  'tests/integration/empty.test.mjs': `console.log('nothing');`,
};

function run(...args) {
  const environment = { ...process.env, GW_SEED: '77' };
  // node --test would otherwise think itself part of the run that started it.
  delete environment.NODE_TEST_CONTEXT;
  const { status, stdout, stderr } = spawnSync(join(tree, 'tests/run'), args, {
    env: environment, encoding: 'utf8', timeout: 120_000,
  });
  const output = stdout + stderr;
  return { status, output, total: stdout.trimEnd().split('\n').at(-1) };
}

before(() => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, name)), { recursive: true });
    writeFileSync(join(tree, name), text);
  }
  for (const name of ['tests/run', 'tests/lib', 'deploy/install-packages', 'deploy/packages.txt',
    'CMakePresets.json']) {
    cpSync(join(source, name), join(tree, name), { recursive: true });
  }
});
after(() => rmSync(tree, { recursive: true, force: true }));

test('an unknown label or option is an error that names the known ones', () => {
  const { status, output } = run('unit', 'nope');
  assert.equal(status, 2);
  assert.match(output, /unknown label 'nope'; there are: unit store integration/);
  assert.equal(run('--nope').status, 2);
  assert.equal(run('--fuzz', 'long').status, 2);
});

test('--list names each label with its minutes', () => {
  const { status, output } = run('--list');
  assert.equal(status, 0);
  assert.equal(output.trimEnd().split('\n').length, 7);
  for (const line of output.trimEnd().split('\n')) assert.match(line, /^[a-z]+ +\d+ min {2}\S/);
});

test('cases are counted: passed, failed, skipped with a reason, crashed', () => {
  const { status, output, total } = run('unit');
  assert.equal(total, '4 passed, 3 failed, 1 skipped', output);
  assert.equal(status, 1);
  assert.match(output, /the moon is down/);
  assert.match(output, /skipped: Mixed.skips \(needs a moon\)/);
  assert.match(output, /failed: {2}Mixed.skipsSilently \(skipped without a reason\)/);
  assert.match(output, /failed: {2}Crash.crashes \(exit code 134\)/);
  assert.match(output, /GW_SEED=77 tests\/run unit/);
});

test('a program that hangs is stopped and has failed', () => {
  const { status, output, total } = run('store');
  assert.equal(total, '1 passed, 1 failed, 0 skipped', output);
  assert.equal(status, 1);
  assert.match(output, /failed: {2}Hang.hangs \(stopped after 1 s/);
});

test('what is marked long runs under --long only, and a label without tests has failed', () => {
  const quick = run('model');
  assert.equal(quick.total, '0 passed, 1 failed, 0 skipped', quick.output);
  assert.equal(quick.status, 1);
  const long = run('--long', 'model');
  assert.equal(long.total, '1 passed, 0 failed, 0 skipped', long.output);
  assert.equal(long.status, 0);
});

test('a build that fails is one failure', () => {
  const { status, output, total } = run('fault');
  assert.equal(total, '0 passed, 1 failed, 0 skipped', output);
  assert.equal(status, 1);
  assert.match(output, /does not compile/);
});

test('node files are counted the same way; one that defines no test has failed', () => {
  writeFileSync(join(tree, 'broken.cpp'), 'int main() {}');
  const node = run('deploy', 'integration');
  assert.equal(node.total, '2 passed, 2 failed, 1 skipped', node.output);
  assert.match(node.output, /no butter/);
  assert.match(node.output, /skipped: skips \(no bread\)/);
  assert.match(node.output, /empty.test.mjs \(the file defines no test\)/);
});
