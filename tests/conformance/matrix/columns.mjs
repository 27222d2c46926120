// The columns: which unmodified client stands where in a WhatsApp account.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import * as baileys7 from 'baileys';
import * as baileys6 from '../baileys_6/index.mjs';
import { BaileysClient } from '../lib/baileys_client.mjs';

// The version that is installed, not the one that was asked for.
function versionIn(folder) {
  const file = fileURLToPath(new URL(`../${folder}node_modules/baileys/package.json`, import.meta.url));
  return JSON.parse(readFileSync(file)).version;
}

const kSeven = { library: baileys7, name: `Baileys ${versionIn('')}` };
// It takes its own LID apart at the colon before the device, and as device 0 has none: without the suffix
// it asks for keys of `...@lid@lid`. And it loses what the server says within a moment of its login.
const kSix = { library: baileys6, name: `Baileys ${versionIn('baileys_6/')}`, lidSuffix: ':0', hasty: true };
const kAnswerMs = 100;

class Column {
  // `phone`: what stands at device 0; `companion`: what is linked as device 1; `tested`: which of them
  constructor({ account, phone, companion = null }) {
    Object.assign(this, { account, phone, companion });
    this.tested = companion ?? phone;
    this.device = companion ? 1 : 0;
    this.name = companion ? `${companion.name} as companion` : `${phone.name} as device 0`;
    this.e164 = `+${account.number}`;
    this.clients = [];  // of the account, by device
  }

  async start(world) {
    this.world = world;
    await world.sim.addAccount({ ...this.account, opted_in: true });
    await this.link(0, this.phone);
    if (this.companion) await this.link(1, this.companion);
  }

  // A client with keys of its own logs in as that device. There is no pairing at the simulator.
  async link(device, { library, lidSuffix, hasty }) {
    const { sim } = this.world;
    const late = { kind: 'delay', target: this.account.number, direction: 'to_client', tag: 'success', ms: kAnswerMs };
    return this.clients[device] = await BaileysClient.login({
      wsPort: sim.wsPort, ...this.account, device, library, lidSuffix, beforeLogin: hasty && (() => sim.addFault(late)) });
  }

  // A cell that failed must not leave the next ones without their clients.
  async ready() {
    for (const client of this.clients) if (client.connection !== 'open') await client.open();
  }

  // The client that the column is about, and the account's other ones.
  get client() { return this.clients[this.device]; }
  get others() { return this.clients.filter((c) => c !== this.client); }

  // The same device in a new installation: nothing is left of the keys.
  async reinstall() {
    await this.client.close();
    await this.world.sim.api('POST', `/accounts/${this.account.number}/unbind`, { device: this.device });
    return this.link(this.device, this.tested);
  }

  // As the simulator knows the tested device.
  async seen() {
    const accounts = await this.world.sim.accounts();
    return accounts.find((a) => a.number === this.account.number).devices.find((d) => d.id === this.device);
  }

  async stop() {
    for (const client of this.clients) await client?.close();
  }
}

const account = (n, name) => ({ number: `491700000010${n}`, lid: `10000000000010${n}`, name });

export const kCompanionSoftware = kSeven;
export const columns = [
  new Column({ account: account(1, 'Wanda'), phone: kSeven }),
  new Column({ account: account(2, 'Xenia'), phone: kSeven, companion: kSeven }),
  new Column({ account: account(3, 'Yvonne'), phone: kSix }),
];
