// Stands between two programs and does to their connection what networks do: swallows, delays, slices,
// resets, closes and corrupts it, or leaves one side with a connection that the other does not have any
// more. Where it strikes is counted in what passes (framing.mjs), never in time.
//
//   const gate = await Gate.listen(port, Noise);
//   gate.arm({ way: 'down', after: 5, kind: 'reset', octets: 1 });
//
// A strike: {way: 'up' (from the client) or 'down', unit?, index?, connection?: which units are meant,
// after?: how many of them pass first, kind, ...}. 'connect' is a unit too, up: a client that comes.
// A strike of which the gate is told `struck` has been; it strikes once.
//   drop       nothing of this way (`both`: of neither) passes from here on; nobody is told
//   delay      {ms}: this unit and all behind it come so much later
//   slice      {size, units}: so many units leave in pieces of so many octets
//   corrupt    {where: 'type', 'length' or 'body', part, bit}: one bit of this unit is flipped
//   reset      RST towards both after a part of this unit
//   close      FIN towards both after it
//   half_open  {side: 'client' or 'server'}: RST towards this side after it, nothing to the other
//   lose       {until}: this unit and the next ones, up to that name, are swallowed; then RST
// "A part of this unit": {octets: n}, or {part: 0 to 1}. {ms} at drop and half_open: RST so much later.
import { once } from 'node:events';
import net from 'node:net';
import { Noise } from './framing.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const other = { up: 'down', down: 'up' };

class Connection {
  constructor(gate, client, server) {
    this.number = gate.count;
    this.gate = gate;
    this.sockets = { client, server };
    this.framing = new gate.Framing();
    this.ways = { up: { from: client, to: server, queue: [] }, down: { from: server, to: client, queue: [] } };
    for (const name of ['up', 'down']) this.#carry(name, this.ways[name]);
  }

  #carry(name, way) {
    way.from.setNoDelay?.(true);
    way.from.on('data', (octets) => { if (!this.gate.silent) this.#take(name, this.framing.take(name, octets)); });
    way.from.on('end', () => this.#take(name, [{ name: 'end' }]));
    way.from.on('error', () => this.#take(name, [{ name: 'gone' }]));
    way.from.on('close', () => {
      if (this.ways.up.from.destroyed && this.ways.down.from.destroyed) this.gate.ended(this);
    });
  }

  async #take(name, units) {
    const way = this.ways[name];
    way.queue.push(...units);
    if (way.busy) return;
    way.busy = true;
    for (let unit; (unit = way.queue.shift());) {
      // Without a wait where nothing is to be waited for: two units of one read leave as one segment.
      const waiting = this.#pass(name, way, unit);
      if (waiting) await waiting;
    }
    way.busy = false;
  }

  #pass(name, way, unit) {
    if (unit.name === 'end' || unit.name === 'gone') return this.#ends(name, way, unit);
    const strike = this.gate.strikes(this, name, unit);
    if (strike && !way.dropped) return this.#strike(strike, name, way, unit);
    if (way.until) {
      if (unit.name === way.until) this.reset();
      return undefined;
    }
    return this.#write(way, unit.octets);
  }

  #write(way, octets) {
    if (way.dropped || this.gate.silent || way.to.destroyed) return undefined;
    if (!way.slices) return void way.to.write(octets);
    way.slices--;
    return this.#slice(way, octets);
  }

