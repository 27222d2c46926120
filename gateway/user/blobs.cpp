#include "user/blobs.h"

#include "interop/rows/v1/rows.pb.h"

namespace gw::user {
namespace {

namespace pb = interop::rows::v1;

tl::unexpected<Error> malformed() {
  return fail(ErrorKind::kCorrupt, "ROW_MALFORMED", "a stored row does not make sense");
}

template <class M>
Bytes bytes_of(const M& m) {
  Bytes out(m.ByteSizeLong());
  m.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

template <class M>
bool parse(ByteView blob, M& m) {
  return m.ParseFromArray(blob.data(), static_cast<int>(blob.size()));
}

// Messages in between that hold private keys leave none behind.
void wipe_string(std::string& secret) {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(secret.data()), secret.size()});
}
void wipe_pair(pb::KeyPair* pair) { wipe_string(*pair->mutable_secret()); }
void wipe_keys(pb::Profile& p) {
  if (p.has_identity()) wipe_pair(p.mutable_identity());
  if (p.has_noise()) wipe_pair(p.mutable_noise());
  if (p.has_signed_prekey()) wipe_pair(p.mutable_signed_prekey()->mutable_keys());
  for (auto& old : *p.mutable_old_signed_prekeys()) wipe_pair(old.mutable_key()->mutable_keys());
}
void wipe_keys(pb::PrekeyBatch& p) {
  for (auto& key : *p.mutable_prekeys()) wipe_pair(key.mutable_keys());
}

template <std::size_t N>
bool copy_to(const std::string& from, std::array<std::uint8_t, N>& to) {
  if (from.size() != N) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

void put_pair(const crypto::KeyPair& from, pb::KeyPair* to) {
  to->set_secret(from.secret.data(), from.secret.size());
  to->set_pub(from.pub.data(), from.pub.size());
}

bool get_pair(const pb::KeyPair& from, crypto::KeyPair& to) {
  return copy_to(from.secret(), to.secret) && copy_to(from.pub(), to.pub);
}

void put_signed(const signal::SignedPreKey& from, pb::Profile::SignedPrekey* to) {
  to->set_id(from.id);
  put_pair(from.keys, to->mutable_keys());
  to->set_signature(from.signature.data(), from.signature.size());
}

bool get_signed(const pb::Profile::SignedPrekey& from, signal::SignedPreKey& to) {
  to.id = from.id();
  return get_pair(from.keys(), to.keys) && copy_to(from.signature(), to.signature);
}

void put_contact(const message::Contact& from, pb::EventPayload::Contact* to) {
  if (from.kind == message::Contact::Kind::kE164) {
    to->set_e164(from.value);
  } else {
    to->set_lid(from.value);
  }
}

message::Contact get_contact(const pb::EventPayload::Contact& from) {
  if (!from.e164().empty()) return {message::Contact::Kind::kE164, from.e164()};
  return {message::Contact::Kind::kLid, from.lid()};
}

struct Writer {
  pb::EventPayload& p;
  void operator()(const message::MessageReceived& e) const {
    auto* m = p.mutable_received();
    m->set_message_id(e.message_id);
    put_contact(e.sender, m->mutable_sender());
    m->set_sender_name(e.sender_name);
    m->set_sent_ms(unix_ms(e.sent_at));
    m->set_text(std::get<message::Text>(e.content).body);
    m->set_earlier(e.earlier);
  }
  void operator()(const message::MessageStatus& e) const {
    auto* m = p.mutable_status();
    m->set_message_id(e.message_id);
    m->set_request_id(e.request_id);
    put_contact(e.contact, m->mutable_contact());
    m->set_state(static_cast<std::uint32_t>(e.state));
    m->set_reason(static_cast<std::uint32_t>(e.reason));
    m->set_at_ms(unix_ms(e.at));
  }
  void operator()(const message::Undecryptable& e) const {
    auto* m = p.mutable_undecryptable();
    m->set_message_id(e.message_id);
    put_contact(e.sender, m->mutable_sender());
    m->set_sent_ms(unix_ms(e.sent_at));
    m->set_why(e.why);
    m->set_earlier(e.earlier);
  }
  void operator()(const message::IdentityChanged& e) const {
    put_contact(e.contact, p.mutable_identity_changed()->mutable_contact());
  }
  void operator()(const message::Unsupported& e) const {
    auto* m = p.mutable_unsupported();
    m->set_message_id(e.message_id);
    put_contact(e.sender, m->mutable_sender());
    m->set_sent_ms(unix_ms(e.sent_at));
    m->set_kind(e.kind);
    m->set_earlier(e.earlier);
  }
  void operator()(const message::DeviceLeftOut& e) const {
    auto* m = p.mutable_device_left_out();
    m->set_message_id(e.message_id);
    put_contact(e.contact, m->mutable_contact());
    m->set_device(e.device);
  }
  void operator()(const message::Pending& e) const {
    auto* m = p.mutable_pending();
    m->set_message_id(e.message_id);
    put_contact(e.sender, m->mutable_sender());
    m->set_sent_ms(unix_ms(e.sent_at));
  }
  void operator()(const message::SentElsewhere& e) const {
    auto* m = p.mutable_sent_elsewhere();
    m->set_message_id(e.message_id);
    put_contact(e.contact, m->mutable_contact());
    m->set_sent_ms(unix_ms(e.sent_at));
    m->set_text(std::get<message::Text>(e.content).body);
    m->set_earlier(e.earlier);
  }
};

}  // namespace

Bytes write_profile(const Profile& from) {
  pb::Profile p;
  p.set_user_id(from.user_id);
  if (from.identity.registration_id == 0) return bytes_of(p);  // withdrawn: its keys are gone
  put_pair(from.identity.keys, p.mutable_identity());
  p.set_registration_id(from.identity.registration_id);
  put_pair(from.noise, p.mutable_noise());
  put_signed(from.signed_prekey, p.mutable_signed_prekey());
  p.mutable_signed_prekey()->set_created_ms(from.signed_prekey_ms);
  for (const auto& old : from.old_signed_prekeys) {
    auto* o = p.add_old_signed_prekeys();
    put_signed(old.key, o->mutable_key());
    o->set_replaced_ms(old.replaced_ms);
  }
  p.set_rotating(from.rotating);
  for (auto order : from.owed) p.add_owed(order);
  p.set_next_prekey_id(from.next_prekey_id);
  p.set_uploaded(from.uploaded);
  p.set_read_receipts(from.read_receipts);
  auto out = bytes_of(p);
  wipe_keys(p);
  return out;
}

Result<Profile> read_profile(ByteView blob) {
  pb::Profile p;
  Profile out;
  if (!parse(blob, p)) return malformed();
  out.user_id = p.user_id();
  out.identity.registration_id = p.registration_id();
  out.next_prekey_id = p.next_prekey_id();
  out.uploaded = p.uploaded();
  out.read_receipts = p.read_receipts();
  if (!p.has_identity()) return out;  // withdrawn: only the name is left
  out.signed_prekey_ms = p.signed_prekey().created_ms();
  out.rotating = p.rotating();
  out.owed.assign(p.owed().begin(), p.owed().end());
  bool ok = get_pair(p.identity(), out.identity.keys) && get_pair(p.noise(), out.noise) &&
            get_signed(p.signed_prekey(), out.signed_prekey);
  for (const auto& old : p.old_signed_prekeys()) {
    auto& to = out.old_signed_prekeys.emplace_back();
    ok = ok && get_signed(old.key(), to.key);
    to.replaced_ms = old.replaced_ms();
  }
  wipe_keys(p);
  if (!ok) return malformed();
  return out;
}

Result<std::string> profile_name(ByteView blob) {
  pb::Profile p;
  bool ok = parse(blob, p);
  wipe_keys(p);
  if (!ok) return malformed();
  return std::move(*p.mutable_user_id());
}

Result<void> check_name(const store::Account& account, const Name& name) {
  GW_ASSIGN(auto stored, profile_name(account.profile));
  if (stored == name.user_id) return {};
  return fail(ErrorKind::kCorrupt, "ROW_DAMAGED", "a user's row is not the one it should be");
}

Bytes write_prekeys(const PrekeyBatch& batch) {
  pb::PrekeyBatch p;
  p.set_uploaded(batch.uploaded);
  for (const auto& key : batch.keys) {
    auto* k = p.add_prekeys();
    k->set_id(key.id);
    put_pair(key.keys, k->mutable_keys());
  }
  auto out = bytes_of(p);
  wipe_keys(p);
  return out;
}

Result<PrekeyBatch> read_prekeys(std::uint32_t first_id, ByteView blob) {
  pb::PrekeyBatch p;
  if (!parse(blob, p)) return malformed();
  PrekeyBatch out{first_id, p.uploaded(), {}};
  out.keys.reserve(static_cast<std::size_t>(p.prekeys_size()));
  bool ok = true;
  for (const auto& k : p.prekeys()) {
    signal::PreKey key;
    key.id = k.id();
    ok = ok && get_pair(k.keys(), key.keys);
    out.keys.push_back(key);
  }
  wipe_keys(p);
  if (!ok) return malformed();
  return out;
}

Bytes write_peer(const Peer& peer) {
  pb::ContactRow p;
  p.set_lid(peer.lid);
  p.set_e164(peer.e164);
  p.set_known(peer.known);
  p.set_opted_in(peer.opted_in);
  p.set_fetched_ms(peer.fetched_ms);
  for (const auto& device : peer.devices) {
    auto* d = p.add_devices();
    d->set_id(device.id);
    d->set_renew(device.renew);
    if (device.identity) d->set_identity(device.identity->data(), device.identity->size());
    for (auto key : device.retry_prekeys) d->add_retry_prekeys(key);
  }
  return bytes_of(p);
}

Result<Peer> read_peer(ByteView blob) {
  pb::ContactRow p;
  if (!parse(blob, p)) return malformed();
  Peer out{p.lid(), p.e164(), p.known(), p.opted_in(), {}, p.fetched_ms()};
  for (const auto& d : p.devices()) {
    Device device;
    device.id = static_cast<std::uint16_t>(d.id());
    device.renew = d.renew();
    if (!d.identity().empty() && !copy_to(d.identity(), device.identity.emplace()))
      return malformed();
    device.retry_prekeys.assign(d.retry_prekeys().begin(), d.retry_prekeys().end());
    out.devices.push_back(device);
  }
  return out;
}

Bytes write_message(const Message& message) {
  pb::MessageContent p;
  p.set_message_id(message.message_id);
  p.set_request_id(message.request_id);
  if (message.to.kind == message::Contact::Kind::kE164) {
    p.set_e164(message.to.value);
  } else {
    p.set_lid(message.to.value);
  }
  p.set_text(message.text);
  return bytes_of(p);
}

Result<void> read_message(ByteView blob, Message& to) {
  pb::MessageContent p;
  if (!parse(blob, p)) return malformed();
  to.message_id = p.message_id();
  to.request_id = p.request_id();
  to.to = p.e164().empty() ? message::Contact{message::Contact::Kind::kLid, p.lid()}
                           : message::Contact{message::Contact::Kind::kE164, p.e164()};
  to.text = std::move(*p.mutable_text());
  return {};
}

Bytes write_undecrypted(const Undecrypted& u) {
  pb::Undecrypted p;
  p.set_message_id(u.message_id);
  if (u.sender.kind == message::Contact::Kind::kE164) {
    p.set_e164(u.sender.value);
  } else {
    p.set_lid(u.sender.value);
  }
  p.set_sent_ms(unix_ms(u.sent_at));
  p.set_seq(u.seq);
  p.set_asked(static_cast<std::uint32_t>(u.asked));
  p.set_prekey_id(u.prekey_id);
  return bytes_of(p);
}

Result<Undecrypted> read_undecrypted(const store::Undecrypted& row) {
  pb::Undecrypted p;
  if (!parse(row.blob, p)) return malformed();
  Undecrypted u;
  u.tag = row.message;
  u.since = row.since;
  u.message_id = p.message_id();
  u.sender = p.e164().empty() ? message::Contact{message::Contact::Kind::kLid, p.lid()}
                              : message::Contact{message::Contact::Kind::kE164, p.e164()};
  u.sent_at = from_unix_ms(p.sent_ms());
  u.seq = p.seq();
  u.asked = static_cast<int>(p.asked());
  u.prekey_id = p.prekey_id();
  return u;
}

Bytes write_event(const message::Event& event) {
  pb::EventPayload p;
  std::visit(Writer{p}, event.body);
  return bytes_of(p);
}

Result<message::Event> read_event(const store::EventRow& row) {
  pb::EventPayload p;
  if (!parse(row.payload, p)) return malformed();
  message::Event out;
  out.seq = row.seq;
  out.at = row.at;
  switch (p.body_case()) {
    case pb::EventPayload::kReceived: {
      const auto& m = p.received();
      out.body = message::MessageReceived{m.message_id(),
                                          get_contact(m.sender()),
                                          m.sender_name(),
                                          from_unix_ms(m.sent_ms()),
                                          message::Content(message::Text{m.text()}),
                                          m.earlier()};
      return out;
    }
    case pb::EventPayload::kStatus: {
      const auto& m = p.status();
      out.body = message::MessageStatus{m.message_id(),
                                        m.request_id(),
                                        get_contact(m.contact()),
                                        static_cast<message::State>(m.state()),
                                        static_cast<message::Reason>(m.reason()),
                                        from_unix_ms(m.at_ms())};
      return out;
    }
    case pb::EventPayload::kUndecryptable: {
      const auto& m = p.undecryptable();
      out.body = message::Undecryptable{m.message_id(), get_contact(m.sender()),
                                        from_unix_ms(m.sent_ms()), m.why(), m.earlier()};
      return out;
    }
    case pb::EventPayload::kIdentityChanged:
      out.body = message::IdentityChanged{get_contact(p.identity_changed().contact())};
      return out;
    case pb::EventPayload::kUnsupported: {
      const auto& m = p.unsupported();
      out.body = message::Unsupported{m.message_id(), get_contact(m.sender()),
                                      from_unix_ms(m.sent_ms()), m.kind(), m.earlier()};
      return out;
    }
    case pb::EventPayload::kDeviceLeftOut: {
      const auto& m = p.device_left_out();
      out.body = message::DeviceLeftOut{m.message_id(), get_contact(m.contact()),
                                        static_cast<std::uint16_t>(m.device())};
      return out;
    }
    case pb::EventPayload::kPending: {
      const auto& m = p.pending();
      out.body =
          message::Pending{m.message_id(), get_contact(m.sender()), from_unix_ms(m.sent_ms())};
      return out;
    }
    case pb::EventPayload::kSentElsewhere: {
      const auto& m = p.sent_elsewhere();
      out.body = message::SentElsewhere{m.message_id(), get_contact(m.contact()),
                                        from_unix_ms(m.sent_ms()),
                                        message::Content(message::Text{m.text()}), m.earlier()};
      return out;
    }
    case pb::EventPayload::BODY_NOT_SET:
      // Of a newer gateway beside this one: it must not hold up all that comes behind it.
      if (row.payload.empty()) break;
      out.body = message::Unsupported{{}, {}, row.at, "eventOfNewerGateway"};
      return out;
  }
  return malformed();
}

}  // namespace gw::user
