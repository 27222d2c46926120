// An unmodified Baileys, logged in to the simulator as a WhatsApp user, with what a test wants to
// look at. Keys and credentials stay in memory and survive close() and open().

import * as current from 'baileys';

import { Changes } from './waiting.mjs';

const kDeadlineMs = 20_000;

// The Signal library under Baileys prints whole sessions, keys included: not in a test's output.
if (!process.env.BAILEYS_LOG) {
  for (const level of ['info', 'warn', 'error']) {
    const print = console[level].bind(console);
    const noise = /^(Clos|Session|Failed to decrypt|Decrypted message|Removing old|Migrating)/;
    console[level] = (...args) => noise.test(String(args[0])) || print(...args);
  }
}

// Baileys arms timers that it never clears: at each prekey upload, each query that its end cuts off, each
// request for a message anew. A test process that is done must not wait for them.
const kTimersOfBaileys = [15_000, 30_000, 60_000];
const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (work, ms, ...rest) => {
  const timer = setTimer(work, ms, ...rest);
  return kTimersOfBaileys.includes(ms) ? timer.unref() : timer;
};

// Baileys trusts one root a process. (6.7.24 looks at the issuer's serial alone.)
export function trustRoot(hex) {
  current.WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(hex, 'hex');
}

function makeLogger() {
  const wanted = process.env.BAILEYS_LOG;  // "1": warnings and errors; "all": everything
  const print = (level) => (...args) => console.error(`[baileys ${level}]`, ...args);
  const quiet = () => {};
  const loud = wanted === 'all';
  const logger = {
    level: loud ? 'trace' : 'warn',
    trace: loud ? print('trace') : quiet,
    debug: loud ? print('debug') : quiet,
    info: loud ? print('info') : quiet,
    warn: wanted ? print('warn') : quiet,
    error: wanted ? print('error') : quiet,
  };
  logger.child = () => logger;
  return logger;
}

function makeKeyStore() {
  const kinds = new Map();
  const kind = (name) => {
    if (!kinds.has(name)) kinds.set(name, new Map());
    return kinds.get(name);
  };
  return {
    async get(name, ids) {
      return Object.fromEntries(
        ids.filter((id) => kind(name).has(id)).map((id) => [id, kind(name).get(id)]));
    },
    async set(data) {
      for (const [name, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values)) {
          if (value === null || value === undefined) kind(name).delete(id);
          else kind(name).set(id, value);
        }
      }
    },
    async clear() {
      kinds.clear();
    },
  };
}

function ownLid({ lid, device, lidSuffix }) {
  return `${lid}${device ? `:${device}` : lidSuffix ?? ''}@lid`;
}

// There is no pairing at the simulator: the account exists, the first Noise key is believed.
function makeCreds({ number, name, device, library, ...who }) {
  const suffix = device ? `:${device}` : '';
  return {
    ...library.initAuthCreds(),
    me: { id: `${number}${suffix}@s.whatsapp.net`, lid: ownLid({ device, ...who }), name },
    registered: true,
    accountSyncCounter: 1,
    account: {
      details: Buffer.alloc(1),
      accountSignatureKey: Buffer.alloc(32),
      accountSignature: Buffer.alloc(64),
      deviceSignature: Buffer.alloc(64),
    },
  };
}

export class BaileysClient {
  // {wsPort, number, lid, name?, device?, library?: another version's module,
  // lidSuffix?: how a device 0 writes its own LID to itself, beforeLogin?}
  constructor(who) {
    this.who = { name: who.number, library: current, ...who };
    this.creds = makeCreds(this.who);
    this.keys = makeKeyStore();
    this.sent = new Map();  // id -> content, for retries
    this.messages = [];     // {id, from, text, at, raw}, in the order of arrival, once an id
    this.repeats = [];      // the same, for what Baileys handed over again
    this.ownTexts = [];     // what it holds for written by its own user: here or on another device
    this.arrived = new Map();  // id -> when its stanza first came, as a count
    this.updates = [];      // {id, status}: 2 server ack, 3 delivered, 4 read, 0 error
    this.retries = [];      // {id, from, parts}: who wants a message anew, and what came along by name
    this.connection = 'close';
    this.lastDisconnect = undefined;
    this.caughtUp = false;  // the offline phase is over
    this.changes = new Changes();
  }

  static async login(who) {
    const client = new BaileysClient(who);
    await client.open();
    return client;
  }

