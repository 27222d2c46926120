#pragma once

// The end-to-end protobuf inside an enc (before padding). Field numbers: see
// proto/whatsapp/e2e.proto.

#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "message/message.h"

namespace gw::whatsapp {

Bytes encode_content(const message::Content& content);

struct UnsupportedKind {
  std::string name;  // WhatsApp's name of the field, or "field<N>"
};
// Keys and settings that concern no reader: nothing is to be told.
struct NoContent {};
using Decoded = std::variant<message::Content, UnsupportedKind, NoContent>;

// CORRUPT "CONTENT_MALFORMED" when it is not such a protobuf; text that is not UTF-8 counts as
// that.
Result<Decoded> decode_content(ByteView plain);

}  // namespace gw::whatsapp
