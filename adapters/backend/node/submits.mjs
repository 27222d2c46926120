// Submits on their way: what may be sent, in which frames, and what a result means.

const kMessagesAFrame = 256;
const kMessagesAUserAndTurn = 64;
const kFrameOctets = 1 << 20;
const kNoClientMs = 1000;

// A string that is not Unicode would break the frame, and with it the stream of all users.
export function isText(value, least, most) {
  if (typeof value !== 'string') return false;
  const octets = Buffer.byteLength(value);
  return octets >= least && octets <= most && Buffer.from(value).toString() === value;
}

// Of a google.protobuf.Duration.
export const millis = ({ seconds, nanos }) => Number(seconds) * 1000 + nanos / 1e6;

/** [reason, message] of what no gateway would take; nothing else is looked at here. */
export function validate({ requestId, to, content }) {
  if (!isText(requestId, 1, 128)) return ['REQUEST_ID_INVALID', 'requestId: 1 to 128 octets of Unicode'];
  if (!isText(to?.e164 ?? to?.lid, 1, 64)) return ['CONTACT_INVALID', 'to: {e164} or {lid}'];
  if (!isText(content?.text?.body, 1, 65536)) return ['CONTENT_INVALID', 'content.text.body: 1 to 65536 octets of Unicode'];
  return undefined;
}

// Fills the replica's window, in turns, so that nobody's queue holds up the others.
export function submitReady(replica) {
  let messages = [], octets = 0;
  const flush = () => {
    if (messages.length > 0) replica.write({ submit: { messages } });
    [messages, octets] = [[], 0];
  };
  const room = (submit) => replica.open < replica.window.submits &&
    (replica.open === 0 || replica.openOctets + submit.octets <= replica.window.octets);
  for (const user of replica.ready) {  // who is added again comes again at the end
    let count = 0;
    while (user.queue.length > 0 && count < kMessagesAUserAndTurn) {
      const submit = user.queue[0];
      if (!submit.done) {
        if (!room(submit)) return flush();
        const limit = Math.min(kFrameOctets, replica.window.frame);
        if (messages.length === kMessagesAFrame || (messages.length > 0 && octets + submit.octets > limit)) flush();
        submit.sendOn(replica);
        messages.push({ userId: user.name, ...submit.message });
        octets += submit.octets;
        count++;
      }
      user.queue.shift();
    }
    replica.ready.delete(user);
    if (user.queue.length > 0) replica.ready.add(user);
  }
  flush();
}

// Settles what has its final answer. Answers the users of whom something has to be sent again, or who wait for that.
export function takeResults(replica, results, users) {
  const touched = new Set();
  for (const { userId, requestId, accepted, error } of results) {
    const submit = users.get(userId)?.submits.get(requestId);
    if (!submit) continue;
    const { user } = submit;
    if (accepted) {
      submit.settle({ outcome: 'ACCEPTED', messageId: accepted.messageId, state: accepted.state.replace('MESSAGE_STATE_', '') });
    } else if (submit.on === replica) {
      submit.release();
      submit.lastError = error;
      if (isFinal(error)) submit.settle({ outcome: 'REFUSED', reason: error.reason, message: error.message });
      else retry(submit, error);
    }
    if (user.retrying) touched.add(user);
  }
  return touched;
}

// What may be different the next time comes with the time to wait. A user that is attached and has NO_CLIENT is on its
// way elsewhere.
const isFinal = (error) => !error.retryAfter && error.reason !== 'NO_CLIENT';

function retry(submit, error) {
  const { user } = submit;
  const waitMs = error.retryAfter ? millis(error.retryAfter) : kNoClientMs;
  if (error.reason === 'OUTCOME_UNKNOWN') submit.inDoubt = true;
  user.retryAt = Math.max(user.retrying ? user.retryAt : 0, Date.now() + waitMs);
  user.retrying = true;
  submit.user.replica?.ready.delete(user);
}
