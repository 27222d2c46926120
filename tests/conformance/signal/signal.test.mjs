// Our Signal room against Signal's official library. Handshakes with 0.72.1, the newest version that
// still does X3DH without Kyber; the ratchet with 0.103.0 too, on a session that we made.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import * as lib072 from 'libsignal-072';
import * as lib103 from 'libsignal-103';

import { OurParty, Tool } from './ours.mjs';
import { TheirParty } from './theirs.mjs';

const seed = Number(process.env.GW_SEED ?? randomInt(2 ** 31)) >>> 0;
console.log(`GW_SEED=${seed}`);

// A small generator of our own (xorshift, 32 bits), so that a seed means the same everywhere.
function generator(from) {
  let x = (from ^ 0x9e3779b9) >>> 0 || 1;
  return (below) => {
    x ^= x << 13; x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5; x >>>= 0;
    return x % below;
  };
}

function octets(random, size) {
  return Buffer.from({ length: size }, () => random(256));
}

let tool;
let count = 0;
before(() => { tool = new Tool(); });
after(() => tool?.close());

// A pair that is about to begin: `a` speaks first.
class Pair {
  constructor(a, b) {
    this.a = a;
    this.b = b;
  }

  other(party) { return party === this.a ? this.b : this.a; }

  async passes(from, plaintext, type) {
    const to = this.other(from);
    const sealed = await from.encrypt(to.name, plaintext);
    if (type) assert.equal(sealed.type, type);
    assert.deepEqual(await to.decrypt(from.name, sealed), plaintext);
    return sealed;
  }
}

const handshakes = {
  'ours initiates, one-time prekey': { ours: true, oneTime: true },
  'ours initiates, no one-time prekey': { ours: true, oneTime: false },
  'theirs initiates, one-time prekey': { ours: false, oneTime: true },
  'theirs initiates, no one-time prekey': { ours: false, oneTime: false },
};

const fresh = () => {
  count += 1;
  return { ours: new OurParty(tool, `ours-${count}`), theirsName: `theirs-${count}` };
};

async function by072(shape) {
  const { ours, theirsName } = fresh();
  const theirs = new TheirParty(lib072, theirsName);
  const pair = shape.ours ? new Pair(ours, theirs) : new Pair(theirs, ours);
  await pair.a.start(pair.b.name, await pair.b.bundle(shape.oneTime));
  return pair;
}

// Two of ours make a session; one of them then moves into the official library.
async function imported(lib, options) {
  const { ours, theirsName } = fresh();
  const twin = new OurParty(tool, theirsName);
  const pair = new Pair(ours, twin);
  await ours.start(theirsName, await twin.bundle(true));
  await pair.passes(ours, Buffer.from('hello'), 'pkmsg');
  await pair.passes(twin, Buffer.from('hello yourself'), 'msg');
  const { secret, registrationId } = await twin.keys();
  const theirs = new TheirParty(lib, theirsName, { secret, registrationId, ...options });
  await theirs.importSession(ours.name, await twin.record(ours.name));
  return new Pair(ours, theirs);
}

async function inRandomTurns(pair, random) {
  const left = new Map([[pair.a, 50], [pair.b, 50]]);
  while (left.get(pair.a) + left.get(pair.b) > 0) {
    const from = random(left.get(pair.a) + left.get(pair.b)) < left.get(pair.a) ? pair.a : pair.b;
    left.set(from, left.get(from) - 1);
    await pair.passes(from, octets(random, random(300)));
  }
}

async function outOfOrder(pair, random) {
  for (const from of [pair.a, pair.b]) {
    const to = pair.other(from);
    const sent = [];
    for (let i = 0; i < 12; i += 1) {
      const plaintext = octets(random, 1 + random(100));
      sent.push({ plaintext, sealed: await from.encrypt(to.name, plaintext) });
    }
    const late = sent.splice(random(sent.length), 1)[0];
    while (sent.length > 0) {
      const [next] = sent.splice(random(sent.length), 1);
      assert.deepEqual(await to.decrypt(from.name, next.sealed), next.plaintext);
    }
    await pair.passes(to, Buffer.from('turn'));
    await pair.passes(from, Buffer.from('turned'));
    assert.deepEqual(await to.decrypt(from.name, late.sealed), late.plaintext);
  }
}