  async #slice(way, octets) {
    for (let at = 0; at < octets.length && !way.to.destroyed; at += way.size) {
      way.to.write(octets.subarray(at, at + way.size));
      await new Promise(setImmediate);
    }
  }

  // A side has ended or broken its connection; what is not whole passes all the same.
  #ends(name, way, { name: how }) {
    if (way.dropped || this.gate.silent) return way.from.destroy();
    if (how === 'gone') return broken(way.to);
    const rest = this.framing.rest(name);
    if (rest.length) way.to.write(rest);
    return void way.to.end();
  }

  #strike(strike, name, way, unit) {
    const { octets } = unit;
    const part = octets.subarray(0, strike.octets ?? Math.floor(octets.length * (strike.part ?? 0)));
    // Nothing follows before it is done.
    const passed = (then) => (part.length ? new Promise((resolve) => way.to.write(part, resolve)).then(then) : then());
    switch (strike.kind) {
      case 'drop':
        way.dropped = true;
        if (strike.both) this.ways[other[name]].dropped = true;
        return this.#later(strike.ms);
      case 'delay': return sleep(strike.ms).then(() => this.#write(way, octets));
      case 'slice':
        Object.assign(way, { size: strike.size, slices: strike.units });
        return this.#write(way, octets);
      case 'corrupt': return this.#write(way, flip(unit, strike));
      case 'reset': return passed(() => this.reset());
      case 'close': return passed(() => this.close());
      case 'half_open': return passed(() => this.#halfOpen(strike));
      case 'lose':
        way.until = strike.until;
        return undefined;
      default: throw new Error(`no such fault: ${strike.kind}`);
    }
  }

  #halfOpen({ side, ms }) {
    for (const way of Object.values(this.ways)) way.dropped = true;
    broken(this.sockets[side]);
    this.#later(ms);
  }

  #later(ms) { if (ms !== undefined) setTimeout(() => this.reset(), ms); }

  reset() { for (const socket of Object.values(this.sockets)) broken(socket); }
  close() {
    for (const way of Object.values(this.ways)) way.dropped = true;
    for (const socket of Object.values(this.sockets)) socket.destroySoon();
  }
  cut() { for (const socket of Object.values(this.sockets)) socket.destroy(); }
}

// RST alone: resetAndDestroy sends a FIN before it. A socket in the file system knows none, and libuv
// refuses it to one whose FIN is on its way.
function broken(socket) {
  if (socket.remoteAddress && !socket.writableEnded) socket.resetAndClosing = true;
  socket.destroy();
}

function flip({ octets, head, name }, { where, part, bit }) {
  const [from, to] = { type: [0, 1], length: [head < 4 ? 0 : head - 4, head], body: [head, octets.length] }[where];
  const at = Math.min(from + Math.floor((to - from) * part), octets.length - 1);
  if (to <= from) throw new Error(`nothing to flip in the ${where} of ${name}`);
  octets[at] ^= 1 << bit;
  return octets;
}

export class Gate {
  #server;
  #armed = [];
  connections = new Set();
  count = 0;       // connections so far
  silent = false;  // takes connections and octets, passes none on
  onStruck = () => {};

  // to: a port of this machine, or the path of a socket
  static async listen(to, Framing = Noise) {
    const gate = new Gate();
    Object.assign(gate, { to, Framing });
    await gate.allow();
    return gate;
  }

  arm(strike) {
    this.#armed.push(strike);
    strike.struck = false;
    strike.seen = 0;
    return strike;
  }
  // What has not struck yet will not.
  disarm() { this.#armed = []; }

  // The strike that is due at this unit; of several the others wait for the next one.
  strikes(connection, way, unit) {
    let due;
    for (const s of this.#armed) {
      const meant = s.way === way && (s.unit ?? unit.name) === unit.name && (s.index ?? unit.index) === unit.index
        && (s.connection ?? connection.number) === connection.number && (s.unit || unit.name !== 'connect');
      if (meant && s.seen++ >= (s.after ?? 0)) due ??= s;
    }
    if (!due) return undefined;
    this.#armed = this.#armed.filter((s) => s !== due);
    due.struck = true;
    this.onStruck(due);
    return due;
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
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => this.#take(client));
    this.#server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  cut() { for (const connection of this.connections) connection.cut(); }
  ended(connection) { this.connections.delete(connection); }

  #take(client) {
    this.count++;
    const refused = this.strikes({ number: this.count }, 'up', { name: 'connect', index: -2 });
    if (refused) return broken(client);
    const at = typeof this.to === 'string' ? { path: this.to } : { port: this.to, host: '127.0.0.1' };
    this.connections.add(new Connection(this, client, net.connect({ ...at, allowHalfOpen: true })));
  }

  async stop() { await this.refuse(); }
}
