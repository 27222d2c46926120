#pragma once

// The end-to-end protobuf inside an enc (before padding). Field numbers: see
// proto/whatsapp/e2e.proto.

#include <optional>
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

// What another device of the user itself sent, in the envelope that only that one may use: whoever
// takes it from anybody else lets a contact write in the user's name.
struct DeviceSent {
  std::string destination;  // the chat's address
  Bytes message;            // for decode_content
};
std::optional<DeviceSent> read_device_sent(ByteView plain);

}  // namespace gw::whatsapp
