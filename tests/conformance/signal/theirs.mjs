// A party on Signal's official library, with stores in memory. From 0.75 on the library's session
// functions take the local address after the remote one, and there is no X3DH without Kyber.

const key = (address) => `${address.name()}.${address.deviceId()}`;
const typed = (bare) => Buffer.concat([Buffer.from([5]), bare]);
const bare = (publicKey) => Buffer.from(publicKey.serialize()).subarray(1);

function stores(lib, secret, registrationId) {
  const rows = { sessions: new Map(), identities: new Map(), prekeys: new Map(), signed: new Map() };
  const absent = (what) => { throw new Error(`no such ${what}`); };
  class Sessions extends lib.SessionStore {
    async saveSession(name, record) { rows.sessions.set(key(name), record.serialize()); }
    async getSession(name) {
      const found = rows.sessions.get(key(name));
      return found ? lib.SessionRecord.deserialize(found) : null;
    }
    async getExistingSessions(names) { return Promise.all(names.map((n) => this.getSession(n))); }
  }
  class Identities extends lib.IdentityKeyStore {
    async getIdentityKey() { return secret; }
    async getLocalRegistrationId() { return registrationId; }
    async saveIdentity(name, publicKey) {
      const before = rows.identities.get(key(name));
      rows.identities.set(key(name), publicKey);
      return before && bare(before).compare(bare(publicKey)) !== 0
        ? lib.IdentityChange.ReplacedExisting
        : lib.IdentityChange.NewOrUnchanged;
    }
    async isTrustedIdentity() { return true; }
    async getIdentity(name) { return rows.identities.get(key(name)) ?? null; }
  }
  class PreKeys extends lib.PreKeyStore {
    async savePreKey(id, record) { rows.prekeys.set(id, record); }
    async getPreKey(id) { return rows.prekeys.get(id) ?? absent('prekey'); }
    async removePreKey(id) { rows.prekeys.delete(id); }
  }
  class SignedPreKeys extends lib.SignedPreKeyStore {
    async saveSignedPreKey(id, record) { rows.signed.set(id, record); }
    async getSignedPreKey(id) { return rows.signed.get(id) ?? absent('signed prekey'); }
  }
  class KyberPreKeys extends lib.KyberPreKeyStore {
    async saveKyberPreKey() { absent('Kyber'); }
    async getKyberPreKey() { absent('Kyber'); }
    async markKyberPreKeyUsed() { absent('Kyber'); }
  }
  return {
    rows,
    session: new Sessions(),
    identity: new Identities(),
    prekey: new PreKeys(),
    signed: new SignedPreKeys(),
    kyber: new KyberPreKeys(),
  };
}

export class TheirParty {
  constructor(lib, name, { secret, registrationId = 4711, localAddress = false } = {}) {
    this.lib = lib;
    this.name = name;
    this.registrationId = registrationId;
    this.secret = secret ? lib.PrivateKey.deserialize(secret) : lib.PrivateKey.generate();
    this.stores = stores(lib, this.secret, registrationId);
    this.local = localAddress ? [lib.ProtocolAddress.new(name, 1)] : [];
  }

  at(remote) { return this.lib.ProtocolAddress.new(remote, 1); }
  publicKey(octets) { return this.lib.PublicKey.deserialize(typed(octets)); }
  identity() { return bare(this.secret.getPublicKey()); }

  importSession(remote, record) {
    return this.stores.session.saveSession(
      this.at(remote), this.lib.SessionRecord.deserialize(record));
  }

  async bundle(oneTime) {
    const { lib } = this;
    const signed = lib.PrivateKey.generate();
    const signature = Buffer.from(this.secret.sign(signed.getPublicKey().serialize()));
    await this.stores.signed.saveSignedPreKey(31, lib.SignedPreKeyRecord.new(
      31, Date.now(), signed.getPublicKey(), signed, signature));
    const out = {
      registrationId: this.registrationId,
      identity: this.identity(),
      signedPreKeyId: 31,
      signedPreKey: bare(signed.getPublicKey()),
      signature,
    };
    if (oneTime) {
      const prekey = lib.PrivateKey.generate();
      await this.stores.prekey.savePreKey(
        17, lib.PreKeyRecord.new(17, prekey.getPublicKey(), prekey));
      out.oneTimeId = 17;
      out.oneTime = bare(prekey.getPublicKey());
    }
    return out;
  }

  start(remote, bundle) {
    const { lib } = this;
    return lib.processPreKeyBundle(
      lib.PreKeyBundle.new(
        bundle.registrationId, 1, bundle.oneTimeId ?? null,
        bundle.oneTime ? this.publicKey(bundle.oneTime) : null, bundle.signedPreKeyId,
        this.publicKey(bundle.signedPreKey), bundle.signature, this.publicKey(bundle.identity)),
      this.at(remote), ...this.local, this.stores.session, this.stores.identity);
  }

  async encrypt(remote, plaintext) {
    const { lib } = this;
    const sealed = await lib.signalEncrypt(
      plaintext, this.at(remote), ...this.local, this.stores.session, this.stores.identity);
    const types = { [lib.CiphertextMessageType.Whisper]: 'msg', [lib.CiphertextMessageType.PreKey]: 'pkmsg' };
    return { type: types[sealed.type()], ciphertext: Buffer.from(sealed.serialize()) };
  }

  async decrypt(remote, { type, ciphertext }) {
    const { lib, stores: s } = this;
    const opened = type === 'pkmsg'
      ? await lib.signalDecryptPreKey(
        lib.PreKeySignalMessage.deserialize(ciphertext), this.at(remote), ...this.local,
        s.session, s.identity, s.prekey, s.signed, s.kyber)
      : await lib.signalDecrypt(
        lib.SignalMessage.deserialize(ciphertext), this.at(remote), ...this.local,
        s.session, s.identity);
    return Buffer.from(opened);
  }

  refusesAsDuplicate(remote, message) {
    return this.decrypt(remote, message).then(
      () => false,
      (error) => error.code === this.lib.ErrorCode.DuplicatedMessage,
    );
  }

  // Signal's own parameters: 5200 rounds; the version says how the scannable form is written.
  safetyNumber(ourName, identity, theirName) {
    return this.lib.Fingerprint.new(
      5200, 2, Buffer.from(ourName), this.secret.getPublicKey(), Buffer.from(theirName),
      this.publicKey(identity)).displayableFingerprint().toString();
  }
}
