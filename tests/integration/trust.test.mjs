// Who is who: certificates on either side, and the tokens that open a link.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { read } from './lib/errors.mjs';
import { Gateway, gwctl, signToken } from './lib/gateway.mjs';
import { Provider } from './lib/provider.mjs';
import { Rig } from './lib/rig.mjs';

let rig, provider;
before(async () => {
  rig = await Rig.start();
  provider = rig.provider;
});
after(() => rig?.stop());

function certificates(...args) {
  const dir = mkdtempSync(path.join(tmpdir(), 'certs-'));
  execFileSync(gwctl(), ['dev', 'certs', '--out', dir, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { ca: path.join(dir, 'ca.pem'), of: (name) => ({ certificate: path.join(dir, `${name}.pem`), key: path.join(dir, `${name}.key`) }) };
}

// The provider's certificate with another URI in it, signed by the authority again. Same length, so
// that only the signature and the outermost SEQUENCE are written anew.
function withoutProvider(dir) {
  const der = Buffer.from(readFileSync(path.join(dir, 'birdy.pem'), 'latin1').replace(/-----.*?-----|\s/g, ''), 'base64');
  const sizeAt = (at) => (der[at + 1] < 128 ? 2 + der[at + 1]
    : 2 + (der[at + 1] & 127) + der.readUIntBE(at + 2, der[at + 1] & 127));
  const start = 2 + (der[1] & 127);
  const signed = der.subarray(start, start + sizeAt(start));
  const algorithm = der.subarray(start + signed.length, start + signed.length + sizeAt(start + signed.length));
  signed.write('interop:provided:', signed.indexOf('interop:provider:'), 'latin1');
  const signature = sign('sha256', signed, createPrivateKey(readFileSync(path.join(dir, 'ca.key'))));
  const bits = Buffer.concat([Buffer.from([3, signature.length + 1, 0]), signature]);
  const body = Buffer.concat([signed, algorithm, bits]);
  const whole = Buffer.concat([Buffer.from([0x30, 0x82, body.length >> 8, body.length & 255]), body]);
  const file = path.join(dir, 'provided.pem');
  writeFileSync(file, `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`);
  return file;
}

// How a call of a client with these files ends.
async function knock(files, serverName) {
  const client = new Provider({ target: rig.gateway.target, files, serverName });
  const error = await client.call('GetUser', { userId: 'anybody' }, 2000).then(() => assert.fail('let in'), read);
  client.close();
  return error;
}

test('a client certificate of another authority, or none: no connection', async () => {
  const strange = certificates('--provider', 'birdy').of('birdy');
  const ours = rig.gateway.files();
  const unary = await knock({ ...ours, ...strange });
  assert.equal(unary.code, 'UNAVAILABLE');
  const { ca } = ours;
  assert.equal((await knock({ ca })).code, 'UNAVAILABLE');
  const stream = new Provider({ target: rig.gateway.target, files: { ca } });
  await assert.rejects(stream.connect(2000));
  stream.close();
  await rig.works(await rig.user('stranger'), await rig.phone());
});

test('a client certificate that names no provider, or one that is not set up', async () => {
  const { ca } = rig.gateway.files();
  const none = { ...rig.gateway.files(), certificate: withoutProvider(path.dirname(ca)) };
  const denied = await knock(none);
  execFileSync(gwctl(), ['dev', 'certs', '--out', path.dirname(ca), '--provider', 'nobody'], { stdio: 'ignore' });
  const unknown = await knock(rig.gateway.files('nobody'));
  for (const [error, reason, says] of [
    [denied, 'CERTIFICATE_WITHOUT_PROVIDER', /SAN URI interop:provider:<id>/],
    [unknown, 'PROVIDER_UNKNOWN', /not set up here/]]) {
    assert.deepEqual([error.code, error.reason], ['PERMISSION_DENIED', reason], error.message);
    assert.match(error.message, says);
  }
  const stream = new Provider({ target: rig.gateway.target, files: none });
  const error = await stream.connect().then(() => assert.fail('let in'), (e) => read(e.status));
  assert.equal(error.reason, 'CERTIFICATE_WITHOUT_PROVIDER');
  stream.close();
  await rig.works(await rig.user('nameless'), await rig.phone());
});

test('a backend does not talk to a gateway with a wrong certificate', async () => {
  const ours = rig.gateway.files();
  assert.equal((await knock({ ...ours, ca: certificates('--provider', 'birdy').ca })).code, 'UNAVAILABLE');
  assert.equal((await knock(ours, 'another.example')).code, 'UNAVAILABLE');
  await rig.works(await rig.user('careful'), await rig.phone());
});

test('a WhatsApp whose certificates another root signed: no login, and pauses that grow', async (t) => {
  const gateway = new Gateway({ sim: rig.sim, rootKey: '5a'.repeat(32), extra: 'log:\n  level: debug\n' });
  t.after(() => gateway.end());
  await gateway.start();
  let tokens = 0;
  const client = new Provider({ target: gateway.target, files: gateway.files(),
    token: (user) => { ++tokens; return gateway.token(user); } });
  t.after(() => client.close());
  await client.connect();
  const user = rig.name('impostor');
  await client.call('Enlist', { userId: user });
  const downs = [];
  const take = client.take.bind(client);
  client.take = (frame) => {
    if (frame.linkStatus?.state === 'LINK_STATE_DOWN') downs.push({ at: Date.now(), reason: frame.linkStatus.reason });
    take(frame);
  };
  const before = await rig.sim.stats();
  client.attach(user);
  await client.until(() => downs.length === 4, 'four tries', 20000);
  assert.deepEqual(downs.map((d) => d.reason), Array(4).fill('HANDSHAKE_FAILED'));
  // 0.25 to 0.5 s, 0.5 to 1 s, 1 to 2 s: each at least as long as the one before may have been.
  const pauses = downs.slice(1).map((d, i) => d.at - downs[i].at);
  assert.ok(pauses[0] >= 240 && pauses[1] >= 490 && pauses[2] >= 990, `${pauses}`);
  assert.ok(tokens <= 5, `${tokens} tokens`);
  const refusedNow = await client.call('GetContact', { userId: user, contact: { e164: '+4915112345678' } }).then(
    () => assert.fail('answered'), read);
  assert.deepEqual([refusedNow.code, refusedNow.reason], ['UNAVAILABLE', 'LINK_DOWN']);
  assert.ok(refusedNow.retryMs > 0);
  const stats = await rig.sim.stats();
  // It left each of them when it saw the certificates: the login, with the token, was not shown.
  assert.equal(stats.links_opened - before.links_opened, downs.length);
  for (const none of ['logins', 'logins_refused', 'handshakes_failed']) assert.equal(stats[none], before[none], none);
  assert.ok(!gateway.log().includes(user));
});

// A user whose first token is a bad one: the link is refused, a fresh one is asked for and does.
async function withToken(word, make, reason = 'TOKEN_REFUSED') {
  const phone = await rig.phone();
  const name = rig.name(word);
  await provider.call('Enlist', { userId: name });
  const downs = [];
  const seen = provider.frames.length;
  const good = provider.options.token;
  provider.options.token = (user) => {
    provider.options.token = good;
    return rig.secret(make(user));
  };
  provider.attach(name);
  await provider.until(() => provider.user(name).link === 'UP', 'link up');
  for (const { linkStatus } of provider.frames.slice(seen))
    if (linkStatus?.userId === name && linkStatus.state === 'LINK_STATE_DOWN') downs.push(linkStatus.reason);
  assert.deepEqual(downs, [reason]);
  assert.ok(provider.frames.slice(seen).some((f) => f.tokenWanted?.userId === name), 'TokenWanted');
  await rig.works(name, phone);
  return name;
}

test('a token that is expired, from the future, or for another audience', async () => {
  const now = Math.floor(Date.now() / 1000);
  await withToken('old', (user) => rig.gateway.token(user, { lifetime: -120 }), 'TOKEN_EXPIRED');
  for (const options of [{ claims: { iat: now + 3600, exp: now + 7200 } },
    { claims: { aud: 'somebody' } }, { claims: { iss: 'https://other.example' } }])
    await withToken('token', (user) => rig.gateway.token(user, options));
});

test('a token signed by a wrong key', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await withToken('forged', (user) => signToken({ kid: rig.gateway.jwk.kid, key: privateKey }, { user }));
  await withToken('kid', (user) => signToken({ kid: 'nobody', key: privateKey }, { user }));
});

test('a token used twice', async () => {
  let used;
  const name = rig.name('thrifty');
  const phone = await rig.phone();
  await provider.call('Enlist', { userId: name });
  provider.options.token = () => used ??= rig.token(name);
  await provider.attachAndWait(name);
  provider.options.token = rig.token;
  await rig.works(name, phone);
  await withToken('again', () => used);
});

test('a token of another user opens no link of that user\'s', async () => {
  const other = await rig.user('owner');
  const phone = await rig.phone();
  await rig.works(other, phone);
  const { logins } = (await rig.interop(other)).devices[0];
  await withToken('thief', () => rig.gateway.token(other));
  assert.equal((await rig.interop(other)).devices[0].logins, logins);
  await rig.works(other, phone);
});

test('a token that does not come: the link stays down, and opens with one that comes late', async () => {
  const phone = await rig.phone();
  const user = await rig.user('late');
  await rig.works(user, phone);
  provider.options.withholdTokens = true;
  const seen = provider.frames.length;
  await rig.sim.addFault({ kind: 'close', target: `7-${user}` });
  await provider.until(() => provider.frames.slice(seen).some((f) => f.tokenWanted?.userId === user), 'TokenWanted');
  provider.options.withholdTokens = false;
  assert.equal(provider.user(user).linkReason, 'CONNECTION_LOST');
  const waits = await rig.send(user, phone);
  assert.equal((await provider.call('GetMessage', { userId: user, messageId: waits.messageId })).state, 'MESSAGE_STATE_WAITING');
  provider.stream.write({ freshToken: { userId: user, token: '' } });
  provider.stream.write({ freshToken: { userId: user, token: rig.token(user) } });
  await provider.until(() => provider.user(user).link === 'UP', 'link up');
  await rig.works(user, phone);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
