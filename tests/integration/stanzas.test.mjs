// Frames that decrypt and hold no good stanza are counted and left out, the link lives on. Stanzas that
// are well-formed and make no sense are passed over.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { node, octets, plain } from './lib/octets.mjs';
import { Rig, eventually } from './lib/rig.mjs';

let rig, provider, user, phone, bystander, bystanderPhone;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
  [bystander, bystanderPhone] = [await rig.user('bystander'), await rig.phone()];
});
// A link of its own each.
beforeEach(async () => {
  [user, phone] = [await rig.user('target'), await rig.phone()];
  await rig.works(user, phone);
});
after(() => rig?.stop());

function nested(depth) {
  const opening = node('x', {}, [Buffer.alloc(0)]);
  return Buffer.concat([...Array(depth - 1).fill(opening), node('x')]);
}
const zipped = (stanza) => Buffer.concat([Buffer.from([2]), deflateSync(stanza)]);
const message = (attrs, content) => node('message', { id: 'ABC', from: '100000000000001@lid', type: 'text', ...attrs }, content);

const send = (frame) => rig.sim.api('POST', '/raw', { target: `7-${user}`, hex: frame.toString('hex') });
const logins = async (name) => (await rig.interop(name)).devices[0].logins;

const bad = () => rig.gateway.metric('interop_gateway_link_bad_stanzas_total');

async function othersLive() {
  await rig.works(bystander, bystanderPhone);
  assert.equal(await logins(bystander), 1);
}

// Counted, and nothing else: what was under way and what comes after is not harmed.
async function leftOut(frame) {
  const [links, stanzas] = [await logins(user), await bad()];
  const sent = await rig.send(user, phone);
  const told = await rig.inbound(user, phone);
  await send(frame);
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await told();
  await rig.works(user, phone);
  assert.equal(await bad(), stanzas + 1);
  assert.equal(await logins(user), links);
  await othersLive();
}

async function closesWith(reason, ...frames) {
  const before = await logins(user);
  const link = rig.watch(user);
  const sent = await rig.send(user, phone);
  const told = await rig.inbound(user, phone);
  for (const frame of frames) await send(frame);
  await link.comesBack(reason);
  assert.deepEqual(link.downs(), [reason]);
  await othersLive();
  assert.equal(await logins(user), before + 1);
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await told();
  await rig.works(user, phone);
}

async function passesOver(frame) {
  const before = await logins(user);
  const { events } = provider.user(user);
  const known = events.length;
  await send(frame);
  await rig.works(user, phone);
  assert.equal(await logins(user), before);
  return events.slice(known).filter((e) => !e.messageStatus);
}

const good = plain(message({}, [node('enc', { v: '2', type: 'msg' }, octets(Buffer.alloc(64)))]));

test('the builder builds stanzas: one that cannot be decrypted becomes an event', async () => {
  for (const frame of [good, zipped(message({ id: 'ABD' }, [node('enc', { v: '2', type: 'pkmsg' }, octets(Buffer.alloc(300)))]))]) {
    const [event, ...more] = await passesOver(frame);
    assert.ok(event.messagePending);
    assert.deepEqual(more, []);
    assert.deepEqual(await passesOver(frame), [], 'told once');
  }
});

const kMalformed = ['', '00', '0000', '00f800', '00f801', 'ffffffffff', '00fc0161', '00f802fc0161',
  '00f803fc0161fe7fffffff', '00f9ffff0101'].map((hex) => Buffer.from(hex, 'hex'));

test('malformed stanzas', async () => {
  for (const frame of kMalformed) await leftOut(frame);
  await leftOut(Buffer.concat([good, Buffer.from([0])]));  // something follows
  await leftOut(Buffer.concat([Buffer.from([2]), Buffer.alloc(40, 0x55)]));  // not zlib
});

test('truncated stanzas', async () => {
  for (const part of [0.1, 0.5, 0.9]) await leftOut(good.subarray(0, Math.floor(good.length * part)));
  const whole = zipped(good.subarray(1));
  await leftOut(whole.subarray(0, whole.length - 6));
});

test('deeply nested stanzas', async () => {
  await passesOver(plain(nested(32)));
  for (const depth of [33, 300, 100_000]) await leftOut(plain(nested(depth)));
});

test('huge stanzas', async () => {
  const attrs = Object.fromEntries(Array.from({ length: 32_000 }, (_, i) => [`a${i}`, '']));
  const wide = node('x', {}, Array.from({ length: 3 }, () => node('y', attrs)));
  await leftOut(zipped(wide));  // too many nodes and attributes
  await leftOut(zipped(node('x', {}, octets(Buffer.alloc(17 << 20)))));  // a bomb
  await passesOver(plain(node('x', {}, octets(Buffer.alloc(3 << 20)))));
  await closesWith('BAD_FRAME', plain(node('x', {}, octets(Buffer.alloc(5 << 20)))));  // over the frame's limit
});

test('however many of them, the link lives on: closing it would bring them all again', async () => {
  const [links, stanzas] = [await logins(user), await bad()];
  const frames = Array.from({ length: 200 }, (_, i) => kMalformed[i % kMalformed.length]);
  for (const frame of frames) await send(frame);
  await rig.works(user, phone);
  assert.equal(await bad(), stanzas + frames.length);
  assert.equal(await logins(user), links);
  await othersLive();
});

test('stanzas that make no sense are passed over', async () => {
  for (const stanza of [
    node('unheard-of', { a: 'b' }), node('message'), message({ from: 'nobody' }), message({ id: '' }),
    node('receipt', { id: 'ABC' }), node('receipt', { id: 'ABC', from: 'x', type: 'retry' }), node('ack', { class: 'message' }),
    node('ack', { class: 'message', id: 'F'.repeat(32), from: '100000000000001@lid', error: 'abc' }),
    node('iq', { type: 'result', id: '999999' }), node('iq', { type: 'error', id: 'x' }), node('iq', { type: 'get', id: '1', xmlns: 'urn:xmpp:ping' }),
    node('notification', { id: '1', type: 'encrypt', from: 's.whatsapp.net' }, [node('count', { value: '-7' })]),
    node('success'), node('failure', { reason: '401' }), node('ib', {}, [node('offline', { count: 'x' })])])
    assert.deepEqual(await passesOver(plain(stanza)), [], stanza.toString('latin1'));
});

test('a message without a readable content is told as such', async () => {
  const told = async (id, ...content) => (await passesOver(plain(message({ id }, content))))[0];
  assert.ok((await told('N1')).messageUnsupported);
  assert.ok((await told('N2', node('enc', { v: '2', type: 'skmsg' }, octets(Buffer.alloc(9))))).messageUnsupported);
  assert.ok((await told('N3', node('enc', { v: '9', type: 'msg' }, octets(Buffer.alloc(9))))).messageUndecryptable);
  assert.ok((await told('N4', node('enc', { v: '2', type: 'msg' }))).messagePending);
  await eventually(async () => (await rig.interop(user)).online, 'online');
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
