// What keeps a gateway from starting: settings and database files that are wrong. It says what, all at
// once, ends with 2, and leaves everything as it was.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { lock } from './lib/database.mjs';
import { Rig } from './lib/rig.mjs';

let rig, gateway, user, phone;
before(async () => {
  rig = await Rig.start();
  gateway = rig.gateway;
  user = await rig.user('started');
  phone = await rig.phone();
  await rig.works(user, phone);
});
after(() => rig?.stop());

const file = (name) => path.join(gateway.dir, name);

async function back() {
  await gateway.start();
  await rig.provider.connect();
  await rig.provider.attachAndWait(user);
  await rig.works(user, phone);
}

// The running one is stopped, `spoil` does its work, the start has to fail with these words; what
// `restore` puts back serves again.
async function refusesToStart(spoil, restore, ...says) {
  await refusesToStartWith({ code: 2 }, spoil, restore, ...says);
}

// `prefix`: a command that starts it. 2: somebody has to change something first.
async function refusesToStartWith({ code: expected, prefix }, spoil, restore, ...says) {
  await gateway.end();
  const undo = await spoil();
  const tried = Object.assign(Object.create(gateway), { options: { ...gateway.options, prefix } });
  const { code, stdout, stderr } = await tried.run();
  await restore(undo);
  assert.equal(code, expected, stderr);
  assert.equal(stdout, '');
  for (const words of says) assert.match(stderr, words);
  await back();
}

test('settings: all that is wrong at once, with file and line', async () => {
  const good = readFileSync(gateway.config, 'utf8');
  const config = file('wrong.yaml');
  const lines = good.replace('gateway.db', 'never.db').replace('certs/server.pem', 'certs/missing.pem')
    .replace('  port: ', '  prot: 443\n  port: nine # ').split('\n');
  lines.push('limits:', '  submit_window: many', '  attach_grace: 5', 'colour: blue');
  writeFileSync(config, lines.join('\n'));
  const line = (text) => lines.findIndex((l) => l.includes(text)) + 1;
  const expected = [
    [line('certs/missing.pem'), 'listen.tls.certificate', /there is no file .*certs\/missing\.pem/],
    [line('prot:'), 'whatsapp.prot', /is no setting; did you mean "port"\?/],
    [line('port: nine'), 'whatsapp.port', /expected a whole number from 1 to 65535, found "nine"/],
    [line('submit_window'), 'limits.submit_window', /expected a whole number/],
    [line('attach_grace'), 'limits.attach_grace', /expected a duration .*unit/],
    [line('colour'), 'colour', /is no setting/]];
  const wrong = Object.assign(Object.create(gateway), { config });
  for (const args of [['--check'], []]) {
    const { code, stdout, stderr } = await wrong.run(...args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    for (const [at, key, says] of expected) {
      const told = stderr.split('\n').find((l) => l.includes(` ${key}: `));
      assert.match(told ?? '', says, `${key} in: ${stderr}`);
      assert.ok(told.startsWith(`${config}:${at}:`), told);
    }
    assert.match(stderr, /6 problems in the settings; nothing was started\n$/);
  }
  assert.ok(!existsSync(file('never.db')) && !existsSync(file('never.db.lock')));
  const { code, stdout } = await gateway.run('--check');
  assert.equal(code, 0);
  assert.match(stdout, /in order/);
  await rig.works(user, phone);
});

test('settings that are no file, no YAML, or hold a key that others may read', async () => {
  const config = file('other.yaml');
  const other = Object.assign(Object.create(gateway), { config });
  for (const [make, says] of [
    [() => {}, /other\.yaml: there is no such file/],
    [() => writeFileSync(config, ''), /other\.yaml: is empty/],
    [() => writeFileSync(config, 'listen: [\n'), /other\.yaml:\d+:\d+: is not YAML/],
    [() => { rmSync(config); mkdirSync(config); }, /is not a regular file/]]) {
    make();
    for (const args of [['--check'], []]) {
      const { code, stderr } = await other.run(...args);
      assert.equal(code, 2);
      assert.match(stderr, says);
      assert.match(stderr, /1 problem in the settings; nothing was started\n$/);
    }
  }
  chmodSync(file('keys/key_encryption_key'), 0o644);
  const { code, stderr } = await gateway.run('--check');
  chmodSync(file('keys/key_encryption_key'), 0o600);
  assert.equal(code, 2);
  assert.match(stderr, /keys\.key_encryption_key_file: others may read the file .*: chmod 600 it/);
});

test('an unknown option', async () => {
  const { code, stderr } = await gateway.run('--hurry');
  assert.equal(code, 2);
  assert.match(stderr, /--hurry/);
});

test('a second gateway on the same database', async () => {
  const { code, stdout, stderr } = await gateway.run();
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /ANOTHER_GATEWAY_RUNS: another gateway \(process \d+\) works on this database: stop it first/);
  assert.match(stderr, new RegExp(`process ${gateway.child.pid}\\)`));
  await rig.works(user, phone);
});

