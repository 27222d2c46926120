// A database that says nothing any more on a connection that lives: neither the server's timeouts nor
// TCP's end that. It costs as long as an answer is waited for, and nothing that was accepted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PostgresProtocol } from '../integration/lib/framing.mjs';
import { Gate } from '../integration/lib/gate.mjs';
import { Postgres } from '../integration/lib/postgres.mjs';
import { Rig } from '../integration/lib/rig.mjs';

const postgres = new Postgres();
let gate, rig;
before(async () => {
  await postgres.start();
  gate = await Gate.listen(`${postgres.dir}/.s.PGSQL.5432`, PostgresProtocol);
  const uri = (name) => {
    postgres.uri(name);
    return `host=127.0.0.1 port=${gate.port} user=gateway dbname=${name} sslmode=disable gssencmode=disable`;
  };
  rig = await Rig.start({ postgres: { uri } });
});
after(async () => {
  try { await rig?.stop(); } finally {
    await gate?.stop();
    await postgres.remove();
  }
});

test('a commit whose answer never comes: known in the end, accepted once', async () => {
  const [user, phone] = [await rig.user('waits'), await rig.phone()];
  await rig.works(user, phone);
  const strike = gate.arm({ way: 'down', unit: 'answer', kind: 'drop' });
  await rig.send(user, phone, { deadlineMs: 40000 });
  assert.ok(strike.struck);
  await rig.arrived(phone);
  await rig.works(user, phone);
  await rig.checkNothingTold();
});

test('a gateway that is told to end meanwhile ends', async () => {
  const [user, phone] = [await rig.user('ends'), await rig.phone()];
  await rig.works(user, phone);
  const strike = gate.arm({ way: 'down', unit: 'answer', kind: 'drop' });
  rig.provider.submit([rig.provider.text(user, rig.nextId(), phone.e164, rig.text())]);
  await rig.provider.until(() => strike.struck, 'the strike');
  await rig.gateway.end();
  await rig.gateway.start();
  await rig.provider.connect();
  await rig.provider.attachAndWait(user);
});
