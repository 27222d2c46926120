// Waiting for something to become true, with a deadline: no sleeps in tests.

export class Changes {
  #waiters = new Set();

  // Call after anything changed that a predicate may look at.
  happened() {
    for (const waiter of this.#waiters) waiter();
  }

  // Resolves with the first truthy value of predicate(); looks at it after each change.
  waitFor(predicate, deadlineMs, what) {
    return new Promise((resolve, reject) => {
      const look = () => {
        let value;
        try {
          value = predicate();
        } catch (error) {
          return done(() => reject(error));
        }
        if (value) done(() => resolve(value));
      };
      const done = (then) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        then();
      };
      const timer = setTimeout(
        () => done(() => reject(new Error(`${what}: not within ${deadlineMs} ms`))), deadlineMs);
      this.#waiters.add(look);
      look();
    });
  }
}
