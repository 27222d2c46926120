#pragma once

// Everything about WhatsApp's side that no public source settles, and that therefore had to be
// chosen. Pure functions; each says INVENTED or what it rests on. When the partner documents say
// otherwise, this file and its .cpp are what changes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "message/message.h"
#include "stanza/codec.h"
#include "stanza/node.h"

namespace gw::whatsapp {

// What distinguishes one agreement from another.
struct Dialect {
  std::uint16_t integrator = 0;  // the provider's number at WhatsApp
  stanza::InteropForm interop_form = stanza::InteropForm::kWithServer;
};

// Login of an interop user. ClientPayload.product and interopData are known from a published
// schema; INVENTED: account_id holds the integrator id, the token is the provider's JWT as it is,
// the client's address stands in field 9001, and no username is sent.
struct Login {
  std::string token;
  std::string client_address;
  bool read_receipts = true;
};
Bytes login_payload(const Dialect& dialect, const Login& login);

// INVENTED: the token's `sub` is the user id. Nothing is verified here (WhatsApp does that); it
// only keeps a backend that mixes up two users' tokens from joining one's keys to the other's
// session. True as well for what is no JWT: WhatsApp will say so.
bool token_may_be_of(std::string_view token, std::string_view user_id);
// INVENTED: `exp`, in seconds, is the last moment at which it opens a link. nullopt: it does not
// say.
std::optional<WallTime> token_expires(std::string_view token);

// `<integrator>-<user>@interop`, device 0 (one device a user).
stanza::Jid own_address(const Dialect& dialect, std::string_view user_id);

// INVENTED: a usync query element that asks whether each contact accepts this provider's messages,
// and its answer `<interop opted_in="true|false"/>`. No element in the answer counts as no.
stanza::Node opt_in_query();
bool opted_in(const stanza::Node& usync_user);

// INVENTED but for the numbers' general sense: what the error code of a message's ack means for it.
message::Reason refusal(std::int64_t ack_error);

}  // namespace gw::whatsapp
