#include <algorithm>

#include "user/concerns.h"
#include "whatsapp/content.h"

namespace gw::user {
namespace {

// Who sent it, as conversations are keyed: by LID wherever WhatsApp tells one.
struct Sender {
  message::Contact contact;
  std::string lid;   // empty: not told
  std::string e164;  // empty: not told
  std::uint16_t device = 0;
  std::string device_name;  // of the device, for deduplication
};

bool is_digits(const std::string& s) {
  return !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
}

std::optional<message::Contact> contact_at(const stanza::Jid& jid) {
  if (jid.server == stanza::Server::kLid && !jid.user.empty())
    return message::Contact{message::Contact::Kind::kLid, jid.user};
  if (jid.server == stanza::Server::kPhone && is_digits(jid.user))
    return message::Contact{message::Contact::Kind::kE164, "+" + jid.user};
  return std::nullopt;
}

Sender sender_of(const whatsapp::Inbound& m) {
  const auto& jid = m.sender();
  Sender s;
  s.device = jid.device;
  s.device_name = jid.to_string();
  using stanza::Server;
  if (jid.server == Server::kLid || jid.server == Server::kHostedLid) s.lid = jid.user;
  if ((jid.server == Server::kPhone || jid.server == Server::kHosted) && is_digits(jid.user))
    s.e164 = "+" + jid.user;
  if (m.lid && m.lid->server == stanza::Server::kLid) s.lid = m.lid->user;
  if (m.phone && m.phone->server == stanza::Server::kPhone && is_digits(m.phone->user))
    s.e164 = "+" + m.phone->user;
  s.contact = s.lid.empty() ? message::Contact{message::Contact::Kind::kE164, s.e164}
                            : message::Contact{message::Contact::Kind::kLid, s.lid};
  return s;
}

// Remembers what the stanza told of the sender, so that events and answers can name it.
void note_sender(Draft& d, const Tag& tag, const Sender& s) {
  const Peer& known = d.conversation(tag).peer;
  bool new_lid = !s.lid.empty() && known.lid != s.lid;
  if (!new_lid && (s.e164.empty() || known.e164 == s.e164)) return;
  Peer& peer = d.edit_conversation(tag).peer;
  if (new_lid) peer.lid = s.lid;
  if (!s.e164.empty()) peer.e164 = s.e164;
  d.contact_changed(tag);
}

message::Contact event_name(const Draft& d, const Tag& tag, const Sender& s) {
  const Peer& peer = d.conversation(tag).peer;
  if (!peer.e164.empty() || !peer.lid.empty()) return name_of(peer);
  return s.e164.empty() ? s.contact : message::Contact{message::Contact::Kind::kE164, s.e164};
}

const whatsapp::Inbound::Enc* pairwise(const whatsapp::Inbound& m) {
  for (const auto& enc : m.encs)
    if (enc.type == "msg" || enc.type == "pkmsg") return &enc;
  return nullptr;
}

// The hash that says of a received id that it could not be read. What cannot be read is acked and
// never receipted as delivered: the sender must not believe that anybody read it.
constexpr Tag kUnreadable{};

class Arrival {
 public:
  Arrival(Draft& d, const whatsapp::Inbound& m, const Existing& existing)
      : d_(d), m_(m), sender_(known_sender(d, m)) {
    tag_ = d.env().names.contact(d.user(), sender_.contact);
    id_ = d.env().names.received(d.user(), sender_.device_name, m.id);
    if (const auto* row = d.received(id_)) {
      before_ = *row;
    } else if (auto it = existing.received.find(id_); it != existing.received.end()) {
      before_ = it->second;
      before_->known = true;
    }
    if (const auto* asked = d.undecrypted(id_)) {
      asked_ = *asked;
      if (!before_) before_ = store::Received{id_, kUnreadable, asked->seq, asked->since, true};
    }
  }

  void take() {
    const auto* enc = pairwise(m_);
    if (enc == nullptr) return unsupported(m_.encs.empty() ? "none" : m_.encs.front().type);
    if (enc->version != 2) return unreadable("ENC_VERSION");
    cipher_hash_ = d_.env().names.ciphertext(d_.user(), enc->ciphertext);
    auto type =
        enc->type == "pkmsg" ? signal::CipherType::kPreKeyMessage : signal::CipherType::kMessage;
    auto opened =
        d_.env().engine.decrypt(PeerReader(d_, d_.conversation(tag_)),
                                {sender_.contact.value, sender_.device}, type, enc->ciphertext);
    if (!opened) {
      if (opened.error().reason == "SIGNAL_DUPLICATE") return again();
      return unreadable(opened.error().reason);
    }
    ++d_.counts.decrypted;
    note_sender(d_, tag_, sender_);
    // A late first message of the old session renews nothing.
    const bool fresh = opened->writes.identity_changed;
    take_writes(d_, tag_, sender_.device, std::move(opened->writes));
    if (fresh) renewed(d_, tag_, sender_.device);
    read(opened->plaintext);
    crypto::wipe(opened->plaintext);
  }

 private:
  // A server that does not tell the LID beside a phone address may have told it before.
  static Sender known_sender(const Draft& d, const whatsapp::Inbound& m) {
    Sender s = sender_of(m);
    if (!s.lid.empty()) return s;
    const auto& alias = d.conversation(d.env().names.contact(d.user(), s.contact)).peer;
    if (alias.lid.empty()) return s;
    s.lid = alias.lid;
    s.contact = {message::Contact::Kind::kLid, s.lid};
    return s;
  }