async function bigMessages(pair, random) {
  for (const from of [pair.a, pair.b]) {
    for (const size of [65536, 65535, 1, 0]) await pair.passes(from, octets(random, size));
    await pair.passes(from, Buffer.from('Grüße, 你好, 👋🏽'));
  }
}

async function duplicates(pair) {
  for (const from of [pair.a, pair.b]) {
    const to = pair.other(from);
    const sealed = await pair.passes(from, Buffer.from('once'));
    assert.ok(await to.refusesAsDuplicate(from.name, sealed));
    await pair.passes(from, Buffer.from('go on'));
    assert.ok(await to.refusesAsDuplicate(from.name, sealed));
  }
}

async function tampering(pair) {
  for (const from of [pair.a, pair.b]) {
    const to = pair.other(from);
    const sealed = await from.encrypt(to.name, Buffer.from('untouched'));
    assert.equal(sealed.type, 'msg');
    for (const at of [1, 5, sealed.ciphertext.length - 20, sealed.ciphertext.length - 1]) {
      const ciphertext = Buffer.from(sealed.ciphertext);
      ciphertext[at] ^= 1;
      await assert.rejects(to.decrypt(from.name, { type: sealed.type, ciphertext }));
    }
    assert.deepEqual(await to.decrypt(from.name, sealed), Buffer.from('untouched'));
  }
}

function ratchetCases(make, salt) {
  const random = generator(seed + salt);
  test('50 messages each way in random turns', async () => inRandomTurns(await make(), random));
  test('out of order, across a turn', async () => outOfOrder(await make(), random));
  test('64 KiB, empty and UTF-8', async () => bigMessages(await make(), random));
  test('duplicates are refused on both sides', async () => duplicates(await make()));
  test('changed octets are refused on both sides', async () => tampering(await make()));
}

for (const [index, [name, shape]] of Object.entries(handshakes).entries()) {
  describe(`0.72.1, ${name}`, () => {
    test('first message, repeated until the answer', async () => {
      const pair = await by072(shape);
      await pair.passes(pair.a, Buffer.from('one'), 'pkmsg');
      if (!shape.ours) assert.equal(pair.b.lastSpent, shape.oneTime ? 101 : null);
      const second = await pair.passes(pair.a, Buffer.from('two'), 'pkmsg');
      assert.ok(await pair.b.refusesAsDuplicate(pair.a.name, second));
      await pair.passes(pair.b, Buffer.from('three'), 'msg');
      await pair.passes(pair.a, Buffer.from('four'), 'msg');
    });
    ratchetCases(async () => {
      const pair = await by072(shape);
      await pair.passes(pair.a, Buffer.from('hello'), 'pkmsg');
      await pair.passes(pair.b, Buffer.from('hello yourself'), 'msg');
      return pair;
    }, index);
  });
}

describe('0.72.1, a session that we made', () => ratchetCases(() => imported(lib072), 10));
describe('0.103.0, a session that we made', () =>
  ratchetCases(() => imported(lib103, { localAddress: true }), 11));

for (const [version, lib] of [['0.72.1', lib072], ['0.103.0', lib103]]) {
  test(`${version}, the same safety number`, async () => {
    const { ours, theirsName } = fresh();
    const theirs = new TheirParty(lib, theirsName);
    const { identity } = await ours.keys();
    const number = await ours.safetyNumber(theirsName, theirs.identity());
    assert.match(number, /^(\d{5} ){11}\d{5}$/);
    assert.equal(
      number.replaceAll(' ', ''), theirs.safetyNumber(theirsName, identity, ours.name));
  });

  test(`${version}, signatures hold on the other side`, async () => {
    const { ours, theirsName } = fresh();
    const theirs = new TheirParty(lib, theirsName);
    const published = await theirs.bundle(true);
    await ours.start(theirsName, published); // we verify theirs
    published.signature[5] ^= 1;
    await assert.rejects(ours.start(theirsName, published), { reason: 'SIGNAL_BAD_BUNDLE' });
    const mine = await ours.bundle(false); // they verify ours
    const typed = Buffer.concat([Buffer.from([5]), mine.signedPreKey]);
    assert.ok(theirs.publicKey(mine.identity).verify(typed, mine.signature));
    typed[9] ^= 1;
    assert.ok(!theirs.publicKey(mine.identity).verify(typed, mine.signature));
  });
}
