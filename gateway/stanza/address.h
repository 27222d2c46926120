#pragma once

// An address from its parts, for the text parser and the decoder. Internal to the room.

#include <cstdint>
#include <optional>
#include <string_view>

#include "stanza/jid.h"

namespace gw::stanza {

// Checks the parts and brings them to one spelling. nullopt when no Jid can stand for them: an
// empty server, a character that the text form could not carry, a device that the server does
// not have, more than 255 octets of text. "c.us" becomes s.whatsapp.net. With integrator 0 an
// interop user "3-555" becomes integrator 3, user "555": some clients keep the integrator inside
// the user.
std::optional<Jid> make_jid(std::string_view user, std::string_view server, std::uint16_t device,
                            std::uint16_t integrator = 0);

// "3-555" -> integrator 3, user "555"; nullopt when it does not begin with a number and '-'.
// A number with a leading zero or over 65,535 gives no integrator either (`malformed` is set).
struct InteropUser {
  std::uint16_t integrator = 0;
  std::string_view user;
  bool malformed = false;
};
std::optional<InteropUser> split_interop_user(std::string_view text);

// The largest device number that has a place on the wire: 65,535, 255, or 0 (no devices).
std::uint16_t max_device(Server server);

}  // namespace gw::stanza
