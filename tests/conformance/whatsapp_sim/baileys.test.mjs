// Unmodified Baileys clients at the simulator: what the simulator claims to be is true for a real
// client. Run: node --test (GW_BUILD names the build folder).

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { BaileysClient, Status, trustRoot } from '../lib/baileys_client.mjs';
import { Simulator } from '../lib/sim.mjs';

let sim, anna, ben;
const kPhone = '4915700000003';

before(async () => {
  sim = await Simulator.start();
  trustRoot(sim.rootKey);
  const accounts = await sim.api('POST', '/accounts', [
    { number: '4915700000001', name: 'Anna' },
    { number: '4915700000002', name: 'Ben' },
    { number: kPhone, name: 'Phone', simulated: true },
  ]);
  const login = ({ number, lid, name }) =>
    BaileysClient.login({ wsPort: sim.wsPort, number, lid, name });
  anna = await login(accounts[0]);
  ben = await login(accounts[1]);
  sim.phoneLid = accounts[2].lid;
}, { timeout: 60_000 });

after(async () => {
  await anna?.close();
  await ben?.close();
  await sim?.stop();
});

afterEach(async () => {
  assert.deepEqual(await sim.violations(), []);
});

const lidOf = (client) => `${client.who.lid}@lid`;
const numberOf = (client) => `${client.who.number}@s.whatsapp.net`;

async function exchange(from, to, jid, text) {
  const id = await from.send(jid, text);
  const got = await to.waitForText(text);
  assert.equal(got.id, id);
  await from.waitForStatus(id, Status.DELIVERED);
  await to.read(got);
  await from.waitForStatus(id, Status.READ);
  return got;
}

test('two clients write to each other by number, with receipts', async () => {
  await exchange(anna, ben, numberOf(ben), 'hello Ben');
  await exchange(ben, anna, numberOf(anna), 'hello Anna');
  for (let i = 0; i < 5; ++i) {
    await exchange(anna, ben, numberOf(ben), `to Ben ${i}`);
    await exchange(ben, anna, numberOf(anna), `to Anna ${i}`);
  }
});

test('and by LID', async () => {
  const got = await exchange(anna, ben, lidOf(ben), 'by LID');
  assert.equal(got.from, lidOf(anna));
  await exchange(ben, anna, lidOf(anna), 'and back by LID');
});

test('a client and a simulated phone', async () => {
  const id = await anna.send(`${kPhone}@s.whatsapp.net`, 'hello phone');
  const inbox = await sim.waitForInbox(kPhone, (all) => all.length > 0);
  assert.equal(inbox[0].text, 'hello phone');
  assert.equal(inbox[0].id, id);
  assert.equal(inbox[0].from.number, anna.who.number);
  await anna.waitForStatus(id, Status.DELIVERED);

  const back = await sim.send(kPhone, { number: anna.who.number }, 'hello client');
  const got = await anna.waitForText('hello client');
  assert.equal(got.id, back);
  assert.equal(got.from, `${sim.phoneLid}@lid`);
  await sim.api('POST', `/phones/${kPhone}/read`, {});
  await anna.waitForStatus(id, Status.READ);
});

test('what was sent to a client that is offline arrives afterwards, in order, once', async () => {
  await ben.close();
  const expected = [];
  for (let i = 0; i < 30; ++i) {
    expected.push(`offline ${i}`);
    if (i % 2) await anna.send(lidOf(ben), expected[i]);
    else await sim.send(kPhone, { lid: ben.who.lid }, expected[i]);
  }
  await ben.open();
  await ben.waitForText(expected.at(-1));
  assert.deepEqual(ben.texts().filter((t) => t.startsWith('offline')), expected);
  await exchange(ben, anna, lidOf(anna), 'back again');
});

test('a text of 64 KiB, and one with every kind of character', async () => {
  await exchange(anna, ben, lidOf(ben), 'x'.repeat(65_536));
  await exchange(anna, ben, lidOf(ben), 'žluťoučký 🦜 \u0000 \u202e אבג');
});

test('a corrupted frame makes the client come back, and nothing is lost', async () => {
  await sim.addFault({ kind: 'corrupt', target: ben.who.number, direction: 'from_client' });
  const closed = ben.waitFor(() => ben.connection === 'close', 20_000, 'close');
  await ben.sock.sendPresenceUpdate('available');
  await closed;
  await anna.send(lidOf(ben), 'meanwhile');
  await ben.open();
  await ben.waitForText('meanwhile');
});

test('a newer login replaces the older one', async () => {
  const older = ben.sock;
  const replaced = new Promise((resolve) => {
    older.ev.on('connection.update', (update) => {
      if (update.connection === 'close') resolve(update.lastDisconnect.error);
    });
  });
  await ben.open();
  assert.equal((await replaced).output.statusCode, 440);
  await exchange(anna, ben, lidOf(ben), 'to the newer one');
});

test('a stranger with the same number is refused', async () => {
  const stranger = new BaileysClient({ ...ben.who });
  await assert.rejects(stranger.open());
  assert.equal(stranger.lastDisconnect.output.statusCode, 401);
  stranger.sock = undefined;
});

test('a stanza that the server delivers twice does no harm', async () => {
  await sim.addFault({ kind: 'duplicate', target: ben.who.number, tag: 'message' });
  await anna.send(lidOf(ben), 'delivered twice');
  await ben.waitForText('delivered twice');
  await exchange(anna, ben, lidOf(ben), 'after the duplicate');
  assert.equal(ben.texts().filter((t) => t === 'delivered twice').length, 1);
});

test('an ack that is swallowed leaves the message delivered', async () => {
  await sim.addFault({ kind: 'swallow_ack', target: anna.who.number });
  await exchange(anna, ben, lidOf(ben), 'no ack for this');
  assert.equal((await sim.stats()).acks_swallowed, 1);
});

test('a refused message is told', async () => {
  await sim.addFault({ kind: 'nack', target: anna.who.number, code: 479 });
  const id = await anna.send(lidOf(ben), 'refused');
  await anna.waitFor(() => anna.updates.some((u) => u.id === id && u.status === Status.ERROR),
                     20_000, 'the error');
});

test('the phone of a simulated user that was installed anew is written to again', async () => {
  const before = (await sim.inbox(kPhone)).length;
  await sim.api('POST', `/phones/${kPhone}/reinstall`, {});
  const id = await anna.send(`${sim.phoneLid}@lid`, 'to the new installation');
  const inbox = await sim.waitForInbox(kPhone, (all) => all.length > before);
  assert.equal(inbox.at(-1).id, id);
  assert.equal(inbox.at(-1).text, 'to the new installation');
});

test('a load of the simulated phone arrives whole and in order', async () => {
  const count = 200;
  await sim.api('POST', `/phones/${kPhone}/flood`,
                { to: { lid: ben.who.lid }, count, text_size: 100 });
  const got = () => ben.texts().filter((t) => t.startsWith('flood '));
  await ben.waitFor(() => got().length === count, 60_000, 'the load');
  assert.deepEqual(got().map((t) => Number(t.split(' ')[1])), [...Array(count).keys()]);
});
