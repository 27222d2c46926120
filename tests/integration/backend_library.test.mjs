// The library for backends in Node, beside two gateways on one PostgreSQL: one is killed, drained, started again, and
// the application notices nothing but where its users are.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BackendClient } from '../../adapters/backend/node/index.mjs';
import { home } from '../../adapters/backend/node/placement.mjs';
import { kIntegrator } from './lib/gateway.mjs';
import { Application, Replicas } from './lib/replicas.mjs';
import { eventually } from './lib/rig.mjs';

const kUsers = 12;
let replicas, app, backend, pairs, count = 0;
const states = [];

// options: what a test changes of the library's
function open(options = {}) {
  return new BackendClient({
    endpoints: replicas.endpoints, tls: replicas.tls, instanceId: `backend-${++count}`, settleMs: 300, backoffCapMs: 500, deadlineMs: 20000,
    onEvent: async (user, event) => {
      await new Promise(setImmediate);
      const { messageStatus: status, messageReceived: message } = event;
      app.finish(user, event.seq, { requestId: status?.requestId, state: status?.state.replace('MESSAGE_STATE_', ''), text: message?.content.text.body });
    },
    onStatus: (user, status) => app.status(user, status),
    onReplica: (endpoint, status) => { states.push({ endpoint, ...status }); app.changes.happened(); },
    onProblem: (user, error) => app.violations.push(`${user}: ${error.message}`),
    ...options,
  });
}

const attach = (name, library = backend) => library.attach(name, { clientAddress: '192.0.2.17', token: () => replicas.token(name) });
const message = (pair, id, body) => ({ requestId: id, to: { e164: pair.e164 }, content: { text: { body } } });

// Submits from every user; what is accepted has to arrive. Resolves with the outcomes.
function submitAll(each, library = backend) {
  return Promise.all(pairs.flatMap((pair) => Array.from({ length: each }, () => {
    const id = `request-${++count}`, text = `text ${id}`;
    const entry = { id, text };
    pair.sent.push(entry);
    return library.submit(pair.name, message(pair, id, text));
  })));
}
const accepted = (outcomes) => assert.deepEqual(outcomes.filter((o) => o.outcome !== 'ACCEPTED'), []);
const at = (endpoint) => pairs.filter(({ name }) => app.user(name).place === endpoint);
const homes = (endpoint) => pairs.filter(({ name }) => home(replicas.endpoints.map((e) => ({ endpoint: e })), name).endpoint === endpoint);

before(async () => {
  replicas = await Replicas.start(2, { limits: { drain_timeout: '3000ms' } });
  app = new Application();
  pairs = await replicas.pairs(kUsers);
  // Where a port is chosen by the system, so are the homes: one user at each at least.
  while (replicas.endpoints.some((e) => homes(e).length === 0)) pairs.push(...await replicas.pairs(1));
  backend = open();
});
after(async () => {
  backend?.close();
  await replicas?.stop();
});

test('users are attached where they belong; texts, answers and acknowledgements go their way', async () => {
  for (const { name } of pairs) attach(name);
  await app.untilUp(pairs);
  for (const endpoint of replicas.endpoints) assert.deepEqual(at(endpoint), homes(endpoint));
  accepted(await submitAll(10));
  for (const { name, number } of pairs) await replicas.sim.send(number, { integrator: kIntegrator, user: name }, `answer to ${name}`);
  await app.until(() => pairs.every(({ name }) => app.user(name).received.includes(`answer to ${name}`)), 'the answers');
  await app.settled(replicas.sim, pairs);
  for (const { name } of pairs) {
    await eventually(async () => {
      const { ackedSeq, lastSeq } = await replicas.seqs(replicas.at(app.user(name).place), name);
      return ackedSeq === lastSeq && lastSeq === app.user(name).finished;
    }, 'all is acknowledged');
  }
});

test('an id that is repeated gets its first answer; what is refused is refused at once', async () => {
  const [pair] = pairs;
  const { id, text } = pair.sent[0];
  const again = await backend.submit(pair.name, message(pair, id, text));
  assert.equal(again.outcome, 'ACCEPTED');
  assert.equal((await backend.submit(pair.name, message(pair, id, 'another'))).reason, 'REQUEST_ID_REUSED');
  assert.equal((await backend.submit('nobody', message(pair, 'x', 'x'))).reason, 'NO_CLIENT');
  // These would break the stream of everybody.
  assert.equal((await backend.submit(pair.name, message(pair, 'x', '\ud800'))).reason, 'CONTENT_INVALID');
  assert.equal((await backend.submit(pair.name, message(pair, '', 'x'))).reason, 'REQUEST_ID_INVALID');
});

test('kill -9 of a gateway under load: its users come back on the other one, nothing is lost', async () => {
  const [gone, left] = replicas.endpoints;
  const before = submitAll(30);
  await app.until(() => homes(gone).some(({ name, sent }) => app.user(name).states.has(sent.at(-30).id)), 'traffic');
  const during = submitAll(10);
  await replicas.at(gone).kill();
  const since = submitAll(10);
  for (const outcomes of [before, during, since]) accepted(await outcomes);
  await app.untilUp(pairs);
  assert.equal(at(left).length, pairs.length);
  await app.settled(replicas.sim, pairs);
});

