// The gateway on PostgreSQL, a real server of the test's own: the main job, a server that restarts,
// dies, hangs or takes no writes, and what is refused at the start.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway } from './lib/gateway.mjs';
import { Postgres } from './lib/postgres.mjs';
import { Rig, eventually } from './lib/rig.mjs';
import { survives } from './lib/survives.mjs';

let postgres, rig;
before(async () => {
  postgres = await new Postgres().start();
  rig = await Rig.start({ postgres });
});
after(async () => {
  try { await rig?.stop(); } finally { await postgres?.remove(); }
});

const sql = (text) => postgres.sql(rig.database, text);

test('a text reaches the phone, its answer and its receipts come back', async () => {
  const [user, phone] = [await rig.user('alice'), await rig.phone({ auto_delivered: true, auto_read: true })];
  const sent = await rig.works(user, phone);
  await rig.provider.until(() => rig.provider.states(user, sent.id).includes('READ'), 'READ');
  await (await rig.inbound(user, phone, 3))();
});

test('it says what a commit survives on this server', () => {
  assert.match(rig.gateway.log(), /PostgreSQL 15[.\d]+.*: fsync on, full_page_writes on, synchronous_commit on, no synchronous standby/);
});

test('a server that restarts, or is killed, costs nothing that was accepted', async () => {
  for (const signal of ['SIGINT', 'SIGQUIT']) {
    const [user, phone] = [await rig.user('bert'), await rig.phone()];
    await survives(rig, user, phone, () => postgres.stop(signal), () => postgres.start());
  }
});

test('a session that the server ends is opened anew', async () => {
  const [user, phone] = [await rig.user('carl'), await rig.phone()];
  await survives(rig, user, phone,
    () => postgres.sql('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='interop-gateway'`), () => {});
});

test('a server that takes no writes for a while', async () => {
  const [user, phone] = [await rig.user('dora'), await rig.phone()];
  await survives(rig, user, phone,
    () => postgres.sql('postgres', `ALTER DATABASE "${rig.database}" SET default_transaction_read_only=on;
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='interop-gateway'`),
    () => postgres.sql('postgres', `ALTER DATABASE "${rig.database}" RESET default_transaction_read_only`));
});

test('a user whose rows somebody else locks waits for it alone', async () => {
  const [user, phone] = [await rig.user('emil'), await rig.phone()];
  const unlock = await postgres.hold(rig.database, 'SELECT * FROM account FOR UPDATE');
  await survives(rig, user, phone, () => {}, unlock);
});

test('nothing but sealed octets and numbers lies in the database', async () => {
  const [user, phone] = [await rig.user('frieda'), await rig.phone()];
  await rig.works(user, phone);
  const dump = postgres.dump(rig.database);
  const text = dump.replaceAll(/\\\\x[0-9a-f]*/g, '');  // without the octets, in which digits are anything
  assert.match(text, /COPY public.account/);
  for (const secret of rig.secrets) {
    assert.ok(!text.includes(secret), secret);
    assert.ok(!dump.includes(Buffer.from(secret).toString('hex')), secret);
  }
});

test('a gateway that is killed goes on where it was', async () => {
  const [user, phone] = [await rig.user('gerd'), await rig.phone()];
  await rig.works(user, phone);
  await rig.gateway.kill();
  await rig.gateway.start();
  await eventually(async () => !rig.provider.ended || rig.provider.connect().then(() => true, () => false), 'the provider is back');
  await rig.provider.attachAndWait(user);
  await rig.works(user, phone);
});

test('through pgbouncer in session mode, which is restarted too', async () => {
  const bouncer = await postgres.bouncer();
  const behind = await Rig.start({ postgres: bouncer });
  try {
    const [user, phone] = [await behind.user('hilde'), await behind.phone()];
    await behind.works(user, phone);
    await bouncer.restart();
    await eventually(async () => (await fetch(`${behind.gateway.operator}/readyz`)).status === 200, 'ready again');
    await behind.works(user, phone);
    await behind.checkNothingTold();
  } finally {
    await behind.stop();
    await bouncer.stop();
  }
});

test('what is wrong with the server at the start is said, with what to do', async () => {
  const cases = [
    [{ uri: () => `host=${postgres.dir} user=gateway dbname=nosuch` }, 2, /POSTGRES_NO_DATABASE: there is no such database/],
    [{ uri: () => `host=${postgres.dir} user=nosuch dbname=postgres` }, 2, /POSTGRES_REFUSED/],
    [{ uri: () => `host=${postgres.dir}/nowhere user=gateway dbname=postgres` }, 1, /POSTGRES_UNREACHABLE: .*store\.uri/],
    [{ uri: () => 'postgresql://gateway:hunter2@localhost/gateway' }, 2, /gateway\.yaml:\d+:\d+: store\.uri: .*without a password/],
    [{ uri: () => '"host=localhost password=hunter2"' }, 2, /store\.uri: .*without a password/],
    [{ uri: () => 'localhost' }, 2, /store\.uri: .*a connection string/],
  ];
  for (const [store, code, says] of cases) {
    const gateway = new Gateway({ sim: rig.sim, postgres: store });
    gateway.prepare();
    const ended = await gateway.run();
    assert.equal(ended.code, code, `${says}: ${ended.stderr}`);
    assert.match(ended.stderr, says);
    assert.doesNotMatch(ended.stderr, /hunter2/);
  }
});

test('a schema from the future is left alone', async () => {
  const gateway = new Gateway({ sim: rig.sim, postgres });
  gateway.prepare();
  const database = gateway.database;
  postgres.sql(database, `CREATE TABLE gateway_schema (id int, version int, oldest_reader int); INSERT INTO gateway_schema VALUES (1, 1000, 999)`);
  const { code, stderr } = await gateway.run();
  assert.equal(code, 2);
  assert.match(stderr, /SCHEMA_FROM_FUTURE: .*schema 1000.*run that version/);
  assert.equal(postgres.sql(database, 'SELECT count(*) FROM pg_tables WHERE schemaname=\'public\''), '1');
});

test('a server that would lose what it committed is refused', async () => {
  const unsafe = new Postgres({ fsync: 'off' });
  try {
    await unsafe.start();
    const gateway = new Gateway({ sim: rig.sim, postgres: unsafe });
    gateway.prepare();
    const { code, stderr } = await gateway.run();
    assert.equal(code, 2);
    assert.match(stderr, /POSTGRES_UNSAFE: .*fsync=on/);
  } finally { await unsafe.remove(); }
});

test('nobody is named in the log or the metrics', () => rig.checkNothingTold());