  // The ratchet has moved; whatever the content is, that is kept.
  void read(Bytes& plain) {
    if (seen()) {
      ++d_.counts.dropped_again;
      return receipt();
    }
    if (!signal::unpad(plain)) return tell_unreadable("PADDING");
    // A contact that puts its message into that envelope writes in nobody's name.
    std::optional<whatsapp::DeviceSent> own;
    if (is_own()) own = whatsapp::read_device_sent(plain);
    auto content = whatsapp::decode_content(own ? own->message : plain);
    if (!content) return tell_unreadable(content.error().reason);
    if (m_.participant) return tell_unsupported("groupMessage");
    if (auto* kind = std::get_if<whatsapp::UnsupportedKind>(&*content))
      return tell_unsupported(kind->name);
    if (auto* known = std::get_if<message::Content>(&*content)) tell(std::move(*known), own);
    if (std::holds_alternative<whatsapp::NoContent>(*content) && asked_)
      return tell_unsupported("noContent");  // somebody waits to hear what became of it
    remember(cipher_hash_);
    receipt();
  }

  void tell(message::Content content, const std::optional<whatsapp::DeviceSent>& own) {
    if (!own) {
      d_.add_event(message::MessageReceived{m_.id, event_name(d_, tag_, sender_), m_.push_name,
                                            sent_at(), std::move(content), earlier()});
      return;
    }
    auto chat = stanza::Jid::parse(own->destination);
    auto contact = contact_at(chat ? *chat : *m_.recipient);
    if (!contact) return tell_unsupported("deviceSentMessage");
    d_.add_event(message::SentElsewhere{m_.id, *std::move(contact), sent_at(), std::move(content),
                                        earlier()});
  }

  // It became an event before, as readable content.
  bool seen() const { return before_ && before_->cipher_hash != kUnreadable; }

  // The ratchet knows this message key. What the id became then decides what WhatsApp is told; if
  // there is a row, writing it says so, and the step is taken again knowing it.
  void again() {
    ++d_.counts.duplicates;
    if (before_ && !seen()) return send(d_, whatsapp::message_ack(m_));
    if (!before_) d_.put_received({id_, cipher_hash_, 0, d_.env().wall});
    receipt();
  }

  // What the sender can mend is asked for again, in order before what comes after it.
  void unreadable(std::string_view why) {
    if (seen()) return receipt();
    if (before_ && !asked_) return send(d_, whatsapp::message_ack(m_));  // given up
    if (!asked_ && (!why.starts_with("SIGNAL_") || !may_ask())) return tell_unreadable(why);
    if (!asked_) {
      asked_ = Undecrypted{
          id_, d_.env().wall, d_.next_event(), m_.id, event_name(d_, tag_, sender_), sent_at()};
      d_.add_event(message::Pending{m_.id, asked_->sender, sent_at()});
      remember(kUnreadable);
      ++d_.counts.pending;
    }
    if (!ask_again(d_, m_, *asked_, why)) give_up(d_, *asked_, why);
    send(d_, whatsapp::message_ack(m_));
  }

  // WhatsApp's server says `recipient` of what the user's own devices send, and of nothing else.
  bool is_own() const {
    const auto& own = d_.now().own_lid;
    return m_.recipient && !own.empty() && sender_.lid == own;
  }

  bool may_ask() const {
    const auto all = d_.all_undecrypted();
    const auto sender = event_name(d_, tag_, sender_);
    const auto same = std::count_if(all.begin(), all.end(),
                                    [&](const auto& one) { return one.sender == sender; });
    const auto& limits = d_.env().limits;
    return all.size() < limits.undecrypted &&
           static_cast<std::size_t>(same) < limits.undecrypted_of_one;
  }

  void tell_unreadable(std::string_view why) {
    if (asked_) {
      give_up(d_, *asked_, why);
    } else if (!before_) {
      ++d_.counts.undecryptable;
      d_.add_event(message::Undecryptable{m_.id, event_name(d_, tag_, sender_), sent_at(),
                                          std::string(why)});
      remember(kUnreadable);
    }
    send(d_, whatsapp::message_ack(m_));
  }

  void unsupported(std::string_view kind) {
    if (seen()) return receipt();
    tell_unsupported(kind);
  }

  void tell_unsupported(std::string_view kind) {
    d_.add_event(message::Unsupported{m_.id, event_name(d_, tag_, sender_), sent_at(),
                                      std::string(kind), earlier()});
    remember(cipher_hash_ == kUnreadable ? Tag{1} : cipher_hash_);
    receipt();
  }

  // The event that this message became before without being read.
  EventSeq earlier() const { return before_ && !seen() ? before_->seq : 0; }

  void remember(const Tag& cipher_hash) {
    d_.put_received(
        {id_, cipher_hash, d_.next_event() - 1, d_.env().wall, before_ && before_->known});
    if (asked_ && cipher_hash != kUnreadable) arrived(d_, *asked_);
  }

  void receipt() { send(d_, whatsapp::delivered_receipt(m_)); }
  WallTime sent_at() const { return m_.sent_at == WallTime{} ? d_.env().wall : m_.sent_at; }

  Draft& d_;
  const whatsapp::Inbound& m_;
  const Sender sender_;
  Tag tag_{}, id_{};
  Tag cipher_hash_{};
  std::optional<store::Received> before_;
  std::optional<Undecrypted> asked_;  // it was asked for again before
};

}  // namespace

void on_inbound(Draft& d, const InboundInput& in, const Existing& existing) {
  Arrival(d, in.message, existing).take();
}

std::optional<message::Contact> sender_contact(const whatsapp::Inbound& m) {
  auto s = sender_of(m);
  if (s.contact.value.empty()) return std::nullopt;
  return s.contact;
}

}  // namespace gw::user