  // Connects and waits until what was queued has arrived.
  async open(deadlineMs = kDeadlineMs) {
    this.caughtUp = false;
    this.connection = 'connecting';
    this.lastDisconnect = undefined;
    await this.who.beforeLogin?.();
    this.sock = this.who.library.default({
      auth: { creds: this.creds, keys: this.keys },
      waWebSocketUrl: `ws://127.0.0.1:${this.who.wsPort}/ws/chat`,
      logger: makeLogger(),
      shouldSyncHistoryMessage: () => false,
      syncFullHistory: false,
      getMessage: async (key) => this.sent.get(key.id),
    });
    this.#listen(this.sock);
    await this.waitFor(() => {
      if (this.connection === 'close' && this.lastDisconnect) throw this.lastDisconnect;
      return this.connection === 'open' && this.caughtUp;
    }, deadlineMs, `login of ${this.who.number}`);
  }

  #listen(sock) {
    const mine = () => this.sock === sock;
    sock.ws.on('CB:message', ({ attrs }) => {
      if (!this.arrived.has(attrs.id)) this.arrived.set(attrs.id, this.arrived.size);
    });
    sock.ws.on('CB:receipt,type:retry', ({ attrs, content }) => {
      this.retries.push({ id: attrs.id, from: attrs.from, parts: content.map((part) => part.tag) });
    });
    sock.ev.on('creds.update', (update) => {
      Object.assign(this.creds, update);
      if (this.who.lidSuffix) this.creds.me.lid = ownLid(this.who);
    });
    sock.ev.on('connection.update', (update) => {
      if (!mine()) return;
      if (update.connection) this.connection = update.connection;
      if (update.lastDisconnect) this.lastDisconnect = update.lastDisconnect.error;
      if (update.receivedPendingNotifications) this.caughtUp = true;
      this.changes.happened();
    });
    sock.ev.on('messages.upsert', ({ messages }) => {
      for (const raw of messages) this.#take(raw);
      this.changes.happened();
    });
    sock.ev.on('messages.update', (updates) => {
      for (const { key, update } of updates) {
        if (update.status !== undefined && update.status !== null) {
          this.updates.push({ id: key.id, status: update.status, jid: key.remoteJid });
        }
        // A message that came by a retry is an update of its placeholder.
        if (update.message) this.#take({ key, ...update });
      }
      this.changes.happened();
    });
  }

  #take(raw) {
    const text = raw.message?.conversation ?? raw.message?.extendedTextMessage?.text;
    if (raw.key.fromMe) {
      if (text !== undefined) this.ownTexts.push(text);
      // Baileys folds a receipt that comes while it buffers into the sent message itself.
      if (Object.hasOwn(raw, 'status')) {
        this.updates.push({ id: raw.key.id, status: raw.status, jid: raw.key.remoteJid });
      }
      return;
    }
    if (!raw.message) return;
    const message = { id: raw.key.id, from: raw.key.remoteJid, text, at: Date.now(), raw };
    // Baileys leaves it to the application to know a message by its id.
    const known = this.messages.some((m) => m.id === message.id && m.from === message.from);
    (known ? this.repeats : this.messages).push(message);
  }

  // Returns the message's id.
  async send(toJid, text) {
    const sent = await this.sock.sendMessage(toJid, { text });
    this.sent.set(sent.key.id, sent.message);
    return sent.key.id;
  }

  // A read receipt, as when the user opens the chat.
  async read(message) {
    await this.sock.readMessages([message.raw.key]);
  }

  // In the order of the wire: while Baileys starts a session, its event buffer hands messages over
  // in another order than it got them.
  texts() {
    const place = (m) => this.arrived.get(m.id);
    return [...this.messages].sort((a, b) => place(a) - place(b)).map((m) => m.text);
  }
  // The highest status that was told for a message.
  status(id) {
    return Math.max(-1, ...this.updates.filter((u) => u.id === id).map((u) => u.status));
  }

  waitFor(predicate, deadlineMs = kDeadlineMs, what = 'a condition') {
    return this.changes.waitFor(predicate, deadlineMs, what);
  }
  waitForText(text, deadlineMs = kDeadlineMs) {
    return this.waitFor(() => this.messages.find((m) => m.text === text), deadlineMs,
                        `text at ${this.who.number}`);
  }
  waitForStatus(id, status, deadlineMs = kDeadlineMs) {
    return this.waitFor(() => this.status(id) >= status, deadlineMs, `status ${status}`);
  }

  // Goes offline; open() logs in again with the same keys.
  async close() {
    const sock = this.sock;
    if (!sock) return;
    await sock.end(undefined);
    await this.waitFor(() => this.connection === 'close', kDeadlineMs, 'close');
    this.sock = undefined;
  }
}

export const Status = { ERROR: 0, SERVER_ACK: 2, DELIVERED: 3, READ: 4 };
