// A program under test as a process of its own. Whoever ends it learns how it ended: one that crashed,
// reported a sanitizer's finding or does not end at all must not pass for one that was stopped.

import { once } from 'node:events';

const kEndMs = 60_000;
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class Program {
  // `report()`: what it said last, for the error text.
  constructor(name, child, report = () => '') {
    Object.assign(this, { name, child, report });
    this.gone = once(child, 'exit');  // [code, signal]
    this.gone.catch(() => {});        // it could not be started: `error` is thrown where it is awaited
    running.add(child);
    child.once('exit', () => running.delete(child));
  }

  // A test that fails before it stops the program is not to wait for it for ever.
  detach() {
    this.child.unref();
    for (const end of [this.child.stdin, this.child.stdout]) end?.unref?.();
  }

  get ended() { return this.child.exitCode !== null || this.child.signalCode !== null; }

  #fail(what) { throw new Error(`${this.name} ${what}: ${this.report()}`); }

  // Resolves with [code, signal]. SIGKILL ends it as a crash would, on purpose; any other signal has to
  // lead to exit code 0.
  end(signal = 'SIGTERM') {
    this.ending ??= this.#end(signal);
    return this.ending;
  }

  async #end(signal) {
    const { child } = this;
    if (this.ended) this.#fail(`ended by itself with ${child.exitCode ?? child.signalCode}`);
    child.ref();
    child.kill(signal);
    let late = false;
    const timer = setTimeout(() => { late = true; child.kill('SIGKILL'); }, kEndMs);
    const [code, by] = await this.gone;
    clearTimeout(timer);
    if (late) this.#fail(`did not end within ${kEndMs} ms of ${signal}`);
    if (signal === 'SIGKILL' ? by !== signal : code !== 0) this.#fail(`ended with ${code ?? by} after ${signal}`);
    return [code, by];
  }
}
