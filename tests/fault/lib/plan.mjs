// What is to go wrong in one run, drawn from its seed: strikes at the gate before WhatsApp, and at the
// commits, on PostgreSQL by a second gate, on SQLite by faulty_gateway. Every kind comes up within as
// many seeds in a row as there are kinds.
import { random } from '../../integration/lib/random.mjs';

const kFrames = 150;    // strikes at frames fall among so many, of one way
const kCommits = 40;    // and those at commits
const kMessages = 300;  // those at any message of PostgreSQL's protocol
const kHoldMs = 150;    // the longest delay, and the longest silence of a database

export class Draw {
  constructor(seed) { this.next = random(seed); }
  up(most) { return Math.floor(this.next() * most); }
  from(list) { return list[this.up(list.length)]; }
  way() { return this.from(['up', 'down']); }
  ms() { return 1 + this.up(kHoldMs); }
  bit() { return { part: this.next(), bit: this.up(8) }; }
}

// Noise authenticates what is in a frame, so that every flipped bit is noticed by whoever decrypts it; a
// length that is wrong shows at the next frame, or in silence.
const kWhatsApp = {
  'octets vanish one way': (d) => ({ way: d.way(), kind: 'drop' }),
  'octets vanish both ways': (d) => ({ way: d.way(), kind: 'drop', both: true }),
  delay: (d) => ({ way: d.way(), kind: 'delay', ms: d.ms() }),
  slices: (d) => ({ way: d.way(), kind: 'slice', size: 1 + d.up(5), units: 1 + d.up(20) }),
  'a flipped bit': (d) => ({ way: d.way(), unit: 'frame', kind: 'corrupt', where: 'body', ...d.bit() }),
  'a flipped bit in a length': (d) => ({ way: d.way(), unit: 'frame', kind: 'corrupt', where: 'length', ...d.bit() }),
  reset: (d) => ({ way: d.way(), kind: 'reset', part: d.next() }),
  close: (d) => ({ way: d.way(), kind: 'close', part: d.next() }),
  'the gateway alone is cut off': (d) => ({ way: d.way(), kind: 'half_open', side: 'client', part: d.next() }),
  'WhatsApp alone is cut off': (d) => ({ way: d.way(), kind: 'half_open', side: 'server', part: d.next() }),
};

// Without TLS nothing authenticates what PostgreSQL and the gateway say: a bit that is flipped in a value
// is another value. So only what the protocol itself notices is flipped: a type that does not exist, or a
// length that is out of all bounds. With TLS every flipped bit is a lost connection, as they are here.
// A database that says nothing on a live connection is waited for: each silence ends in a reset.
const kSilent = (d) => ({ ms: d.ms() });
const kPostgres = {
  'cut before the commit': (d) => ({ way: 'up', unit: 'commit', kind: 'reset', part: d.next() }),
  'cut behind the commit': (d) => ({ way: 'up', unit: 'commit', kind: 'half_open', side: 'client', part: 1, ...kSilent(d) }),
  'cut after the commit, its answer lost': () => ({ way: 'down', unit: 'answer', kind: 'lose', until: 'committed' }),
  'cut after the answer\'s first octet': () => ({ way: 'down', unit: 'answer', kind: 'reset', octets: 1 }),
  'cut before the answer\'s last octet': () => ({ way: 'down', unit: 'committed', kind: 'reset', octets: 5 }),
  'the commit vanishes': (d) => ({ way: 'up', unit: 'commit', kind: 'drop', ...kSilent(d) }),
  'the answer vanishes': (d) => ({ way: 'down', unit: 'answer', kind: 'drop', ...kSilent(d) }),
  'the answer is late': (d) => ({ way: 'down', unit: 'answer', kind: 'delay', ms: d.ms() }),
  delay: (d) => ({ way: d.way(), kind: 'delay', ms: d.ms() }),
  slices: (d) => ({ way: d.way(), kind: 'slice', size: 1 + d.up(5), units: 1 + d.up(20) }),
  reset: (d) => ({ way: d.way(), kind: 'reset', part: d.next() }),
  close: (d) => ({ way: d.way(), kind: 'close', part: d.next() }),
  'the gateway alone is cut off': (d) => ({ way: d.way(), kind: 'half_open', side: 'client', part: d.next(), ...kSilent(d) }),
  'the database alone is cut off': (d) => ({ way: d.way(), kind: 'half_open', side: 'server', part: d.next(), ...kSilent(d) }),
  'a type that does not exist': (d) => ({ way: 'up', unit: d.from(['commit', 'query']), kind: 'corrupt', where: 'type', part: 0, bit: 7 }),
  'a length without measure': (d) => ({ way: d.way(), unit: undefined, kind: 'corrupt', where: 'length', part: 0, bit: 7 }),
};

const kSqlite = {
  'a commit fails': (d) => ({ command: `fail ${1 + d.up(4)}` }),
  'an unknown outcome, nothing written': () => ({ command: 'unknown-before' }),
  'an unknown outcome, all written': () => ({ command: 'unknown-after' }),
  'unknown, and no way back at first': (d) => ({ reopen: 1 + d.up(3), command: d.from(['unknown-before', 'unknown-after']) }),
  'a commit hangs': (d) => ({ command: 'hang', ms: d.ms() }),
};

export class Plan {
  constructor(seed, store) {
    const d = this.draw = new Draw(seed);
    this.seed = seed;
    this.whatsapp = this.#strikes(kWhatsApp, 1 + d.up(4), () => d.up(kFrames));
    // A gate that sends nobody on: so many who come are turned away.
    for (let i = d.up(3); i > 0; i--) this.whatsapp.push({ name: 'turned away', way: 'up', unit: 'connect', kind: 'reset', after: d.up(4), perhaps: true });
    this.store = store === 'PostgreSQL'
      ? this.#strikes(kPostgres, 1 + d.up(5), (s) => d.up(/commit|answer/.test(s.unit) ? kCommits : kMessages))
      : this.#strikes(kSqlite, 1 + d.up(5), () => d.up(kCommits / 3));
    if (store === 'PostgreSQL')
      for (let i = d.up(3); i > 0; i--) this.store.push({ name: 'turned away', way: 'up', unit: 'connect', kind: 'reset', perhaps: true });
  }

  #strikes(kinds, count, after) {
    const names = Object.keys(kinds);
    return Array.from({ length: count }, (_, i) => {
      const name = i === 0 ? names[this.seed % names.length] : this.draw.from(names);
      const strike = kinds[name](this.draw);
      return { name, after: after(strike), ...strike };
    });
  }

  // All have struck but those that wait for what may not come.
  get done() { return [...this.whatsapp, ...this.store].every((s) => s.struck || s.perhaps); }

  // One line a strike, with what became of it.
  text() {
    const line = (where) => ({ name, struck, seen, perhaps, ...s }) => `  ${where}, ${name}: ${JSON.stringify(s)}${struck ? '' : ' (did not strike)'}`;
    return [...this.whatsapp.map(line('WhatsApp')), ...this.store.map(line('store'))].join('\n');
  }
}
