// An unmodified Baileys as the WhatsApp user's phone: logs in to the simulator, reads what comes and
// answers it. node baileys_phone.mjs WS_PORT ROOT_KEY NUMBER LID ANSWER
//
// Prints one line of JSON for each step: {version}, when it is logged in; {at, text}, a text that it
// decrypted; {answered}, when its answer left. Times are milliseconds. SIGTERM ends it.
import { createRequire } from 'node:module';
import { BaileysClient, trustRoot } from '../../tests/conformance/lib/baileys_client.mjs';

const [wsPort, rootKey, number, lid, answer] = process.argv.slice(2);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
for (const level of ['log', 'info', 'debug']) console[level] = console.error;

// Baileys is a package of tests/conformance, and does not export its package.json.
const { version } = createRequire(
  new URL('../../tests/conformance/package.json', import.meta.url))('./node_modules/baileys/package.json');

trustRoot(rootKey);
const client = await BaileysClient.login({ wsPort, number, lid, name: 'Wanda' });
tell({ version });

for (let done = 0; ; done += 1) {
  // No deadline of its own: who started it has one, and ends it.
  const message = await client.waitFor(() => client.messages[done], 2 ** 31 - 1, 'a message');
  tell({ at: message.at, text: message.text });
  await client.read(message);
  const at = Date.now();
  await client.send(message.from, answer);
  tell({ answered: at });
}
