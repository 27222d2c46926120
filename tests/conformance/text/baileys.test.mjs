// The main job with an unmodified Baileys as the WhatsApp user: it knows nothing of us.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, kIntegrator, kIssuer } from '../../integration/lib/gateway.mjs';
import { Provider } from '../../integration/lib/provider.mjs';
import { BaileysClient, trustRoot } from '../lib/baileys_client.mjs';
import { Simulator } from '../lib/sim.mjs';

const kWanda = { number: '4917000000001', lid: '100000000000001', name: 'Wanda' };
let sim, gateway, provider, wanda;

before(async () => {
  sim = await Simulator.start();
  trustRoot(sim.rootKey);
  gateway = await new Gateway({ sim }).start();
  await sim.addProvider({ integrator: kIntegrator, issuer: kIssuer, jwks: gateway.jwks });
  await sim.addAccount({ ...kWanda, opted_in: true });
  wanda = await BaileysClient.login({ wsPort: sim.wsPort, ...kWanda });
  provider = new Provider({ target: gateway.target, files: gateway.files(), token: (user) => gateway.token(user) });
  await provider.connect();
  await provider.call('enlist', { userId: 'alice' });
  await provider.attachAndWait('alice');
});
after(async () => {
  provider?.close();
  await wanda?.close();
  await gateway?.end();
  await sim?.stop();
});

test('Baileys decrypts the text; its delivered and read receipts arrive', async () => {
  await provider.send('alice', 'r1', `+${kWanda.number}`, 'Guten Tag, Wanda');
  const message = await wanda.waitForText('Guten Tag, Wanda');
  await provider.until(() => provider.states('alice', 'r1').includes('DELIVERED'), 'DELIVERED');
  await wanda.read(message);
  await provider.until(() => provider.states('alice', 'r1').includes('READ'), 'READ');
  assert.deepEqual(provider.states('alice', 'r1'), ['SENT', 'DELIVERED', 'READ']);
});

test('its answer arrives and it learns that it was delivered', async () => {
  const [message] = wanda.messages;
  const id = await wanda.send(message.from, 'Guten Tag, Alice');
  const [event] = await provider.until(() => provider.received('alice').length && provider.received('alice'), 'answer');
  assert.equal(event.content.text.body, 'Guten Tag, Alice');
  assert.equal(event.from.e164, `+${kWanda.number}`);
  await wanda.waitForStatus(id, 3);
});

test('fifty turns both ways stay in order and lose nothing', async () => {
  const to = wanda.messages[0].from;
  for (let i = 0; i < 50; i++) {
    await provider.send('alice', `turn-${i}`, `+${kWanda.number}`, `out ${i}`);
    await wanda.waitForText(`out ${i}`);
    await wanda.send(to, `in ${i}`);
    await provider.until(() => provider.received('alice').some((m) => m.content.text.body === `in ${i}`), `in ${i}`);
  }
  const out = wanda.texts().filter((t) => t?.startsWith('out '));
  const back = provider.received('alice').map((m) => m.content.text.body).filter((t) => t.startsWith('in '));
  assert.deepEqual(out, Array.from({ length: 50 }, (_, i) => `out ${i}`));
  assert.deepEqual(back, Array.from({ length: 50 }, (_, i) => `in ${i}`));
});

test('what is sent while Baileys is away arrives in order when it is back', async () => {
  await wanda.close();
  for (let i = 0; i < 5; i++) await provider.send('alice', `away-${i}`, `+${kWanda.number}`, `away ${i}`);
  await provider.until(() => provider.states('alice', 'away-4').includes('SENT'), 'SENT');
  await wanda.open();
  await wanda.waitForText('away 4');
  assert.deepEqual(wanda.texts().filter((t) => t?.startsWith('away')), [0, 1, 2, 3, 4].map((i) => `away ${i}`));
  await provider.until(() => provider.states('alice', 'away-4').includes('DELIVERED'), 'DELIVERED');
});

test('the largest text passes whole', async () => {
  const text = 'ä'.repeat(32768);
  const result = await provider.send('alice', 'large', `+${kWanda.number}`, text);
  assert.ok(result.accepted);
  await wanda.waitForText(text);
});

test('the far side saw nothing wrong', async () => {
  assert.deepEqual(await sim.violations(), []);
  assert.deepEqual(provider.violations, []);
});
