// Where a user belongs: rendezvous hashing, the same as in ../cpp/placement.h.

const encoder = new TextEncoder();

// FNV-1a over "endpoint\nuser", then MurmurHash3's last mixing.
export function score(endpoint, user) {
  let hash = 0x811c9dc5;
  for (const octet of encoder.encode(`${endpoint}\n${user}`)) hash = Math.imul(hash ^ octet, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The replica, of some, that a user belongs to. One that goes moves its own users only, one that comes
 * takes its share from all.
 * @template {{endpoint: string}} R
 * @param {Iterable<R>} replicas
 * @param {string} user
 * @returns {R | undefined}
 */
export function home(replicas, user) {
  let best, most = -1;
  for (const replica of replicas) {
    const value = score(replica.endpoint, user);
    if (value > most || (value === most && replica.endpoint < best.endpoint)) [best, most] = [replica, value];
  }
  return best;
}

// Pauses that grow to a cap, each a random one of the upper half, so that many clients do not come at once.
export function pause(attempt, firstMs, capMs) {
  return Math.min(capMs, firstMs * 2 ** Math.min(attempt, 20)) * (0.5 + Math.random() / 2);
}
