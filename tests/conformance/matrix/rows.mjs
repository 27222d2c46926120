// The rows: what a client and a user of the gateway must be able to do with each other. Each has users
// of its own and ends with both sides agreeing. A row that returns a text says by which rule it was refused.
import assert from 'node:assert/strict';
import { Status } from '../lib/baileys_client.mjs';
import { kCompanionSoftware } from './columns.mjs';
import { eventually } from './world.mjs';

const series = (word, count) => Array.from({ length: count }, (_, i) => `${word} ${i}`);
const of = (texts, word) => texts.filter((t) => t?.startsWith(word));
const once = (texts, text) => assert.deepEqual(texts.filter((t) => t === text), [text]);

// Every client of the account shows the text, once.
async function shown(c, text) {
  for (const client of c.clients) {
    await client.waitForText(text);
    once(client.texts(), text);
  }
}

async function out(c, user, text) {
  const sent = await user.send(c.e164, text);
  await shown(c, text);
  return sent;
}

// The provider has it, once; the client learns that it was delivered; its other devices have their copy.
async function back(c, user, text, client = c.client) {
  const id = await client.send(user.jid, text);
  const received = await user.waitForText(text);
  assert.deepEqual([received.messageId, received.from.e164], [id, c.e164]);
  await client.waitForStatus(id, Status.DELIVERED);
  for (const other of c.clients.filter((o) => o !== client))
    await other.waitFor(() => other.ownTexts.includes(text), 20_000, `own '${text}' on the other device`);
  once(user.texts(), text);
  return received;
}

// A user that the client has exchanged texts with, so that a session stands in both directions.
async function acquainted(c) {
  const user = await c.world.user();
  await out(c, user, `${user.name} writes`);
  await back(c, user, `${user.name} is answered`);
  return user;
}

async function bothWaysStillWork(c, user) {
  await out(c, user, `${user.name} writes again`);
  await back(c, user, `${user.name} is answered again`);
}

async function toldOfTheChange(c, user) {
  const { identityChanged } = await user.waitForEvent('identityChanged');
  assert.equal(identityChanged.contact.e164, c.e164);
  assert.equal(user.events('identityChanged').length, 1);
}

async function readAfterRetries(c, times) {
  const user = await acquainted(c);
  const before = await c.world.sim.stats();
  const text = `damaged ${times} times on the way out`;
  const devices = c.clients.length;
  await c.world.spoil(user.account, times * devices);
  const sent = await user.send(c.e164, text);
  await c.world.nothingLeftToSpoil();
  await shown(c, text);
  await user.waitForState(sent, 'DELIVERED');
  assert.deepEqual(user.states(sent), ['SENT', 'DELIVERED']);
  assert.equal((await c.world.sim.stats()).retry_receipts - before.retry_receipts, times * devices);
  assert.deepEqual(user.events('deviceLeftOut'), []);
  await bothWaysStillWork(c, user);
}

async function toldAfterRetries(c, times) {
  const user = await acquainted(c);
  const text = `damaged ${times} times on the way in`;
  await c.world.spoil(c.account.number, times * c.clients.length);
  const id = await c.client.send(user.jid, text);
  const received = await user.waitForText(text);
  await c.world.nothingLeftToSpoil();
  const [pending, ...more] = user.events('messagePending');
  assert.deepEqual(more, []);
  assert.equal(pending.messagePending.messageId, id);
  assert.equal(received.messageId, id);
  assert.equal(received.earlierSeq, pending.seq);
  const asked = c.client.retries.filter((r) => r.id === id && r.from === user.jid);
  assert.deepEqual(asked.map((r) => r.parts.includes('keys')), [false, true].slice(0, times));
  await c.client.waitForStatus(id, Status.DELIVERED);
  for (const other of c.others) await other.waitFor(() => other.ownTexts.includes(text), 20_000, 'own copy');
  once(user.texts(), text);
  assert.deepEqual(user.events('messageUndecryptable'), []);
  await bothWaysStillWork(c, user);
}

