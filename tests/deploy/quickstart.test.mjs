// deploy/quickstart on programs that are built already: what it shows, that it leaves nothing
// behind, --stay and --stop, and how it fails. Every run has a folder of its own under one whose
// name holds a blank.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, watch }
  from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const build = resolve(source, process.env.GW_BUILD ?? 'build/release');
const script = join(source, 'deploy/quickstart');
const folder = mkdtempSync(join(tmpdir(), 'quick start-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const environment = { ...process.env, QUICKSTART_BUILD: build };
function options(name, more = {}) {
  return { cwd: tmpdir(), encoding: 'utf8', timeout: 120_000,
    env: { ...environment, QUICKSTART_VAR: join(folder, name), ...more } };
}
function run(name, args = [], more = {}) {
  const { status, stdout, stderr } = spawnSync(script, args, options(name, more));
  return { status, stdout, stderr, output: stdout + stderr };
}

// Command lines of processes that work in a run's folder; the started ones all do.
function processesIn(name) {
  const wanted = join(folder, name);
  return readdirSync('/proc').filter((pid) => /^[0-9]+$/.test(pid)).flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (!words.includes(`QUICKSTART_VAR=${wanted}`)) return [];
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
    } catch {
      return [];  // gone meanwhile
    }
  });
}

function untilFileHas(file, text) {
  return new Promise((done, failed) => {
    const end = (how, value) => {
      watcher.close();
      clearTimeout(timer);
      how(value);
    };
    const look = () => { if (readFileSync(file, 'utf8').includes(text)) end(done); };
    const watcher = watch(file, look);
    const timer = setTimeout(() => end(failed, new Error(`no '${text}' in ${file}`)), 20_000);
    look();
  });
}

// The table's two sides, as texts.
function sides(stdout) {
  const rows = stdout.split('\n').filter((line) => /^ .{37} \|/.test(line));
  const side = (from, to) => rows.map((row) => row.slice(from, to).trim()).filter(Boolean).join('\n');
  return { left: side(0, 38), right: side(40) };
}

function assertShown({ status, stdout, output }) {
  assert.equal(status, 0, output);
  const { left, right } = sides(stdout);
  const time = String.raw`\d\d:\d\d:\d\d\.\d{3}  `;
  assert.match(left, new RegExp(`^provider's backend, user alice\n${time}sends\n"Good morning from another app"\n`));
  assert.match(left, new RegExp(`${time}SENT [^]*${time}DELIVERED [^]*${time}READ `));
  assert.match(left, new RegExp(`${time}receives the reply\n"Good morning, Alice. It works!"$`, 'm'));
  assert.match(right, new RegExp(`^WhatsApp phone \\+4915112345678\n${time}decrypts\n"Good morning from another app"\n` +
    `${time}replies\n"Good morning, Alice. It works!"$`));
  for (const word of ['real', 'simulated', 'invented']) assert.match(stdout, new RegExp(`^ ${word} `, 'm'));
  assert.match(stdout, /IN_GATEWAY.*\n.*not end-to-end encryption in the strict sense/);
}

test('a text, its receipts and the reply are shown; nothing is left; so it is the second time', () => {
  for (const _ of [1, 2]) {
    const result = run('plain');
    assertShown(result);
    assert.ok(!result.output.includes('\u001b'), 'colour without a terminal');
    for (const line of result.stdout.split('\n').filter((l) => !l.includes(folder))) {
      assert.ok(line.length <= 80, line);
    }
    assert.equal(result.stderr, '');
    assert.deepEqual(processesIn('plain'), []);
    assert.ok(!existsSync(join(folder, 'plain/pids')));
  }
});

test('an unmodified Baileys serves as the phone', {
  skip: existsSync(join(source, 'tests/conformance/node_modules/baileys')) ? false
    : 'needs Baileys (tests/run conformance installs it)',
}, () => {
  const result = run('baileys', ['--phone', 'baileys']);
  assertShown(result);
  assert.match(result.stdout, /Baileys 7\.[^\n]* unmodified, logged in/);
  assert.deepEqual(processesIn('baileys'), []);
});

