#pragma once

// The dictionary as the encoder sees it. Internal to the room.

#include <cstdint>
#include <string_view>

namespace gw::stanza {

// What stands for the text on the wire: 0 for nothing, up to 235 the one octet of a single token,
// above that two octets, 236..239 and the index. (find_token's optional costs twice the time.)
std::uint16_t token_code(std::string_view text);

}  // namespace gw::stanza
