// The library for backends in C++, as its example embeds it, beside two gateways on one PostgreSQL: one is killed, then
// drained, and started again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { Program } from '../conformance/lib/program.mjs';
import { buildFolder } from '../conformance/lib/sim.mjs';
import { home } from '../../adapters/backend/node/placement.mjs';
import { gwctl, kIntegrator, kIssuer } from './lib/gateway.mjs';
import { Application, Replicas } from './lib/replicas.mjs';

const kUsers = 6;
let replicas, app, pairs, example, count = 0;

// The example as a process, and what it printed.
function start() {
  const [first] = replicas.gateways;
  const { ca, certificate, key } = first.files();
  // A provider's own signer, as a program.
  const signer = path.join(first.dir, 'sign');
  writeFileSync(signer, `#!/bin/sh\nexec '${gwctl()}' token --key '${path.join(first.dir, 'keys/signing_key.pem')}' --issuer '${kIssuer}' --user "$1"\n`);
  chmodSync(signer, 0o700);
  const child = spawn(path.join(buildFolder(), 'adapters/backend/backend_example'), ['--instance', 'example', '--ca', ca,
    '--certificate', certificate, '--key', key, '--server-name', 'localhost', '--token-command', signer,
    ...replicas.endpoints.flatMap((e) => ['--endpoint', e])], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = new Map(), submits = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [kind, user, ...rest] = line.split(' ');
    if (kind === 'submit') submits.push({ user, id: rest[0] });
    else if (kind === 'answer') answers.set(rest[0], rest.slice(1).join(' '));
    else if (kind === 'event') {
      const { seq, messageStatus: status, messageReceived: message } = JSON.parse(rest.join(' '));
      app.finish(user, Number(seq), { requestId: status?.requestId, state: status?.state.replace('MESSAGE_STATE_', ''), text: message?.content.text.body });
    } else if (kind === 'status') {
      const [state, what] = rest;
      app.status(user, state === 'LINK' ? { state, link: what.replace('LINK_STATE_', '') } : { state, endpoint: what, reason: what });
    }
    app.changes.happened();
  });
  return { child, program: new Program('the example', child), answers, submits };
}

const write = (line) => example.child.stdin.write(`${line}\n`);
const at = (endpoint) => pairs.filter(({ name }) => app.user(name).place === endpoint);
const homes = (endpoint) => pairs.filter(({ name }) => home(replicas.endpoints.map((e) => ({ endpoint: e })), name).endpoint === endpoint);

// From every user; `answered()` waits until all that was ever submitted is accepted.
function submitAll(each) {
  for (let i = 0; i < each; i++) {
    for (const pair of pairs) {
      const id = `example-${++count}`, text = `text ${id}`;
      pair.sent.push({ id, text });
      write(`${pair.name} ${pair.e164} ${text}`);
    }
  }
}
async function answered() {
  await app.until(() => example.answers.size >= count, 'every answer', 30000);
  assert.deepEqual([...example.answers.values()].filter((a) => !a.startsWith('ACCEPTED ')), []);
}

before(async () => {
  replicas = await Replicas.start(2, { limits: { drain_timeout: '3000ms' } });
  app = new Application();
  pairs = await replicas.pairs(kUsers);
  while (replicas.endpoints.some((e) => homes(e).length === 0)) pairs.push(...await replicas.pairs(1));
  example = start();
});
after(async () => {
  if (example && !example.program.ended) await example.program.end('SIGKILL');
  await replicas?.stop();
});

test('texts and answers go their way, users are where they belong in Node too', async () => {
  submitAll(5);
  await app.untilUp(pairs);
  for (const endpoint of replicas.endpoints) assert.deepEqual(at(endpoint), homes(endpoint));
  await answered();
  for (const { name, number } of pairs) await replicas.sim.send(number, { integrator: kIntegrator, user: name }, `answer to ${name}`);
  await app.until(() => pairs.every(({ name }) => app.user(name).received.includes(`answer to ${name}`)), 'the answers');
  await app.settled(replicas.sim, pairs);
});

test('kill -9 of a gateway under load: its users come back on the other one, nothing is lost', async () => {
  const [gone, left] = replicas.endpoints;
  submitAll(20);
  await app.until(() => homes(gone).some(({ name, sent }) => app.user(name).states.has(sent.at(-20).id)), 'traffic');
  submitAll(10);
  await replicas.at(gone).kill();
  submitAll(10);
  await answered();
  await app.untilUp(pairs);
  assert.equal(at(left).length, pairs.length);
  await app.settled(replicas.sim, pairs);
});

test('SIGTERM of the other, once the first is back: its users move before it goes', async () => {
  const [left, gone] = replicas.endpoints;
  await replicas.gateways[0].start();
  await app.until(() => replicas.endpoints.every((e) => at(e).length === homes(e).length), 'users at home', 20000);
  await app.untilUp(pairs);
  const from = new Map(pairs.map(({ name }) => [name, app.user(name).statuses.length]));
  submitAll(20);
  const ended = replicas.at(gone).end();
  submitAll(10);
  await answered();
  await ended;
  await app.untilUp(pairs);
  assert.equal(at(left).length, pairs.length);
  for (const { name } of pairs) {
    assert.deepEqual(app.user(name).statuses.slice(from.get(name)).filter((s) => s.state === 'WAITING' || s.state === 'ENDED'), []);
  }
  await app.settled(replicas.sim, pairs);
  await replicas.gateways[1].start();
});

test('at the end of its input it waits for the answers and ends', async () => {
  submitAll(3);
  example.child.stdin.end();
  const [code] = await example.program.gone;
  assert.equal(code, 0);
  await answered();
  assert.deepEqual(example.submits.map(({ id }) => id), Array.from({ length: count }, (_, i) => `example-${i + 1}`));
});