test('started again, it gets its own users back, and they alone move', async () => {
  const moved = app.user(homes(replicas.endpoints[1])[0].name).statuses.length;
  await replicas.gateways[0].start();
  await app.until(() => replicas.endpoints.every((e) => at(e).length === homes(e).length), 'users at home');
  assert.equal(app.user(homes(replicas.endpoints[1])[0].name).statuses.length, moved);
  await app.untilUp(pairs);
  accepted(await submitAll(5));
  await app.settled(replicas.sim, pairs);
});

test('SIGTERM under load: users move before it goes, and the application notices nothing', async () => {
  const [left, gone] = replicas.endpoints;
  const from = new Map(pairs.map(({ name }) => [name, app.user(name).statuses.length]));
  const before = submitAll(30);
  const ended = replicas.at(gone).end();
  const since = submitAll(10);
  for (const outcomes of [before, since]) accepted(await outcomes);
  await ended;
  await app.untilUp(pairs);
  assert.equal(at(left).length, pairs.length);
  for (const { name } of pairs) {
    assert.deepEqual(app.user(name).statuses.slice(from.get(name)).filter((s) => s.state === 'WAITING' || s.state === 'ENDED'), []);
  }
  await app.settled(replicas.sim, pairs);
  await replicas.gateways[1].start();
  await app.until(() => replicas.endpoints.every((e) => at(e).length === homes(e).length), 'users at home');
  await app.untilUp(pairs);
});

test('an endpoint that is named no more is left; named again it is used again', async () => {
  const [first, second] = replicas.endpoints;
  backend.setEndpoints([second]);
  await app.until(() => at(second).length === pairs.length, 'all at the second');
  backend.setEndpoints([first, second]);
  await app.until(() => at(first).length === homes(first).length, 'users at home');
  await app.untilUp(pairs);
  accepted(await submitAll(3));
  await app.settled(replicas.sim, pairs);
});

test('somebody else attaches the user: no fight', async () => {
  const [pair] = await replicas.pairs(1);
  attach(pair.name);
  await app.untilUp([pair]);
  const other = replicas.provider(replicas.at(app.user(pair.name).place));
  try {
    await other.connect();
    await other.attachAndWait(pair.name);
    const ended = await app.until(() => app.user(pair.name).statuses.find((s) => s.state === 'ENDED'), 'ENDED');
    assert.equal(ended.reason, 'REPLACED');
    assert.equal((await backend.submit(pair.name, message(pair, 'x', 'x'))).reason, 'NO_CLIENT');
    await other.attachAndWait(pair.name);
  } finally { other.close(); }
});

test('a refused attach is told, with the reason', async () => {
  attach('never-enlisted');
  const ended = await app.until(() => app.user('never-enlisted').statuses.find((s) => s.state === 'ENDED'), 'ENDED');
  assert.deepEqual([ended.reason, ended.error.reason], ['REFUSED', 'USER_UNKNOWN']);
});

test('an event is acknowledged when it was handled; one that failed comes again, and none overtakes it', async () => {
  const [pair] = await replicas.pairs(1);
  const calls = [], problems = [];
  let fails = 2, release;
  const held = new Promise((resolve) => { release = resolve; });
  const library = open({
    onEvent: async (user, event) => {
      if (!event.messageReceived) return;
      calls.push(event.messageReceived.content.text.body);
      app.changes.happened();
      if (fails-- > 0) throw new Error('not stored');
      await held;
    },
    onProblem: (user, error) => problems.push(error.message),
  });
  try {
    attach(pair.name, library);
    await app.untilUp([pair]);
    for (const text of ['one', 'two']) await replicas.sim.send(pair.number, { integrator: kIntegrator, user: pair.name }, text);
    await app.until(() => calls.length === 3, 'three calls');
    const place = replicas.at(app.user(pair.name).place);
    await eventually(async () => (await replicas.seqs(place, pair.name)).lastSeq >= 2, 'both are there');
    assert.equal((await replicas.seqs(place, pair.name)).ackedSeq, 0);
    assert.deepEqual(calls, ['one', 'one', 'one']);
    release();
    await app.until(() => calls.length === 4, 'the next');
    assert.equal(calls[3], 'two');
    assert.deepEqual(problems, ['not stored', 'not stored']);
    await eventually(async () => {
      const { ackedSeq, lastSeq } = await replicas.seqs(place, pair.name);
      return ackedSeq === lastSeq;
    }, 'all is acknowledged');
  } finally { library.close(); }
});

test('without any gateway a submit waits for its deadline, and memory is bounded', async () => {
  const [pair] = pairs;
  const library = open({ endpoints: ['127.0.0.1:1'], maxQueued: 2 });
  try {
    attach(pair.name, library);
    const waits = [library.submit(pair.name, message(pair, 'never-1', 'x'), { deadlineMs: 200 }),
      library.submit(pair.name, message(pair, 'never-2', 'x'), { deadlineMs: 100 })];
    assert.equal((await library.submit(pair.name, message(pair, 'never-3', 'x'))).reason, 'QUEUE_FULL');
    for (const outcome of await Promise.all(waits)) assert.deepEqual([outcome.outcome, outcome.reason], ['REFUSED', 'DEADLINE']);
  } finally { library.close(); }
});
