// The gate itself: each kind of fault as both ends of a connection see it, and PostgreSQL's commits cut
// where they are meant to be. Nothing of the gateway is in here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Plain, Noise, PostgresProtocol } from '../integration/lib/framing.mjs';
import { Gate } from '../integration/lib/gate.mjs';
import { Postgres } from '../integration/lib/postgres.mjs';
import { eventually } from '../integration/lib/rig.mjs';
import { Plan } from './lib/plan.mjs';

const frame = (text) => Buffer.concat([Buffer.from([0, 0, text.length]), Buffer.from(text)]);

// One end of a connection: all that came, in how many reads, and how it ended.
class End {
  got = Buffer.alloc(0);
  reads = [];
  how = undefined;  // 'end' by FIN, or the code of an error

  constructor(socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (octets) => { this.got = Buffer.concat([this.got, octets]); this.reads.push(octets.length); });
    socket.on('end', () => { this.how ??= 'end'; });
    socket.on('error', (error) => { this.how ??= error.code; });
  }
  get(text) { return eventually(() => this.got.toString('latin1').includes(text), `${JSON.stringify(text)} in ${JSON.stringify(this.got.toString('latin1'))}`); }
  ends(how) { return eventually(() => this.how, 'the end').then(() => assert.equal(this.how, how)); }
  write(...texts) { this.socket.write(Buffer.concat(texts.map((t) => (typeof t === 'string' ? Buffer.from(t) : t)))); }
}

