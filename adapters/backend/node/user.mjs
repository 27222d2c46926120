// One attached user: the events that wait for the application, and the submits that wait for an answer.
import { pause } from './placement.mjs';

export class User {
  constructor(name) {
    this.name = name;
    this.state = 'WAITING';  // for a replica; ATTACHING and ATTACHED at `replica`; ENDED
    this.attempt = 0;        // counts attaches, so that a late answer is known as such
    this.failures = 0;
    this.finished = 0;       // the application has stored events up to here
    this.received = 0;       // and these are here
    this.events = [];
    this.handling = false;
    this.submits = new Map();  // request id -> Submit without an answer, in order
    this.queue = [];           // of these, what is to be sent, in order
    this.inFlight = 0;
    this.retrying = false;     // nothing new is sent until what is to be sent again was
  }

  // From where events are wanted.
  startAt(seq) { this.finished = this.received = seq; }

  // Hands events over, one at a time, until there are none.
  async handle({ onEvent, onProblem, options, acknowledge, left }) {
    if (this.handling) return;
    this.handling = true;
    for (let failures = 0; this.events.length > 0;) {
      try {
        await onEvent(this.name, this.events[0]);
      } catch (error) {
        onProblem(this.name, error);
        if (this.state !== 'ENDED') await new Promise((again) => setTimeout(again, pause(failures++, options.backoffMs, options.backoffCapMs)));
        if (this.state !== 'ENDED') continue;
        this.received = this.finished;  // attached again it comes again
        this.events.length = 0;
        break;
      }
      failures = 0;
      this.finished = Math.max(this.finished, this.events.shift().seq);
      acknowledge(this);
    }
    this.handling = false;
    if (this.state === 'ENDED') left(this);
  }

  // Keeps only what the application has in its hands.
  dropEvents() {
    this.events.length = this.handling ? Math.min(1, this.events.length) : 0;
    this.received = this.events.length ? this.events[0].seq : this.finished;
  }

  // Everything without an answer is to be sent, in order: the attachment is a new one.
  requeue() {
    clearTimeout(this.retryTimer);
    this.retrying = false;
    for (const submit of this.submits.values()) submit.takeBack();
    this.queue = [...this.submits.values()];
  }
}

// One message until its answer is known.
export class Submit {
  constructor(user, message, octets, resolve) {
    Object.assign(this, { user, message, octets, resolve });
    this.on = undefined;    // the replica that owes a result, on the stream that has this window
    this.window = undefined;
    this.done = false;
    this.inDoubt = false;   // it may be stored
    this.lastError = undefined;
  }

  sendOn(replica) {
    this.on = replica;
    this.window = replica.window;
    replica.open++;
    replica.openOctets += this.octets;
    this.user.inFlight++;
  }
  // No result is waited for from there any more; true: one was.
  release() {
    if (!this.on) return false;
    if (this.on.window === this.window) {
      this.on.open--;
      this.on.openOctets -= this.octets;
    }
    this.user.inFlight--;
    this.on = undefined;
    return true;
  }
  takeBack() { if (this.release()) this.inDoubt = true; }

  settle(outcome) {
    this.release();
    this.done = true;
    clearTimeout(this.timer);
    this.user.submits.delete(this.message.requestId);
    this.resolve(outcome);
  }
  // Nobody will answer any more.
  giveUp(reason, message) {
    this.takeBack();
    const outcome = this.inDoubt ? 'UNKNOWN' : 'REFUSED';
    this.settle({ outcome, reason, message, lastError: this.lastError });
  }
}
