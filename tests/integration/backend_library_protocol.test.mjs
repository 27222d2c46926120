// The library for backends in Node against gateways that do what a test wants of them: what real ones do seldom.
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, test } from 'node:test';
import { BackendClient } from '../../adapters/backend/node/index.mjs';
import { home, score } from '../../adapters/backend/node/placement.mjs';
import { Changes } from '../conformance/lib/waiting.mjs';
import { FakeGateway, accepted, certificates, refused } from './lib/fake_gateway.mjs';

let tls, first, second, backend, changes, statuses, handed, ups, tokens;

before(() => { tls = certificates(); });
beforeEach(async () => {
  first = await FakeGateway.start(tls.server);
  second = await FakeGateway.start(tls.server);
  [changes, statuses, handed, ups, tokens] = [new Changes(), [], [], 0, 0];
});
afterEach(() => {
  backend?.close();
  first.stop();
  second.stop();
});

// Events are kept in `handed` until a test calls done or failed of one.
function open(options = {}) {
  backend = new BackendClient({
    endpoints: [first.endpoint, second.endpoint], tls, instanceId: 'test', backoffMs: 10, backoffCapMs: 50, settleMs: 20, deadlineMs: 5000,
    onEvent: (user, { seq }) => new Promise((done, failed) => {
      handed.push({ user, seq, done, failed });
      changes.happened();
    }),
    onStatus: (user, status) => { statuses.push({ user, ...status }); changes.happened(); },
    onReplica: (endpoint, { state }) => { ups += state === 'UP' ? 1 : 0; changes.happened(); },
    ...options,
  });
}
// Of a user, the n-th status of this kind.
async function status(user, state, n = 1) {
  const all = () => statuses.filter((s) => s.user === user && s.state === state);
  await changes.waitFor(() => all().length >= n, 10000, `${state} ${n}`);
  return all()[n - 1];
}
const event = (n) => changes.waitFor(() => handed[n], 10000, `event ${n}`);
function userAt(gateway, n = 0) {
  for (let i = 0; ; i++) if (home([first, second], `user-${i}`) === gateway && n-- === 0) return `user-${i}`;
}
const attach = (user) => backend.attach(user, { clientAddress: '192.0.2.1', token: async () => `token-${++tokens}` });
async function attachedAt(gateway, options) {
  open(options);
  const user = userAt(gateway);
  attach(user);
  assert.equal((await status(user, 'ATTACHED')).endpoint, gateway.endpoint);
  await changes.waitFor(() => ups >= 2, 10000, 'both up');
  return user;
}
const submit = (user, requestId, options) => backend.submit(user, { requestId, to: { e164: '+4915112345678' }, content: { text: { body: 'x' } } }, options);

test('homes are the same in C++', () => {
  assert.equal(score('a:1', 'alice'), 77031949);
  assert.equal(score('gateway-2.example:7443', 'user-17'), 2393858239);
});

test('what is acknowledged is what was finished, though more has come', async () => {
  const user = await attachedAt(first);
  first.events(user, 1, 2, 3);
  (await event(0)).done();
  assert.equal((await event(1)).seq, 2);
  assert.equal((await first.nth('acknowledge')).seq, 1);
  handed[1].done();
  assert.equal((await first.nth('acknowledge', 2)).seq, 2);
});

test('the loss of a stream: what has no answer is sent again in order, what was handed over is not again', async () => {
  first.onSubmit = () => undefined;
  const user = await attachedAt(first);
  first.events(user, 1, 2, 3);
  (await event(0)).done();
  await event(1);
  const answers = [submit(user, 'one'), submit(user, 'two')];
  await first.until(() => first.submitted.length === 2, 'submits');
  first.down();
  assert.equal((await status(user, 'ATTACHED', 2)).endpoint, second.endpoint);
  for (const { outcome } of await Promise.all(answers)) assert.equal(outcome, 'ACCEPTED');
  assert.deepEqual(second.submitted, ['one', 'two']);
  const { resumeSeq, token } = await second.nth('attach');
  assert.deepEqual([resumeSeq, token], [1, 'token-2']);
  second.events(user, 2, 3, 4);
  second.send({ linkStatus: { userId: user, state: 'LINK_STATE_UP' } });
  await status(user, 'LINK');  // what was before it is here
  handed[1].done();
  (await event(2)).done();
  await event(3);
  assert.deepEqual(handed.map(({ seq }) => seq), [1, 2, 3, 4]);
});

test('detached and attached again while an event is handled, it is not handed over a second time', async () => {
  const user = await attachedAt(first);
  first.events(user, 1, 2);
  await event(0);
  backend.detach(user);
  attach(user);
  await status(user, 'ATTACHED', 2);
  first.events(user, 1, 2);
  handed[0].done();
  assert.equal((await event(1)).seq, 2);
  assert.equal((await first.nth('acknowledge')).seq, 1);
});