test('on a private PostgreSQL, which it starts and ends', () => {
  const result = run('postgres', ['--store', 'postgres']);
  assertShown(result);
  assert.match(result.stdout, /operator on [^\n]*, PostgreSQL \(its own, in /);
  assert.match(result.stdout, /commits to PostgreSQL/);
  assert.match(result.stdout, /stopped: backend gateway simulator postgres/);
  assert.deepEqual(processesIn('postgres'), []);
});

test('--stay leaves it running with commands that work as printed; --stop ends it', async (t) => {
  t.after(() => run('stay', ['--stop']));
  const result = run('stay', ['--stay']);
  assertShown(result);
  assert.equal(processesIn('stay').length, 3);

  const commands = result.stdout.slice(result.stdout.indexOf('It is running. To try next:'))
    .split('\n\n').map((block) => block.replace(/^It is running.*$|^#.*$/gm, '').trim());
  const printed = (what) => {
    const found = commands.find((command) => command.includes(what));
    assert.ok(found, `${what} is not among the commands`);
    const done = spawnSync('bash', ['-c', `${commands[0]} && ${found}`], options('stay'));
    assert.equal(done.status, 0, done.stderr);
    return done.stdout;
  };
  assert.match(printed("send alice +4915112345678 'Hello again'"), /"message_id":"[0-9A-F]{32}"/);
  assert.match(printed('contact alice'), /"safety_number":"(\d{5} ){11}\d{5}"/);
  // The phone reads and echoes; the events tell it.
  await untilFileHas(join(folder, 'stay/backend.out'), 'echo: Hello again');
  assert.match(printed('events alice'), /echo: Hello again/);
  const operator = /http:\/\/(127\.0\.0\.1:\d+)\/readyz/.exec(result.stdout)[1];
  assert.equal((await (await fetch(`http://${operator}/readyz`)).json()).ready, true);
  assert.match(await (await fetch(`http://${operator}/metrics`)).text(), /^interop_gateway_links_up 1$/m);

  const second = run('stay');
  assert.equal(second.status, 1);
  assert.match(second.stderr, /running still \(simulator gateway backend\).*--stop/);
  assert.match(printed('--stop'), /stopped: backend gateway simulator/);
  assert.deepEqual(processesIn('stay'), []);
  assert.match(run('stay', ['--stop']).stdout, /nothing is running/);
});

test('--stop leaves a process alone that only has a recorded pid', async (t) => {
  mkdirSync(join(folder, 'other'), { recursive: true });
  const other = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  t.after(() => other.kill());
  await once(other, 'spawn');
  spawnSync('bash', ['-c', `echo "${other.pid} 1 gateway" >"$1"`, '-', join(folder, 'other/pids')]);
  assert.match(run('other', ['--stop']).stdout, /nothing is running/);
  assert.equal(other.exitCode, null);
  assert.equal(other.signalCode, null);
});

test('a port that is taken: the gateway says so, and what runs is stopped', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { status, stdout, stderr } = run('port', ['--port', String(server.address().port)]);
  assert.equal(status, 1);
  assert.match(stderr, /the gateway ended by itself\nthe end of .*gateway\.log:\n/);
  assert.match(stderr, /LISTEN_FAILED: cannot listen for providers on 127\.0\.0\.1:\d+/);
  assert.match(stdout, /stopped: simulator/);
  assert.deepEqual(processesIn('port'), []);
});

test('a missing program, build folder or argument is named', () => {
  const partial = join(folder, 'partial');
  mkdirSync(join(partial, 'gateway/gwctl'), { recursive: true });
  for (const program of ['gateway/interop-gateway', 'gateway/gwctl/gwctl']) {
    symlinkSync(join(build, program), join(partial, program));
  }
  const missing = run('missing', ['--build-dir', partial]);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /there is no program .*whatsapp_sim: build interop-gateway gwctl whatsapp_sim/);
  assert.match(run('missing', ['--build-dir', '/nowhere']).stderr, /no build folder \/nowhere/);
  for (const wrong of [['--nope'], ['--phone', 'x'], ['--store', 'x'], ['--port', '70000'], ['--port']]) {
    assert.equal(run('missing', wrong).status, 2, wrong.join(' '));
  }
  assert.match(run('missing', ['--help']).stdout, /--stay/);
});

test('a signal stops all that was started', async () => {
  for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]]) {
    const child = spawn(script, [], { ...options('signal'), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (!output.includes('gateway: gRPC') && (output + text).includes('gateway: gRPC')) child.kill(signal);
      output += text;
    });
    const [status] = await once(child, 'close');
    assert.equal(status, code, output);
    assert.match(output, /stopped: .*gateway simulator/);
    assert.deepEqual(processesIn('signal'), []);
  }
});
