#pragma once

// The concerns of a step, one file each. They talk to each other through this header only.

#include "user/step.h"

namespace gw::user {

// outbound.cpp
void on_submit(Draft& d, const SubmitInput& in, const Existing& existing);
void on_ack(Draft& d, const AckInput& in);
void on_withdraw(Draft& d);
void resend_ready(Draft& d);               // the identical bytes, in order
void advance(Draft& d, const Tag& named);  // what waits for this contact, as far as it goes
void advance_all(Draft& d);
void expire(Draft& d);
void advance_held(Draft& d);  // what waited for room, when there is room again
// The text as every device gets it; nullopt: without a usable ratchet.
std::optional<whatsapp::Recipient> encrypt_for(Draft& d, const Message& m, const Tag& peer,
                                               std::uint16_t device);
void reject_waiting(Draft& d, message::Reason reason);
// What a repeated request is compared by.
Tag body_mac(const Env& env, UserRef user, const message::Submit& submit);
// A repeat gets the first answer and today's state; another body under the same id is an error.
SubmitResult answer_repeat(const std::string& request_id, const std::string& message_id,
                           message::State state, bool same_body);

// contacts.cpp: who a contact is, its devices and their keys
enum class Reach : std::uint8_t { kReady, kPending, kUnknown, kNotOptedIn, kNoDevices };
struct Resolved {
  Reach reach = Reach::kPending;
  Tag peer{};  // kReady: the conversation by LID
};
Resolved resolve(Draft& d, const message::Contact& contact, const Tag& named);
void on_query(Draft& d, const QueryInput& in);
void on_devices(Draft& d, const Tag& named, const Result<stanza::Node>& answer);
void on_keys(Draft& d, const Tag& named, const Result<stanza::Node>& answer);
void retry_lookups(Draft& d);
void drop_lookups(Draft& d);  // the link went, and the answers with it
void forget_left_out(Draft& d);
// There is one, and it is with the identity that the device has now.
bool usable_ratchet(const Conversation& peer, std::uint16_t device);
Tag lid_tag(const Draft& d, const std::string& lid);

// sessions.cpp: what Signal operations read and write
class PeerReader final : public signal::Reader {
 public:
  PeerReader(const Draft& draft, const Conversation& peer) : draft_(draft), peer_(peer) {}
  const signal::Identity& identity() const override { return draft_.profile().identity; }
  const Bytes* ratchet(const signal::Address& remote) const override;
  const signal::PreKey* prekey(std::uint32_t id) const override { return draft_.prekey(id); }
  const signal::SignedPreKey* signed_prekey(std::uint32_t id) const override;
  const crypto::Key32* remote_identity(const signal::Address& remote) const override;

 private:
  const Draft& draft_;
  const Conversation& peer_;
};
// Takes over what an operation wrote; tells the provider of a changed identity.
void take_writes(Draft& d, const Tag& peer, std::uint16_t device, signal::Writes writes);
void renewed(Draft& d, const Tag& peer, std::uint16_t device);  // its ratchet is a fresh one
message::Contact name_of(const Peer& peer);                     // as events name the contact

// inbound.cpp
void on_inbound(Draft& d, const InboundInput& in, const Existing& existing);
// Who the conversation is with; nullopt: an address that names no person.
std::optional<message::Contact> sender_contact(const whatsapp::Inbound& message);

// receipts.cpp
void on_receipt(Draft& d, const ReceiptInput& in);
void on_mark_read(Draft& d, const MarkReadInput& in);
void on_setting(Draft& d, const SettingInput& in);

// undecrypted.cpp: what is asked for again of its sender
// Asks once more; false: there is no more asking, and nothing was done.
bool ask_again(Draft& d, const whatsapp::Inbound& m, Undecrypted one, std::string_view why);
void give_up(Draft& d, const Undecrypted& one, std::string_view why);  // it ends as UNDECRYPTABLE
void arrived(Draft& d, const Undecrypted& one);                        // it was read after all

// resends.cpp: what is encrypted again for devices that asked, or that a message did not reach
void on_retry(Draft& d, const ReceiptInput& in);
// An ack that says that devices were missing: they get the text in a stanza of their own, which is
// kept and left again until it is acked as well.
void owe_the_rest(Draft& d, Order order, const whatsapp::Ack& ack);
bool is_owed(const Draft& d, Order order);
void rest_acked(Draft& d, Order order, const whatsapp::Ack& ack);
void pay_what_is_owed(Draft& d);  // on a fresh link
void expire_resends(Draft& d);
void drop_owed(Draft& d);  // the user is withdrawn
void continue_resends(Draft& d, const Tag& named);
void continue_all_resends(Draft& d);
void drop_resends(Draft& d);  // the link went: receipts come again, what is owed is in the rows
// Once every device has it, nobody can ask for the text again.
void forget_if_delivered(Draft& d, Order order);
// Older than the retention: its row may be gone, and nothing more is written of it.
bool is_swept(const Draft& d, const Message& m);
void drop_unacked(Draft& d);  // no ack comes any more of what a receipt told before

// setup.cpp: our own keys, and the order of things on a fresh link
void on_link_up(Draft& d);
void on_link_down(Draft& d);
void on_count(Draft& d, const Result<stanza::Node>& answer);
void on_upload(Draft& d, const Result<stanza::Node>& answer);
void on_active(Draft& d, const Result<stanza::Node>& answer);
void on_notification(Draft& d, const NotificationInput& in);
void on_rotate(Draft& d, const Result<stanza::Node>& answer);
void retry_setup(Draft& d);
// Whose devices or keys a notification is about; nullopt: nobody's.
std::optional<message::Contact> notified_contact(const stanza::Node& node);

void send(Draft& d, const stanza::Node& node);  // after the commit

}  // namespace gw::user
