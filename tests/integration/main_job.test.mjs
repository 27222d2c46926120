// The main job against the real binary and the simulated WhatsApp: a provider's text reaches a phone
// that holds Signal keys, the phone's answer and receipts come back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Simulator } from '../conformance/lib/sim.mjs';
import { Gateway, kIntegrator, kIssuer } from './lib/gateway.mjs';
import { Provider } from './lib/provider.mjs';

const kNumber = '4915112345678';
let sim, gateway, provider;

before(async () => {
  sim = await Simulator.start();
  gateway = await new Gateway({ sim }).start();
  await sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: gateway.jwks });
  await sim.addPhone({ number: kNumber, opted_in: true, auto_delivered: true, auto_read: true });
  provider = new Provider({ target: gateway.target, files: gateway.files(), token: (user) => gateway.token(user) });
  await provider.connect();
});
after(async () => {
  provider?.close();
  try { await gateway?.end(); } finally { await sim?.stop(); }
});

test('a text reaches the phone, its answer and its receipts come back', async () => {
  assert.equal((await provider.call('enlist', { userId: 'alice' })).created, true);
  assert.equal((await provider.call('enlist', { userId: 'alice' })).created, false);
  await provider.attachAndWait('alice');

  const result = await provider.send('alice', 'r1', `+${kNumber}`, 'Hello from the provider');
  assert.ok(result.accepted, JSON.stringify(result.error));
  const inbox = await sim.waitForInbox(kNumber, (all) => all.length === 1);
  assert.equal(inbox[0].text, 'Hello from the provider');
  await provider.until(() => provider.states('alice', 'r1').includes('READ'), 'READ');
  assert.deepEqual(provider.states('alice', 'r1'), ['SENT', 'DELIVERED', 'READ']);

  await sim.send(kNumber, { integrator: kIntegrator, user: 'alice' }, 'Hello back');
  const [message] = await provider.until(() => provider.received('alice').length === 1 && provider.received('alice'), 'the answer');
  assert.equal(message.content.text.body, 'Hello back');
  assert.equal(message.from.e164, `+${kNumber}`);
  assert.deepEqual(await sim.violations(), []);
  assert.deepEqual(provider.violations, []);
});

test('what is submitted right behind the attach is taken, in order', async () => {
  await provider.call('enlist', { userId: 'hasty' });
  provider.attach('hasty');
  provider.submit([1, 2, 3].map((n) => provider.text('hasty', `h${n}`, `+${kNumber}`, `hasty ${n}`)));
  for (const n of [1, 2, 3]) await provider.until(() => provider.result('hasty', `h${n}`)?.accepted, `result of h${n}`);
  const inbox = await sim.waitForInbox(kNumber, (all) => all.some((m) => m.text === 'hasty 3'));
  assert.deepEqual(inbox.map((m) => m.text).filter((t) => t.startsWith('hasty')), ['hasty 1', 'hasty 2', 'hasty 3']);
});