test('what may succeed later is sent again in order, after the time that the gateway says', async () => {
  const tries = { one: 0, two: 0 }, order = [];
  let asked;
  first.onSubmit = (m) => {
    if (++tries[m.requestId] > 1) {
      order.push({ id: m.requestId, after: Date.now() - asked });
      return accepted(m);
    }
    asked ??= Date.now();
    return m.requestId === 'one' ? refused(m, 'OUTCOME_UNKNOWN', 100) : refused(m, 'THROTTLED', 1);
  };
  const user = await attachedAt(first);
  for (const { outcome } of await Promise.all([submit(user, 'one'), submit(user, 'two')])) assert.equal(outcome, 'ACCEPTED');
  assert.deepEqual(order.map(({ id }) => id), ['one', 'two']);
  assert.ok(order[0].after >= 95, `${order[0].after} ms`);
});

test('a refusal is final; a deadline says whether the message may be stored', async () => {
  first.onSubmit = (m) => ({ refused: refused(m, 'REQUEST_ID_REUSED'), throttled: refused(m, 'THROTTLED', 900) })[m.requestId];
  const user = await attachedAt(first);
  assert.equal((await submit(user, 'refused')).reason, 'REQUEST_ID_REUSED');
  const silent = await submit(user, 'silent', { deadlineMs: 50 });
  assert.deepEqual([silent.outcome, silent.reason], ['UNKNOWN', 'DEADLINE']);
  const throttled = await submit(user, 'throttled', { deadlineMs: 50 });
  assert.deepEqual([throttled.outcome, throttled.lastError.reason], ['REFUSED', 'THROTTLED']);
});

test('the gateway\'s window is kept', async () => {
  first.submitWindow = 2;
  const messages = [];
  first.onSubmit = (m) => void messages.push(m);
  const user = await attachedAt(first);
  const answers = Array.from({ length: 5 }, (_, i) => submit(user, `${i}`));
  for (let i = 0; i < 5; i++) {
    await first.until(() => messages.length >= Math.min(i + 2, 5), 'submits');
    assert.ok(messages.length <= i + 2);
    first.send({ submitResults: { results: [accepted(messages[i])] } });
    assert.equal((await answers[i]).messageId, `id-of-${i}`);
  }
});

test('a drain without another replica leaves users where they are until there is one', async () => {
  second.isDown = true;
  open();
  const user = userAt(first);
  attach(user);
  await status(user, 'ATTACHED');
  first.send({ draining: {} });
  second.up();
  assert.equal((await status(user, 'ATTACHED', 2)).endpoint, second.endpoint);
  await first.nth('detach');
  assert.equal(statuses.filter((s) => s.state === 'WAITING').length, 0);
});

test('a late end of an old attachment is not taken for the new one', async () => {
  first.onAttach = second.onAttach = () => undefined;
  open();
  const user = userAt(first);
  attach(user);
  await first.nth('attach');
  backend.setEndpoints([second.endpoint]);
  await second.nth('attach');
  backend.setEndpoints([first.endpoint, second.endpoint]);
  second.down();  // and so back to the first
  await first.nth('attach', 2);
  first.detached(user, 'REPLACED');
  first.send({ attached: { userId: user, ackedSeq: 0 } });
  assert.equal((await status(user, 'ATTACHED')).endpoint, first.endpoint);
  assert.deepEqual(statuses.filter((s) => s.state === 'ENDED'), []);
});

test('an event that is missing is fetched by attaching anew; a token that is wanted is given', async () => {
  const user = await attachedAt(first);
  first.events(user, 2);
  await status(user, 'ATTACHED', 2);
  assert.equal(handed.length, 0);
  second.send({ tokenWanted: { userId: user } });
  assert.equal((await second.nth('freshToken')).token, 'token-3');
});

test('a gateway that is silent is left', async () => {
  const user = await attachedAt(first, { heartbeatMs: 20, heartbeatTimeoutMs: 200 });
  await first.nth('heartbeat', 2);
  first.silent = true;
  assert.equal((await status(user, 'ATTACHED', 2)).endpoint, second.endpoint);
});

test('an attach that is refused for now is tried again, elsewhere', async () => {
  let tries = 0;
  const attached = first.onAttach;
  first.onAttach = second.onAttach = (frame) => ++tries === 3 ? attached(frame)
    : { detached: { userId: frame.userId, reason: 'DETACH_REASON_REFUSED', error: { reason: 'THROTTLED', retryAfter: { seconds: 0, nanos: 1e6 } } } };
  open();
  attach('patient');
  await status('patient', 'ATTACHED');
  assert.equal(first.all('attach').length + second.all('attach').length, 3);
});
