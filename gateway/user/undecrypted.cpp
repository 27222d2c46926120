#include "user/concerns.h"
#include "whatsapp/messages.h"

namespace gw::user {
namespace {

whatsapp::RetryCode code_of(std::string_view why) {
  if (why == "SIGNAL_NO_RATCHET") return whatsapp::RetryCode::kNoSession;
  if (why == "SIGNAL_NO_PREKEY") return whatsapp::RetryCode::kNoPrekey;
  if (why == "SIGNAL_BAD_MESSAGE") return whatsapp::RetryCode::kBadMessage;
  return whatsapp::RetryCode::kUnknown;
}

// A key that nobody else is given: WhatsApp's server hands out the uploaded ones.
const signal::PreKey& private_prekey(Draft& d, Undecrypted& one) {
  if (const auto* made = one.prekey_id == 0 ? nullptr : d.prekey(one.prekey_id)) return *made;
  Profile& profile = d.edit_profile();
  const auto id = profile.next_prekey_id < signal::kMaxPrekeyId ? profile.next_prekey_id : 1;
  profile.next_prekey_id = id + 1;
  one.prekey_id = id;
  return d.add_batch({id, true, signal::generate_prekeys(id, 1)}).keys.front();
}

void forget_prekey(Draft& d, const Undecrypted& one) {
  if (one.prekey_id != 0) d.spend_prekey(one.prekey_id);
}

}  // namespace

// The first time without keys, as clients do: the sender's session may be whole. Where it had none,
// or asks in vain, it is given the keys for another.
bool ask_again(Draft& d, const whatsapp::Inbound& m, Undecrypted one, std::string_view why) {
  if (one.asked >= d.env().limits.retries) return false;
  ++one.asked;
  ++d.counts.retries_asked;
  std::optional<whatsapp::RetryKeys> keys;
  if (one.asked > 1 || code_of(why) == whatsapp::RetryCode::kNoSession)
    keys.emplace(whatsapp::RetryKeys{private_prekey(d, one), d.profile().signed_prekey});
  send(d, whatsapp::retry_receipt(m, one.asked, code_of(why), d.profile().identity, keys));
  d.put_undecrypted(std::move(one));
  return true;
}

void give_up(Draft& d, const Undecrypted& one, std::string_view why) {
  ++d.counts.undecryptable;
  d.add_event(
      message::Undecryptable{one.message_id, one.sender, one.sent_at, std::string(why), one.seq});
  arrived(d, one);
}

void arrived(Draft& d, const Undecrypted& one) {
  forget_prekey(d, one);
  d.drop_undecrypted(one.tag);
}

}  // namespace gw::user
