// What a byte stream is made of, so that a fault can be placed by it: frames of Noise, or messages of
// PostgreSQL's protocol. One framing a connection; take(way, octets) returns the whole units, in order,
// and keeps what is not whole yet; rest(way) is that. A unit: {name, index, octets, head}: `index` counts
// the units of its way, `head` is how many octets of it are type and length.

class Cutter {
  #held = Buffer.alloc(0);
  #index;

  // size(octets): of the first unit in them, or Infinity as long as that cannot be told
  constructor(size, first = 0) {
    this.size = size;
    this.#index = first;
  }

  take(octets, describe) {
    this.#held = this.#held.length ? Buffer.concat([this.#held, octets]) : octets;
    const units = [];
    for (;;) {
      const size = this.size(this.#held, this.#index);
      if (!(this.#held.length >= size && size > 0)) return units;
      const unit = { index: this.#index++, octets: Buffer.from(this.#held.subarray(0, size)) };
      units.push(Object.assign(unit, describe(unit)));
      this.#held = this.#held.subarray(size);
    }
  }

  rest() { return this.#held; }
}

// Whatever arrives together is a unit.
export class Plain {
  #count = { up: 0, down: 0 };
  take(way, octets) { return octets.length ? [{ name: 'octets', index: this.#count[way]++, octets, head: 0 }] : []; }
  rest() { return Buffer.alloc(0); }
}

const kHeader = 4;       // "WA" and two octets, before the client's first frame
const kFrameLength = 3;  // then each frame: its length in 3 octets

// Names: 'header' (index -1, up only), 'frame'; frames 0 and 1 of a client are hello and finish.
export class Noise {
  #cutters = {
    up: new Cutter((held, index) => index < 0 ? kHeader : frameSize(held), -1),
    down: new Cutter(frameSize),
  };
  take(way, octets) {
    return this.#cutters[way].take(octets, ({ index }) => index < 0 ? { name: 'header', head: 0 } : { name: 'frame', head: kFrameLength });
  }
  rest(way) { return this.#cutters[way].rest(); }
}

function frameSize(held) {
  return held.length < kFrameLength ? Infinity : kFrameLength + held.readUIntBE(0, kFrameLength);
}

// Protocol 3.0 without TLS (PostgreSQL 15, chapter 55). Names up: 'startup', 'commit' for what makes the
// server commit, 'query'. Down: 'answer' for the first message after a commit was asked for, 'committed'
// for the ReadyForQuery that ends it, 'ready' for any other ReadyForQuery, 'result'. A session that may
// only read commits nothing.
export class PostgresProtocol {
  #cutters = {
    up: new Cutter((held, index) => index ? messageSize(held) : held.length < 4 ? Infinity : held.readUInt32BE(0)),
    down: new Cutter(messageSize),
  };
  #inBlock = false;
  #executed = false;
  #committing = false;
  #answered = false;
  #readOnly = false;

  take(way, octets) {
    return this.#cutters[way].take(octets, (unit) => way === 'up' ? this.#up(unit) : this.#down(unit));
  }
  rest(way) { return this.#cutters[way].rest(); }

  #up({ index, octets }) {
    if (index === 0) return { name: 'startup', head: 4 };
    const type = String.fromCharCode(octets[0]);
    const sql = type === 'Q' ? octets.toString('latin1', 5) : '';
    if (sql.includes('default_transaction_read_only=on')) this.#readOnly = true;
    if (type === 'E') this.#executed = true;
    // COMMIT, or the end of a statement that is a transaction of its own.
    const commits = sql.startsWith('COMMIT') || (type === 'S' && this.#executed && !this.#inBlock);
    if (type === 'S') this.#executed = false;
    if (!commits || this.#readOnly) return { name: 'query', head: 5 };
    this.#committing = true;
    this.#answered = false;
    return { name: 'commit', head: 5 };
  }

  #down({ octets }) {
    const ready = String.fromCharCode(octets[0]) === 'Z';
    if (ready) this.#inBlock = octets[5] !== 0x49;  // 'I': idle
    if (!this.#committing) return { name: ready ? 'ready' : 'result', head: 5 };
    if (ready) {
      this.#committing = false;
      return { name: 'committed', head: 5 };
    }
    const first = !this.#answered;
    this.#answered = true;
    return { name: first ? 'answer' : 'result', head: 5 };
  }
}

function messageSize(held) {
  return held.length < 5 ? Infinity : 1 + held.readUInt32BE(1);
}
