// The API as its users' tools see it: `buf lint` on the schema; `buf curl` by reflection, with a client
// certificate, against the real gateway.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Rig } from './lib/rig.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const source = process.env.GW_SOURCE ?? join(here, '../..');
const buf = join(here, 'node_modules/.bin/buf');
const gateway = 'interop.gateway.v1.GatewayService';

function run(args, { cwd = here, input = '' } = {}) {
  return new Promise((resolve) => {
    const child = execFile(buf, args, { cwd, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? 1) : 0, stdout, stderr }),
    );
    child.stdin.on('error', () => {}); // it may end before it has read everything
    child.stdin.end(input);
  });
}

let rig;
before(async () => { rig = await Rig.start(); });
after(() => rig?.stop());

function curl(path, args = [], input = '') {
  const { ca, certificate, key } = rig.gateway.files();
  const tls = ['--cacert', ca, '--cert', certificate, '--key', key];
  return run(['curl', '--protocol', 'grpc', ...tls, ...args, `https://${rig.gateway.target}${path}`], { input });
}

async function call(method, request) {
  const result = await curl(`/${gateway}/${method}`, ['-d', JSON.stringify(request)]);
  assert.equal(result.code, 0, result.stderr);
  return JSON.parse(result.stdout);
}

function parseObjects(text) {
  // buf writes the messages of a stream one behind the other.
  const objects = [];
  let depth = 0;
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (quoted) {
      if (text[i] === '\\') i++;
      else if (text[i] === '"') quoted = false;
    } else if (text[i] === '"') quoted = true;
    else if (text[i] === '{' && depth++ === 0) start = i;
    else if (text[i] === '}' && --depth === 0) objects.push(JSON.parse(text.slice(start, i + 1)));
  }
  return objects;
}

test('buf lint finds nothing in the schema', async () => {
  const result = await run(['lint'], { cwd: join(source, 'proto') });
  assert.equal(result.code, 0, result.stdout + result.stderr);
});

test('reflection lists the services and their methods, the health service among them', async () => {
  const services = await curl('', ['--list-services']);
  assert.equal(services.code, 0, services.stderr);
  assert.match(services.stdout, /interop\.gateway\.v1\.GatewayService/);
  const methods = await curl('', ['--list-methods']);
  assert.equal(methods.code, 0, methods.stderr);
  for (const name of ['Connect', 'Enlist', 'Withdraw', 'GetUser', 'SendMessage', 'GetMessage',
    'ListEvents', 'ListUsersWithPendingEvents', 'GetContact', 'MarkRead', 'UpdateUser'])
    assert.match(methods.stdout, new RegExp(`${gateway}/${name}\\b`));
  assert.match(methods.stdout, /grpc\.health\.v1\.Health\/Check/);
});

test('Health/Check answers per service', async () => {
  for (const service of ['', gateway]) {
    const result = await curl('/grpc.health.v1.Health/Check', ['-d', JSON.stringify({ service })]);
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(JSON.parse(result.stdout), { status: 'SERVING' });
  }
});

test('an unknown service is no healthy one', async () => {
  const result = await curl('/grpc.health.v1.Health/Check', ['-d', '{"service":"nobody"}']);
  assert.notEqual(result.code, 0);
  assert.equal(JSON.parse(result.stderr).code, 'not_found');
});

test('unary calls enlist a user, and send a text that reaches the phone', async () => {
  const [user, phone] = [rig.name('buf'), await rig.phone()];
  assert.deepEqual(await call('Enlist', { userId: user }), { created: true, trustLevel: 'TRUST_LEVEL_IN_GATEWAY' });
  await rig.provider.attachAndWait(user);
  const [requestId, body] = [rig.nextId(), rig.text()];
  const { message } = await call('SendMessage', { userId: user, requestId, to: { e164: phone.e164 }, content: { text: { body } } });
  assert.match(message.messageId, /^[0-9A-F]{32}$/);
  phone.texts.push(body);
  await rig.works(user, phone);
  assert.equal((await call('GetMessage', { userId: user, messageId: message.messageId })).requestId, requestId);
});

test('an error shows its details', async () => {
  const result = await curl(`/${gateway}/SendMessage`, ['-d', JSON.stringify({ userId: rig.name('buf') })]);
  assert.notEqual(result.code, 0);
  const error = JSON.parse(result.stderr);
  assert.equal(error.code, 'invalid_argument');
  const detail = (type) => error.details.find((one) => one.type === type);
  const octets = (type) => Buffer.from(detail(type).value, 'base64').toString('latin1');
  assert.match(octets('google.rpc.ErrorInfo'), /REQUEST_ID_INVALID/);
  assert.match(octets('google.rpc.ErrorInfo'), /gateway\.interop/);
  assert.match(octets('google.rpc.BadRequest'), /request_id/);
});

test('a Connect stream answers Hello and a heartbeat, and ends with OK', async () => {
  const frames = [{ hello: { instanceId: 'buf' } }, { heartbeat: { nonce: '7' } }];
  const input = frames.map((frame) => JSON.stringify(frame)).join('\n');
  const result = await curl(`/${gateway}/Connect`, ['-d', '@-'], input);
  assert.equal(result.code, 0, result.stderr);
  const [welcome, echo] = parseObjects(result.stdout);
  assert.ok(welcome.welcome.submitWindow > 0, result.stdout);
  assert.deepEqual(echo, { heartbeatEcho: { nonce: '7' } });
});

test('a Connect stream without Hello says what is missing', async () => {
  const result = await curl(`/${gateway}/Connect`, ['-d', '{"heartbeat":{}}']);
  assert.notEqual(result.code, 0);
  assert.equal(JSON.parse(result.stderr).code, 'failed_precondition');
});

test('without a client certificate there is no connection', async () => {
  const result = await run(['curl', '--protocol', 'grpc', '--cacert', rig.gateway.files().ca, '--list-services',
    `https://${rig.gateway.target}`]);
  assert.notEqual(result.code, 0);
});

test('neither log nor metrics name anybody', () => rig.checkNothingTold());
