// Stands between the gateway and WhatsApp's server, for what the server's own faults cannot do: damage
// to the handshake, silence on the wire, and nobody there at all.
import { once } from 'node:events';
import net from 'node:net';

const kHeader = 4;  // "WA" and two octets, before the client's first frame
const kLength = 3;  // of a frame

// Passes octets on and flips one bit of the wanted frame: {frame, at, bit}; the frame's length stands
// in the octets 0 to 2, `at` counts from there. Before a client's first frame its header counts as -1.
class Flipper {
  #held = Buffer.alloc(0);
  #frame;

  constructor(header, flip) {
    this.#frame = header ? -1 : 0;
    this.flip = flip;
  }

  pass(octets) {
    if (!this.flip) return octets;
    this.#held = Buffer.concat([this.#held, octets]);
    const out = [];
    while (this.flip) {
      const size = this.#frame < 0 ? kHeader : this.#held.length < kLength ? Infinity
        : kLength + this.#held.readUIntBE(0, kLength);
      if (this.#held.length < size) return Buffer.concat(out);
      const whole = this.#held.subarray(0, size);
      this.#held = this.#held.subarray(size);
      if (this.#frame++ === this.flip.frame) {
        whole[Math.floor(this.flip.at(size))] ^= 1 << this.flip.bit;
        this.flip.done = true;
        this.flip = null;
      }
      out.push(whole);
    }
    return Buffer.concat([...out, this.#held]);
  }
}

export class Proxy {
  #connections = new Set();
  #server;
  silent = false;  // takes connections and octets, passes none on
  flips = {};      // of the next connection: {to_client?, from_client?}

  static async listen(toPort) {
    const proxy = new Proxy();
    proxy.toPort = toPort;
    await proxy.allow();
    return proxy;
  }

  // Nobody is there: connections are cut, new ones are refused.
  async refuse() {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  // On the same port as before.
  async allow() {
    this.#server = net.createServer((client) => this.#take(client));
    this.#server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  cut() { for (const socket of this.#connections) socket.destroy(); }

  #take(client) {
    const server = net.connect(this.toPort, '127.0.0.1');
    const flips = this.flips;
    this.flips = {};
    const ways = [[client, server, new Flipper(true, flips.from_client)],
      [server, client, new Flipper(false, flips.to_client)]];
    for (const [from, to, flipper] of ways) {
      this.#connections.add(from);
      from.setNoDelay(true);
      from.on('data', (octets) => { if (!this.silent) to.write(flipper.pass(octets)); });
      from.on('error', () => {});
      from.on('close', () => {
        this.#connections.delete(from);
        if (!this.silent) to.end();
      });
    }
  }

  async stop() { await this.refuse(); }
}