const rows = {
  async 'text out'(c) {
    const user = await c.world.user();
    const { messageId } = await out(c, user, 'first text out');
    assert.equal(c.client.messages.at(-1).id, messageId);
  },

  async 'text in'(c) {
    const user = await c.world.user();
    await back(c, user, 'first text in');
  },

  async 'a reaction of the client'(c) {
    const user = await acquainted(c);
    const { raw, from } = c.client.messages.at(-1);
    await c.client.sock.sendMessage(from, { react: { text: '+', key: raw.key } });
    const { messageUnsupported } = await user.waitForEvent('messageUnsupported');
    assert.equal(messageUnsupported.from.e164, c.e164);
    await bothWaysStillWork(c, user);
    return `the provider is told MessageUnsupported, ${messageUnsupported.contentKind}`;
  },

  async 'text to and from a client that does not accept the provider'(c) {
    const user = await c.world.user();
    const optIn = (wanted) => c.world.sim.api('POST', `/accounts/${c.account.number}`, { opted_in: wanted });
    const { nacks } = await c.world.sim.stats();
    let reason, id;
    await optIn(false);
    try {
      const sent = await user.send(c.e164, 'unwanted');
      await user.waitForState(sent, 'REJECTED');
      ({ reason } = user.events('messageStatus').at(-1).messageStatus);
      id = await c.client.send(user.jid, 'forbidden');
      await eventually(async () => (await c.world.sim.stats()).nacks > nacks, 'refused');
    } finally {
      await optIn(true);
    }
    await acquainted(c);  // Baileys 6 hands over nothing until the next stanza comes
    await c.client.waitFor(() => c.client.updates.some((u) => u.id === id && u.status === Status.ERROR), 20_000, 'the error');
    assert.deepEqual(user.texts(), []);
    return `${reason.replace('REJECT_REASON_', '')}; the client is told that it failed`;
  },

  async 'reply turns, both ways in order'(c) {
    const user = await acquainted(c);
    const turns = 8;
    for (let i = 0; i < turns; i++) {
      // Two in one direction before the answer: the order within a burst counts as well.
      for (const part of ['a', 'b']) await user.send(c.e164, `out ${i}${part}`);
      await c.client.waitForText(`out ${i}b`);
      for (const part of ['a', 'b']) await c.client.send(user.jid, `in ${i}${part}`);
      await user.waitForText(`in ${i}b`);
    }
    const expected = (word) => Array.from({ length: turns }, (_, i) => [`${word} ${i}a`, `${word} ${i}b`]).flat();
    assert.deepEqual(of(c.client.texts(), 'out '), expected('out'));
    assert.deepEqual(of(user.texts(), 'in '), expected('in'));
  },

  async 'delivered receipt of the client'(c) {
    const user = await acquainted(c);
    const sent = await out(c, user, 'delivered?');
    await user.waitForState(sent, 'DELIVERED');
    assert.deepEqual(user.states(sent), ['SENT', 'DELIVERED']);
  },

  async 'read receipt of the client'(c) {
    const user = await acquainted(c);
    const text = 'read?';
    const sent = await out(c, user, text);
    await user.waitForState(sent, 'DELIVERED');
    await c.client.read(c.client.messages.find((m) => m.text === text));
    await user.waitForState(sent, 'READ');
    assert.deepEqual(user.states(sent), ['SENT', 'DELIVERED', 'READ']);
  },

  async 'out damaged once: the client asks, reads it once'(c) {
    await readAfterRetries(c, 1);
  },

  async 'out damaged twice: the client asks twice, reads it once'(c) {
    await readAfterRetries(c, 2);
  },

  async 'in damaged once: the gateway asks, tells it once'(c) {
    await toldAfterRetries(c, 1);
  },

  async 'in damaged twice: the gateway asks with keys of its own'(c) {
    await toldAfterRetries(c, 2);
  },

  async 'offline queue of the client'(c) {
    const user = await acquainted(c);
    const texts = series('client away', 5);
    const sent = [];
    await c.client.close();
    for (const text of texts) sent.push(await user.send(c.e164, text));
    for (const one of sent) await user.waitForState(one, 'SENT');
    await c.client.open();
    for (const one of sent) await user.waitForState(one, 'DELIVERED');
    // Baileys 6 hands over what was queued when the next stanza comes, not before.
    await bothWaysStillWork(c, user);
    for (const text of texts) await shown(c, text);
    assert.deepEqual(of(c.client.texts(), 'client away'), texts);
  },

  async "offline queue of the gateway's user"(c) {
    const user = await acquainted(c);
    const texts = series('user away', 5);
    await user.detach();
    const ids = [];
    for (const text of texts) ids.push(await c.client.send(user.jid, text));
    await eventually(async () => (await user.seen()).queued === texts.length, 'all of them in the queue');
    await user.attach();
    await user.waitForText(texts.at(-1));
    assert.deepEqual(of(user.texts(), 'user away'), texts);
    for (const id of ids) await c.client.waitForStatus(id, Status.DELIVERED);
    await bothWaysStillWork(c, user);
  },

  async 'one-time prekeys of the client run dry'(c) {
    const user = await c.world.user();
    for (const client of c.clients) await client.close();
    await c.world.sim.api('POST', `/accounts/${c.account.number}/spend`, {});
    const { bundles_without_one_time: before } = await c.world.sim.stats();
    const sent = await user.send(c.e164, 'without a one-time key');
    await user.waitForState(sent, 'SENT');
    assert.equal((await c.world.sim.stats()).bundles_without_one_time, before + c.clients.length);
    for (const client of c.clients) await client.open();
    await user.waitForState(sent, 'DELIVERED');
    await bothWaysStillWork(c, user);
    await shown(c, 'without a one-time key');
    await eventually(async () => (await c.seen()).prekeys > 0, 'the client published new ones');
  },

  async "one-time prekeys of the gateway's user run dry"(c) {
    const user = await c.world.user();
    await user.detach();
    await c.world.sim.api('POST', `/accounts/${user.account}/spend`, {});
    const before = await c.world.sim.stats();
    await c.client.send(user.jid, 'without a one-time key of ours');
    await eventually(async () => (await c.world.sim.stats()).messages > before.messages, 'it is in the queue');
    assert.equal((await c.world.sim.stats()).bundles_without_one_time, before.bundles_without_one_time + 1);
    await user.attach();
    await user.waitForText('without a one-time key of ours');
    assert.deepEqual(user.events('messagePending'), []);
    await eventually(async () => (await user.seen()).devices[0].prekeys >= 10, 'the gateway published new ones');
    await bothWaysStillWork(c, user);
  },

  async "identity change of the gateway's user: enlisted anew"(c) {
    const user = await acquainted(c);
    await user.enlistAnew();
    await bothWaysStillWork(c, user);
  },

  async "identity change of the gateway's user: what was queued for the old keys"(c) {
    const user = await acquainted(c);
    await user.detach();
    const { messages } = await c.world.sim.stats();
    const id = await c.client.send(user.jid, 'for the old keys');
    await eventually(async () => (await c.world.sim.stats()).messages > messages, 'it is in the queue');
    await user.enlistAnew();
    const received = await user.waitForText('for the old keys');
    assert.deepEqual([received.messageId, received.earlierSeq], [id, user.events('messagePending')[0].seq]);
    once(user.texts(), 'for the old keys');
    await bothWaysStillWork(c, user);
  },

  async 'identity change of the client: installed anew, then the user writes'(c) {
    const user = await acquainted(c);
    await c.reinstall();
    await bothWaysStillWork(c, user);
    await toldOfTheChange(c, user);
  },

  async 'identity change of the client: installed anew, then it writes'(c) {
    const user = await acquainted(c);
    await c.reinstall();
    await back(c, user, 'from the new installation');
    await bothWaysStillWork(c, user);
    await toldOfTheChange(c, user);
  },

  async 'identity change of the client: what was queued for the old installation'(c) {
    const user = await acquainted(c);
    await c.client.close();
    const sent = await user.send(c.e164, 'for the old installation');
    await user.waitForState(sent, 'SENT');
    await c.reinstall();
    await shown(c, 'for the old installation');
    await user.waitForState(sent, 'DELIVERED');
    await bothWaysStillWork(c, user);
    await toldOfTheChange(c, user);
  },

  async 'a companion that is linked later gets the next text'(c) {
    const user = await acquainted(c);
    const linked = await c.link(c.clients.length, kCompanionSoftware);
    const sent = await out(c, user, 'to all devices');
    await user.waitForState(sent, 'DELIVERED');
    assert.deepEqual(linked.texts(), ['to all devices']);
  },

  async "the companion's own message reaches the provider"(c) {
    const user = await c.world.user();
    await back(c, user, 'from the companion', c.clients.at(-1));
  },
};

export default rows;