test('a port that is taken', async () => {
  const taken = net.createServer();
  await refusesToStart(
    () => new Promise((resolve) => taken.listen(gateway.apiPort, '127.0.0.1', resolve)),
    () => new Promise((resolve) => taken.close(resolve)), /[A-Z_]+: .*(address|port|listen)/i);
});

test('a damaged database file', async () => {
  const [db, kept] = [file('gateway.db'), file('kept.db')];
  const keep = () => copyFileSync(db, kept);
  const restore = () => {
    for (const end of ['-wal', '-shm']) rmSync(db + end, { force: true });
    copyFileSync(kept, db);
  };
  await refusesToStart(() => { keep(); writeFileSync(db, 'This is a letter and no database.\n'.repeat(400)); }, restore,
    /DATABASE|DAMAGED|SQLITE/, /database/i);
  await refusesToStart(() => {
    keep();
    const octets = readFileSync(db);
    for (let at = 4096; at + 4096 <= octets.length; at += 4096) octets.fill(0xa5, at, at + 512);
    writeFileSync(db, octets);
  }, restore, /damaged|corrupt|malformed/i);
});

test('a wrong key-encryption key', async () => {
  const key = file('keys/key_encryption_key');
  const right = readFileSync(key);
  await refusesToStart(() => writeFileSync(key, `${'ab'.repeat(32)}\n`), () => writeFileSync(key, right),
    /key.encryption key/i);
});

test('a database that is a folder, or in one that is not there', async () => {
  const good = readFileSync(gateway.config, 'utf8');
  mkdirSync(file('folder.db'));
  for (const [name, says] of [['folder.db', /database|file/i], ['nowhere/gateway.db', /folder must exist/]]) {
    const config = file('elsewhere.yaml');
    writeFileSync(config, good.replace('gateway.db', name));
    const { code, stdout, stderr } = await Object.assign(Object.create(gateway), { config }).run();
    assert.equal(code, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, says);
  }
});

// Without its capabilities root is an owner like any other: permissions count.
const powerless = process.getuid() === 0 ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all', '--'] : [];

test('a database file or a folder that may not be written or not be read', async () => {
  const db = file('gateway.db');
  for (const [name, mode, says] of [
    [db, 0o400, /SQLITE_READ_ONLY: the database file or its folder is read-only for this process: give the gateway's user the right/],
    [db, 0o000, /SQLITE_CANNOT_OPEN: the database file cannot be opened: .*user must be able to write/],
    [gateway.dir, 0o500, /SQLITE_(READ_ONLY|CANNOT_OPEN): .*(user the right to write both|must be able to write in it)/],
    [`${db}.lock`, 0o400, /lock/]]) {
    const good = statSync(name).mode & 0o777;
    await refusesToStartWith({ code: 2, prefix: powerless }, () => {
      const before = readFileSync(db);
      chmodSync(name, mode);
      return before;
    }, (before) => {
      chmodSync(name, good);
      assert.ok(readFileSync(db).equals(before), 'nothing was written');
    }, says);
  }
});

test('a database that another process has locked: it says so, and that it may pass by itself', async () => {
  await refusesToStartWith({ code: 1 }, () => lock(file('gateway.db')), (unlock) => unlock(),
    /SQLITE_LOCKED: another process holds the database's lock: end it/);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
