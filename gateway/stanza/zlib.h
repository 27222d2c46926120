#pragma once

// zlib (RFC 1950) bodies. Internal to the room.

#include "base/bytes.h"
#include "base/error.h"

namespace gw::stanza {

// One whole zlib stream and nothing after it. CORRUPT "STANZA_TOO_LARGE" when it holds more than
// `most` octets: memory never grows past that, whatever the stream claims.
Result<Bytes> inflate_whole(ByteView packed, std::size_t most);

// Appends the zlib stream of `plain`.
Result<void> deflate_whole(ByteView plain, Bytes& to);

}  // namespace gw::stanza
