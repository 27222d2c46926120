// What may be written: texts that are none, and request ids that come again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectProblem, read, refused } from './lib/errors.mjs';
import { octetsOf } from './lib/provider.mjs';
import { Rig } from './lib/rig.mjs';

const kMost = 65536;
const kHole = 'PUT-OCTETS-HERE';

let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

// No library writes a string that is not UTF-8: it is put in afterwards.
function withOctets(method, message) {
  const octets = octetsOf(method, message);
  const at = octets.indexOf(kHole);
  assert.ok(at > 0);
  return octets.fill(0xff, at, at + kHole.length);
}

test('a text that is empty or too long', async () => {
  const phone = await rig.phone();
  const user = await rig.user('length');
  for (const [body, reason, says] of [
    ['', 'TEXT_EMPTY', /empty/],
    ['x'.repeat(kMost + 1), 'TEXT_TOO_LONG', /65536 octets.*split/],
    ['\u00e9'.repeat(kMost / 2) + 'x', 'TEXT_TOO_LONG', /65536 octets.*split/]]) {
    const message = () => provider.text(user, rig.nextId(), phone.e164, body);
    const error = await refused(provider.call('SendMessage', message()), 'INVALID_ARGUMENT', reason, says);
    assert.deepEqual(error.fields, ['content.text.body']);
    // In the middle of others: those are not harmed.
    const [first, last] = [rig.text('first'), rig.text('last')];
    const frame = [provider.text(user, rig.nextId(), phone.e164, first), message(),
      provider.text(user, rig.nextId(), phone.e164, last)];
    provider.submit(frame);
    phone.texts.push(first, last);
    const results = await provider.until(() => {
      const all = frame.map((m) => provider.result(user, m.requestId));
      return all.every(Boolean) && all;
    }, 'three results');
    assert.ok(results[0].accepted && results[2].accepted);
    expectProblem(results[1].error, reason, says);
    assert.match(results[1].error.message, /^messages\[1\]\.content\.text\.body: /);
  }
  await rig.works(user, phone);
});

test('a text of exactly the most octets arrives whole', async () => {
  const phone = await rig.phone();
  const user = await rig.user('most');
  await rig.send(user, phone, { text: rig.text().padEnd(kMost, 'x') });
  await rig.send(user, phone, { text: rig.text().padEnd(kMost - 2, '.') + '\u00e9' });
  await rig.works(user, phone);
});

test('a text that is not UTF-8', async () => {
  const phone = await rig.phone();
  const user = await rig.user('octets');
  const message = () => provider.text(user, rig.nextId(), phone.e164, `${rig.text()} ${kHole}`);
  await refused(provider.call('SendMessage', withOctets('SendMessage', message())),
    'INVALID_ARGUMENT', 'REQUEST_MALFORMED', /UTF-8/);

  // On a stream nothing more can be told from it: it ends, and what came before is not lost.
  const sent = await rig.send(user, phone);
  provider.stream.write(withOctets('Connect', { submit: { messages: [message()] } }));
  const ended = read(await provider.until(() => provider.ended, 'the end of the stream'));
  assert.equal(ended.code, 'INVALID_ARGUMENT');
  assert.equal(ended.reason, 'FRAME_MALFORMED');
  assert.match(ended.message, /UTF-8/);
  await provider.connect();
  await provider.attachAndWait(user);
  await provider.until(() => provider.states(user, sent.id).includes('SENT'), 'SENT');
  await rig.works(user, phone);
});

test('octets that are no frame', async () => {
  const phone = await rig.phone();
  const user = await rig.user('frame');
  for (const [octets, reason, says] of [
    [Buffer.from('0a', 'hex'), 'FRAME_MALFORMED', /do not parse/],
    [Buffer.alloc(0), 'FRAME_EMPTY', /nothing that this gateway knows/],
    [octetsOf('Connect', { submit: { messages: [] } }), 'SUBMIT_SIZE_INVALID', /1 to 256/]]) {
    provider.stream.write(octets);
    const ended = read(await provider.until(() => provider.ended, reason));
    assert.deepEqual([ended.code, ended.reason], ['INVALID_ARGUMENT', reason]);
    assert.match(ended.message, says);
    await provider.connect();
  }
  await refused(provider.call('SendMessage', Buffer.from('0a', 'hex')), 'INVALID_ARGUMENT', 'REQUEST_MALFORMED', /parse/);
  await provider.attachAndWait(user);
  await rig.works(user, phone);
});

// On the stream and unary, the same answers.
async function checkRepeats(user, phone, sent) {
  const again = { ...provider.text(user, sent.id, phone.e164, sent.text) };
  const unary = await provider.call('SendMessage', again);
  assert.equal(unary.message.messageId, sent.messageId);
  assert.notEqual(unary.message.state, 'MESSAGE_STATE_WAITING');
  provider.results.clear();
  const repeated = await provider.send(user, sent.id, phone.e164, sent.text);
  assert.equal(repeated.accepted?.messageId, sent.messageId, JSON.stringify(repeated.error));

  const elsewhere = await rig.phone();
  for (const other of [{ content: { text: { body: rig.text('never') } } }, { to: { e164: elsewhere.e164 } }]) {
    await refused(provider.call('SendMessage', { ...again, ...other }), 'ALREADY_EXISTS', 'REQUEST_ID_REUSED', /another body/);
    provider.results.clear();
    provider.submit([{ ...again, ...other }]);
    const { error } = await provider.until(() => provider.result(user, sent.id), 'the result');
    expectProblem(error, 'REQUEST_ID_REUSED', /another body/);
  }
  provider.results.clear();
  assert.deepEqual(await rig.sim.inbox(elsewhere.number), []);
}

test('a request id that comes again, with the same and with another body', async () => {
  const phone = await rig.phone();
  const user = await rig.user('again');
  const sent = await rig.works(user, phone);
  await checkRepeats(user, phone, sent);
  await rig.works(user, phone);

  // Twice in one frame, before there is anything to compare with.
  const [id, text] = [rig.nextId(), rig.text()];
  const message = provider.text(user, id, phone.e164, text);
  const results = [];
  provider.onResult = (r) => results.push(r);
  provider.submit([message, { ...message, content: { text: { body: rig.text('never') } } }, message]);
  phone.texts.push(text);
  await provider.until(() => results.length === 3, 'three results');
  provider.onResult = undefined;
  const accepted = results.filter((r) => r.accepted);
  assert.equal(accepted.length, 2);
  assert.equal(accepted[0].accepted.messageId, accepted[1].accepted.messageId);
  expectProblem(results.find((r) => r.error).error, 'REQUEST_ID_REUSED', /another body/);
  await rig.works(user, phone);
});

test('a request id that comes again after a restart', async () => {
  const phone = await rig.phone();
  const user = await rig.user('restart');
  const sent = await rig.works(user, phone);
  await rig.gateway.kill();
  await rig.gateway.start();
  await provider.connect();
  await provider.attachAndWait(user);
  await checkRepeats(user, phone, sent);
  await rig.works(user, phone);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
