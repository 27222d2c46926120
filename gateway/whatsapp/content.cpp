#include "whatsapp/content.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "base/encoding.h"
#include "whatsapp/e2e.pb.h"

namespace gw::whatsapp {
namespace {

std::string_view kind_name(int field) {
  switch (field) {
    case 3:
      return "imageMessage";
    case 4:
      return "contactMessage";
    case 5:
      return "locationMessage";
    case 7:
      return "documentMessage";
    case 8:
      return "audioMessage";
    case 9:
      return "videoMessage";
    case 12:
      return "protocolMessage";
    case 26:
      return "stickerMessage";
    case 31:
      return "deviceSentMessage";
    case 37:
      return "viewOnceMessage";
    case 40:
      return "ephemeralMessage";
    case 46:
      return "reactionMessage";
    case 53:
      return "documentWithCaptionMessage";
    case 55:
      return "viewOnceMessageV2";
    case 58:
      return "editedMessage";
    case 66:
      return "ptvMessage";
    default:
      return {};
  }
}

// No rule of WhatsApp's; ours both ways.
constexpr std::string_view kOversized = "oversizedText";

bool carries_no_content(int field) { return field == 2 || field == 35; }

// The first field that is content of a kind we do not know; 0: none.
int first_other_field(ByteView plain) {
  namespace pb = google::protobuf;
  pb::io::CodedInputStream in(plain.data(), static_cast<int>(plain.size()));
  while (std::uint32_t tag = in.ReadTag()) {
    int field = pb::internal::WireFormatLite::GetTagFieldNumber(tag);
    if (!carries_no_content(field)) return field;
    if (!pb::internal::WireFormatLite::SkipField(&in, tag)) return 0;
  }
  return 0;
}

}  // namespace

Bytes encode_content(const message::Content& content) {
  ::whatsapp::Message m;
  std::visit([&](const message::Text& text) { m.set_conversation(text.body); }, content);
  Bytes out(m.ByteSizeLong());
  m.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

Result<Decoded> decode_content(ByteView plain) {
  ::whatsapp::Message m;
  if (!m.ParseFromArray(plain.data(), static_cast<int>(plain.size())))
    return fail(ErrorKind::kCorrupt, "CONTENT_MALFORMED");
  std::string text = m.has_conversation() ? m.conversation() : m.extended_text_message().text();
  if (!text.empty()) {
    if (text.size() > message::kMaxText) return Decoded(UnsupportedKind{std::string(kOversized)});
    if (!is_valid_utf8(text)) return fail(ErrorKind::kCorrupt, "CONTENT_MALFORMED");
    return Decoded(message::Content(message::Text{std::move(text)}));
  }
  int field = first_other_field(plain);
  if (field == 0) return Decoded(NoContent{});
  auto name = kind_name(field);
  return Decoded(
      UnsupportedKind{name.empty() ? "field" + std::to_string(field) : std::string(name)});
}

std::optional<DeviceSent> read_device_sent(ByteView plain) {
  ::whatsapp::Message m;
  if (!m.ParseFromArray(plain.data(), static_cast<int>(plain.size())) ||
      !m.has_device_sent_message())
    return std::nullopt;
  auto& sent = *m.mutable_device_sent_message();
  return DeviceSent{std::move(*sent.mutable_destination_jid()), to_bytes(sent.message())};
}

}  // namespace gw::whatsapp