describe('between a client and a server', () => {
  let server, gate;
  const accepted = [], clients = [];
  before(async () => {
    server = net.createServer({ allowHalfOpen: true }, (socket) => accepted.push(new End(socket)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => server.close());
  afterEach(async () => {
    await gate.stop();
    for (const { socket } of [...accepted.splice(0), ...clients.splice(0)]) socket.destroy();
  });

  const start = async (framing = Plain) => {
    gate = await Gate.listen(server.address().port, framing);
  };
  const connect = async () => {
    const n = accepted.length;
    const client = new End(net.connect({ port: gate.port, host: '127.0.0.1', allowHalfOpen: true }));
    clients.push(client);
    await eventually(() => accepted.length > n || client.how, 'a connection');
    return [client, accepted[n]];
  };
  // Both ways, a text that passes.
  const passes = async (client, far, text = 'ping') => {
    client.write(text);
    await far.get(text);
    far.write(`${text}-back`);
    await client.get(`${text}-back`);
  };

  test('nothing armed: all passes, and a FIN one way leaves the other open', async () => {
    await start();
    const [client, far] = await connect();
    await passes(client, far);
    client.socket.end();
    await far.ends('end');
    far.write('late');
    await client.get('late');
    far.socket.end();
    await client.ends('end');
    await eventually(() => gate.connections.size === 0, 'no connection is left');
  });

  test('a RST passes as a RST', async () => {
    await start();
    const [client, far] = await connect();
    await passes(client, far);
    client.socket.resetAndDestroy();
    await far.ends('ECONNRESET');
  });

  test('drop: this way is silent for good, the other lives, nobody is told', async () => {
    await start();
    const [client, far] = await connect();
    await passes(client, far);
    const strike = gate.arm({ way: 'up', kind: 'drop' });
    client.write('swallowed');
    await eventually(() => strike.struck, 'the strike');
    client.write('and this');
    far.write('still here');
    await client.get('still here');
    assert.equal(far.got.toString(), 'ping');
    assert.deepEqual([client.how, far.how], [undefined, undefined]);
    const [other, otherFar] = await connect();
    await passes(other, otherFar);  // another connection is not struck
  });

  test('drop both ways, then RST', async () => {
    await start();
    const [client, far] = await connect();
    gate.arm({ way: 'down', kind: 'drop', both: true, ms: 30 });
    far.write('swallowed');
    await client.ends('ECONNRESET');
    await far.ends('ECONNRESET');
    assert.deepEqual([client.got.length, far.got.length], [0, 0]);
  });

  test('delay: later, whole, and in order; the other way does not wait', async () => {
    await start(Noise);
    const [client, far] = await connect();
    gate.arm({ way: 'down', after: 1, kind: 'delay', ms: 100 });
    const began = Date.now();
    far.write(frame('one'), frame('two'), frame('three'));
    await client.get('one');
    client.write('WA12', frame('meanwhile'));
    await far.get('meanwhile');
    assert.ok(!client.got.includes('two'));
    await client.get('three');
    assert.ok(Date.now() - began >= 99);
    assert.equal(client.got.toString('latin1'), '\0\0\x03one\0\0\x03two\0\0\x05three');
  });

  test('slice: the same octets in many segments', async () => {
    await start(Noise);
    const [client, far] = await connect();
    gate.arm({ way: 'down', kind: 'slice', size: 2, units: 2 });
    const text = 'x'.repeat(100);
    far.write(frame(text), frame(text), frame('whole'));
    await client.get('whole');
    assert.deepEqual(client.got, Buffer.concat([frame(text), frame(text), frame('whole')]));
    assert.ok(client.reads.length > 20, `${client.reads.length} reads`);
  });

  test('corrupt: one bit of the frame that is meant', async () => {
    await start(Noise);
    const [client, far] = await connect();
    gate.arm({ way: 'up', index: 1, kind: 'corrupt', where: 'body', part: 0.5, bit: 0 });
    gate.arm({ way: 'up', index: 2, kind: 'corrupt', where: 'length', part: 0, bit: 7 });
    gate.arm({ way: 'up', index: -1, kind: 'corrupt', where: 'body', part: 0.99, bit: 1 });
    client.write('WA12', frame('aaaa'), frame('bbbb'), frame('cccc'), frame('dddd'));
    await far.get('dddd');
    assert.equal(far.got.toString('latin1'), 'WA10\0\0\x04aaaa\0\0\x04bbcb\x80\0\x04cccc\0\0\x04dddd');
  });

  for (const [kind, how] of [['reset', 'ECONNRESET'], ['close', 'end']]) {
    test(`${kind}: after exactly so many octets of exactly this frame`, async () => {
      await start(Noise);
      const [client, far] = await connect();
      gate.arm({ way: 'down', unit: 'frame', after: 2, kind, octets: 4 });
      far.write(frame('aaaa'), frame('bbbb'), frame('cccc'), frame('dddd'));
      await far.ends(how);
      await eventually(() => client.how, 'the end');  // Node takes a RST right behind octets for a FIN
      assert.equal(client.got.toString('latin1'), '\0\0\x04aaaa\0\0\x04bbbb\0\0\x04c');
    });
  }

  for (const side of ['client', 'server']) {
    test(`half_open: the ${side} is cut off, the other is not told`, async () => {
      await start();
      const [client, far] = await connect();
      await passes(client, far);
      gate.arm({ way: 'up', kind: 'half_open', side });
      client.write('last');
      const [cut, open] = side === 'client' ? [client, far] : [far, client];
      await cut.ends('ECONNRESET');
      open.write('to nobody');
      const [other, otherFar] = await connect();
      await passes(other, otherFar);
      assert.equal(open.how, undefined);
      assert.deepEqual([far.got.toString(), client.got.toString()], ['ping', 'ping-back']);
    });
  }

  test('lose: swallowed up to a unit, then RST', async () => {
    await start(class extends Noise {
      take(way, octets) { return super.take(way, octets).map((u) => ({ ...u, name: u.octets.toString('latin1', 3) })); }
    });
    const [client, far] = await connect();
    gate.arm({ way: 'down', unit: 'b', kind: 'lose', until: 'd' });
    far.write(frame('a'), frame('b'), frame('c'));
    await client.get('a');
    assert.equal(client.how, undefined);
    far.write(frame('d'));
    await client.ends('ECONNRESET');
    assert.equal(client.got.toString('latin1'), '\0\0\x01a');
  });

  test('connect: who comes is turned away, so often', async () => {
    await start();
    gate.arm({ way: 'up', unit: 'connect', kind: 'reset' });
    const [client] = await connect();
    await client.ends('ECONNRESET');
    await passes(...await connect());
  });

  test('silent, refuse, allow', async () => {
    await start();
    const [client, far] = await connect();
    gate.silent = true;
    client.write('lost');
    const [late, lateFar] = await connect();
    late.write('lost too');
    const [came, lateCame] = [...gate.connections].map((c) => c.sockets.client);
    await eventually(() => came.bytesRead === 4 && lateCame.bytesRead === 8, 'both at the gate');
    gate.silent = false;
    await passes(late, lateFar, 'heard');
    assert.ok(!Buffer.concat([far.got, lateFar.got]).includes('lost'));
    await gate.refuse();
    await eventually(() => client.how && far.how, 'cut');
    await once(net.connect(gate.port, '127.0.0.1'), 'error');
    await gate.allow();
    await passes(...await connect());
  });
});

describe('between psql and PostgreSQL', () => {
  let postgres, gate;
  before(async () => {
    postgres = await new Postgres().start();
    postgres.sql('postgres', 'CREATE TABLE t (n int)');
  });
  after(() => postgres?.remove());
  beforeEach(async () => { gate = await Gate.listen(`${postgres.dir}/.s.PGSQL.5432`, PostgresProtocol); });
  afterEach(async () => {
    await gate.stop();
    postgres.sql('postgres', 'TRUNCATE t');
  });

  // These statements by psql, through the gate; true when it was told that all went well.
  const psql = async (...statements) => {
    const uri = `host=127.0.0.1 port=${gate.port} user=gateway dbname=postgres sslmode=disable gssencmode=disable`;
    const child = spawn('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', uri, ...statements.flatMap((s) => ['-c', s])], { stdio: 'ignore' });
    const [code] = await once(child, 'exit');
    return code === 0;
  };
  const insert = (n) => psql('BEGIN', `INSERT INTO t VALUES (${n})`, 'COMMIT');
  const stored = () => postgres.sql('postgres', 'SELECT count(*) FROM t');
  // Ended for the server too: what was under way is settled.
  const settled = () => eventually(() => postgres.sql('postgres', 'SELECT count(*) FROM pg_stat_activity WHERE backend_type=\'client backend\'') === '1', 'no session');

  const kCuts = [
    ['before the commit', { way: 'up', unit: 'commit', kind: 'reset' }, '0'],
    ['in the commit\'s own octets', { way: 'up', unit: 'commit', kind: 'reset', part: 0.7 }, '0'],
    ['behind the commit', { way: 'up', unit: 'commit', kind: 'half_open', side: 'client', part: 1, ms: 50 }, '1'],
    ['after the commit, before its answer', { way: 'down', unit: 'answer', kind: 'lose', until: 'committed' }, '1'],
    ['after the answer\'s first octet', { way: 'down', unit: 'answer', kind: 'reset', octets: 1 }, '1'],
    ['before the answer\'s last octet', { way: 'down', unit: 'committed', kind: 'reset', octets: 5 }, '1'],
    ['a type that does not exist', { way: 'up', unit: 'commit', kind: 'corrupt', where: 'type', part: 0, bit: 7 }, '0'],
    ['a length without measure', { way: 'up', unit: 'commit', kind: 'corrupt', where: 'length', part: 0, bit: 7 }, '0'],
  ];
  for (const [name, strike, rows] of kCuts) {
    test(name, async () => {
      const armed = gate.arm(strike);
      assert.equal(await insert(1), false, 'the client does not know');
      assert.ok(armed.struck);
      await settled();
      assert.equal(stored(), rows);
      assert.equal(await insert(2), true, 'the next one passes');
    });
  }

  test('a session that may only read has no commits', async () => {
    const strike = gate.arm({ way: 'up', unit: 'commit', kind: 'reset' });
    assert.equal(await psql('SET default_transaction_read_only=on', 'BEGIN', 'SELECT 1', 'COMMIT'), true);
    assert.equal(strike.struck, false);
  });
});

test('a plan is its seed\'s alone, and in a row of seeds every kind comes up', () => {
  for (const store of ['SQLite', 'PostgreSQL']) {
    assert.equal(new Plan(7, store).text(), new Plan(7, store).text());
    assert.notEqual(new Plan(7, store).text(), new Plan(8, store).text());
  }
  const kinds = new Set();
  for (let seed = 100; seed < 120; seed++)
    for (const s of [...new Plan(seed, 'PostgreSQL').store, ...new Plan(seed, 'PostgreSQL').whatsapp]) kinds.add(s.kind);
  for (const kind of ['drop', 'delay', 'slice', 'corrupt', 'reset', 'close', 'half_open', 'lose']) assert.ok(kinds.has(kind), kind);
});
