// One stream to one replica: dialled until it stands, greeted, kept alive, dialled again when it is lost.
// What its frames mean for users is the client's business.
import grpc from '@grpc/grpc-js';
import { pause } from './placement.mjs';

// A stream that stood for less did not work: the pauses before the next one go on growing.
const kStableMs = 5000;

export class Replica {
  // owner: {connect, options, onUp(replica), onFrame(replica, frame), onLost(replica, reason)}
  constructor(endpoint, owner) {
    this.endpoint = endpoint;
    this.owner = owner;
    this.users = new Set();      // whose place is here
    this.lingering = new Set();  // names of those who moved away, until Detached of their old attachment
    this.ready = new Set();      // users with something to submit
    this.acks = new Set();       // users with something to acknowledge
    this.removed = false;        // the endpoint is on the list no more
    this.attempt = 0;
    this.state = 'STARTING';     // first try; then UP, DRAINING, DOWN, and CLOSED at the end
    this.open = this.openOctets = 0;  // submits without a result
    this.dial();
  }

  get takesUsers() { return this.state === 'UP' && !this.removed; }
  // Up for long enough to be trusted with users that are well where they are.
  get seasoned() { return this.takesUsers && Date.now() - this.upSince >= this.owner.options.settleMs; }
  get alive() { return this.state === 'UP' || this.state === 'DRAINING'; }

  dial() {
    const { options, connect } = this.owner;
    const { client, stream } = connect(this.endpoint);
    this.client = client;
    this.stream = stream;
    const mine = () => stream === this.stream;
    stream.on('data', (frame) => { if (mine()) this.take(frame); });
    const ended = ({ code, details }) => { if (mine()) this.lost(`${grpc.status[code] ?? 'LOST'}: ${details ?? ''}`); };
    stream.on('error', ended);
    stream.on('status', ended);
    stream.write({ hello: { instanceId: options.instanceId, eventWindow: options.eventWindow } });
    this.timer = setTimeout(() => this.lost('TIMEOUT: no Welcome'), options.connectTimeoutMs);
  }

  take(frame) {
    this.heard = Date.now();
    if (frame.welcome) this.welcomed(frame.welcome);
    else if (!frame.heartbeatEcho) this.owner.onFrame(this, frame);
  }

  welcomed(welcome) {
    clearTimeout(this.timer);
    this.window = { submits: welcome.submitWindow, octets: welcome.submitWindowOctets, frame: welcome.maxFrame };
    this.state = 'UP';
    this.upSince = Date.now();
    this.beat();
    this.owner.onUp(this);
  }

  beat() {
    const { heartbeatMs, heartbeatTimeoutMs } = this.owner.options;
    this.timer = setTimeout(() => {
      const asked = Date.now();
      this.write({ heartbeat: { nonce: 1 } });
      this.timer = setTimeout(() => {
        if (this.heard < asked) this.lost('TIMEOUT: no answer to a heartbeat');
        else this.beat();
      }, heartbeatTimeoutMs);
    }, heartbeatMs);
  }

  write(frame) { this.stream?.write(frame); }

  // The stream is of no use any more.
  lost(reason) {
    const { options } = this.owner;
    this.drop((stream) => stream.cancel());
    if (this.alive && Date.now() - this.upSince >= kStableMs) this.attempt = 0;
    this.state = 'DOWN';
    const wait = pause(this.attempt++, options.backoffMs, options.backoffCapMs);
    if (!this.removed) this.timer = setTimeout(() => this.dial(), wait);
    this.owner.onLost(this, reason);
  }

  // What was written still leaves.
  close() {
    this.drop((stream) => stream.end());
    this.state = 'CLOSED';
  }

  drop(how) {
    clearTimeout(this.timer);
    clearTimeout(this.seasoning);
    const { stream, client } = this;
    this.stream = this.client = this.window = undefined;
    if (stream) how(stream);
    client?.close();
    this.open = this.openOctets = 0;
    this.lingering.clear();
    this.ready.clear();
    this.acks.clear();
  }
}
