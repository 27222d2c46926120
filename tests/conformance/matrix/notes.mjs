// What stands around the matrix in REPORT.md: what runs showed and a table cannot say.

export const kIntroduction = `## Unmodified Baileys and the gateway

Each cell is a test case of [matrix](matrix/rows.mjs): the real gateway, the simulator, and the client as npm installs it (the
lockfiles pin it). "As companion" is device 1 of an account whose device 0 is a client of the same version; installed anew there
means linked anew under the same number. The companion that is linked later is 7.0.0-rc14 in each column. A cell is "passed", or
"refused by rule", with what is told to whom. After all of them the far side's checks (\`/violations\`) and those of the provider
have found nothing; none is excused. Damaged means that one bit of each device's ciphertext flips at the server.`;

export const kNotes = `What the clients do that an implementation has to live with, as seen in runs or read in their source:

- Both write \`{text}\` as extendedTextMessage, and send \`inactive\` for delivered while they are not "available".
- Asked for a message by a device 0, both encrypt it anew for every device, their own other ones included: those that had read it
  get it a second time under its id. The gateway reads and drops it; the simulator does not count it as two contents of one id.
- 7.0.0-rc14 takes the keys in a retry receipt, also without device-identity; where there are none it compares the registration
  id, and drops the session if it differs. 6.7.24 ignores the keys and fetches a bundle.
- A phash in an ack is ignored by both. The list of their own devices is kept for minutes: what an older device sends does not reach
  one that was linked since.
- 7.0.0-rc14 does not show an identity change; it fetches keys again if it has a session. 6.7.24 waits for the next message.
- 6.7.24 sends its first retry receipt of a message 5 s late, after a request to its own phone, and does not ack what it could not read.
- 6.7.24 hands over what it read after login, and the error of an ack, only when the next stanza comes.
- 6.7.24 told twice that its prekeys ran out publishes two sets under the same ids; the later one counts.
- 6.7.24 as device 0 can write to a LID only if its own LID is stored with \`:0\` (else it asks for keys of \`...@lid@lid\`), and loses
  what a server says in the instant after its login: the tests do the first and have the simulator answer 100 ms later.
  It was not tried as a companion: it is known to work as device 0 alone.

What it shows of the gateway: IdentityChanged is told with the next message in either direction, not when WhatsApp announces it.
A text whose ack names a missing device may go to DELIVERED without SENT.`;
