#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace gw {

std::string to_hex(ByteView bytes);  // lower case
std::string to_hex_upper(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);  // either case; nullopt when malformed

std::string to_base64(ByteView bytes);  // RFC 4648 section 4, padded
std::optional<Bytes> from_base64(std::string_view text);
std::string to_base64url(ByteView bytes);  // RFC 4648 section 5, unpadded
std::optional<Bytes> from_base64url(std::string_view text);

// RFC 3629: no surrogates, no overlong forms, at most U+10FFFF.
bool is_valid_utf8(std::string_view text);

}  // namespace gw
