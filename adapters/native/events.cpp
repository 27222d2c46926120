// Events, both ways.
#include "adapters/native/convert.h"
#include "base/encoding.h"

namespace gw::adapters::native {
namespace {

// What came from outside may not be UTF-8, and then a backend could parse neither this event nor
// those in the same frame: each octet outside ASCII becomes U+FFFD.
std::string readable(const std::string& text) {
  if (is_valid_utf8(text)) return text;
  std::string clean;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x80)
      clean += c;
    else
      clean += "\xEF\xBF\xBD";
  }
  return clean;
}

void to_proto(const message::Content& content, v1::Content& out) {
  out.mutable_text()->set_body(readable(std::get<message::Text>(content).body));
}

struct BodyWriter {
  v1::Event& out;

  void operator()(const message::MessageReceived& in) const {
    auto& to = *out.mutable_message_received();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.sender, *to.mutable_from());
    to.set_sender_name(readable(in.sender_name));
    native::to_proto(in.sent_at, *to.mutable_sent_time());
    to_proto(in.content, *to.mutable_content());
    to.set_earlier_seq(static_cast<std::uint64_t>(in.earlier));
  }
  void operator()(const message::MessageStatus& in) const {
    auto& to = *out.mutable_message_status();
    to.set_message_id(readable(in.message_id));
    to.set_request_id(in.request_id);
    native::to_proto(in.contact, *to.mutable_to());
    to.set_state(native::to_proto(in.state));
    to.set_reason(native::to_proto(in.reason));
    native::to_proto(in.at, *to.mutable_state_time());
  }
  void operator()(const message::Undecryptable& in) const {
    auto& to = *out.mutable_message_undecryptable();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.sender, *to.mutable_from());
    native::to_proto(in.sent_at, *to.mutable_sent_time());
    to.set_why(readable(in.why));
    to.set_earlier_seq(static_cast<std::uint64_t>(in.earlier));
  }
  void operator()(const message::IdentityChanged& in) const {
    native::to_proto(in.contact, *out.mutable_identity_changed()->mutable_contact());
  }
  void operator()(const message::Unsupported& in) const {
    auto& to = *out.mutable_message_unsupported();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.sender, *to.mutable_from());
    native::to_proto(in.sent_at, *to.mutable_sent_time());
    to.set_content_kind(readable(in.kind));
    to.set_earlier_seq(static_cast<std::uint64_t>(in.earlier));
  }
  void operator()(const message::DeviceLeftOut& in) const {
    auto& to = *out.mutable_device_left_out();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.contact, *to.mutable_contact());
    to.set_device(in.device);
  }
  void operator()(const message::Pending& in) const {
    auto& to = *out.mutable_message_pending();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.sender, *to.mutable_from());
    native::to_proto(in.sent_at, *to.mutable_sent_time());
  }
  void operator()(const message::SentElsewhere& in) const {
    auto& to = *out.mutable_message_sent();
    to.set_message_id(readable(in.message_id));
    native::to_proto(in.contact, *to.mutable_to());
    native::to_proto(in.sent_at, *to.mutable_sent_time());
    to_proto(in.content, *to.mutable_content());
    to.set_earlier_seq(static_cast<std::uint64_t>(in.earlier));
  }
};

std::optional<message::Contact> contact_of(const v1::Contact& in) {
  switch (in.name_case()) {
    case v1::Contact::kE164:
      return message::Contact{message::Contact::Kind::kE164, in.e164()};
    case v1::Contact::kLid:
      return message::Contact{message::Contact::Kind::kLid, in.lid()};
    case v1::Contact::NAME_NOT_SET:
      break;
  }
  return std::nullopt;
}

using Body = decltype(message::Event::body);

std::optional<Body> body_of(const v1::MessageReceived& in) {
  auto sender = contact_of(in.from());
  if (!sender || !in.content().has_text()) return std::nullopt;
  return message::MessageReceived{in.message_id(),
                                  *std::move(sender),
                                  in.sender_name(),
                                  from_proto(in.sent_time()),
                                  message::Text{in.content().text().body()},
                                  static_cast<EventSeq>(in.earlier_seq())};
}

std::optional<Body> body_of(const v1::MessageStatus& in) {
  auto contact = contact_of(in.to());
  auto state = from_proto(in.state());
  auto reason = from_proto(in.reason());
  if (!contact || !state || !reason) return std::nullopt;
  return message::MessageStatus{in.message_id(), in.request_id(), *std::move(contact),
                                *state,          *reason,         from_proto(in.state_time())};
}

std::optional<Body> body_of(const v1::MessageUndecryptable& in) {
  auto sender = contact_of(in.from());
  if (!sender) return std::nullopt;
  return message::Undecryptable{in.message_id(), *std::move(sender), from_proto(in.sent_time()),
                                in.why(), static_cast<EventSeq>(in.earlier_seq())};
}

std::optional<Body> body_of(const v1::IdentityChanged& in) {
  auto contact = contact_of(in.contact());
  if (!contact) return std::nullopt;
  return message::IdentityChanged{*std::move(contact)};
}

std::optional<Body> body_of(const v1::MessageUnsupported& in) {
  auto sender = contact_of(in.from());
  if (!sender) return std::nullopt;
  return message::Unsupported{in.message_id(), *std::move(sender), from_proto(in.sent_time()),
                              in.content_kind(), static_cast<EventSeq>(in.earlier_seq())};
}

std::optional<Body> body_of(const v1::DeviceLeftOut& in) {
  auto contact = contact_of(in.contact());
  if (!contact || in.device() > UINT16_MAX) return std::nullopt;
  return message::DeviceLeftOut{in.message_id(), *std::move(contact),
                                static_cast<std::uint16_t>(in.device())};
}

std::optional<Body> body_of(const v1::MessagePending& in) {
  auto sender = contact_of(in.from());
  if (!sender) return std::nullopt;
  return message::Pending{in.message_id(), *std::move(sender), from_proto(in.sent_time())};
}

std::optional<Body> body_of(const v1::MessageSent& in) {
  auto contact = contact_of(in.to());
  if (!contact || !in.content().has_text()) return std::nullopt;
  return message::SentElsewhere{in.message_id(), *std::move(contact), from_proto(in.sent_time()),
                                message::Text{in.content().text().body()},
                                static_cast<EventSeq>(in.earlier_seq())};
}

std::optional<Body> body_of(const v1::Event& in) {
  switch (in.body_case()) {
    case v1::Event::kMessageReceived:
      return body_of(in.message_received());
    case v1::Event::kMessageStatus:
      return body_of(in.message_status());
    case v1::Event::kMessageUndecryptable:
      return body_of(in.message_undecryptable());
    case v1::Event::kIdentityChanged:
      return body_of(in.identity_changed());
    case v1::Event::kMessageUnsupported:
      return body_of(in.message_unsupported());
    case v1::Event::kDeviceLeftOut:
      return body_of(in.device_left_out());
    case v1::Event::kMessagePending:
      return body_of(in.message_pending());
    case v1::Event::kMessageSent:
      return body_of(in.message_sent());
    case v1::Event::BODY_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace

void to_proto(const message::Event& event, std::string_view user_id, v1::Event& out) {
  out.set_user_id(user_id.data(), user_id.size());
  out.set_seq(static_cast<std::uint64_t>(event.seq));
  to_proto(event.at, *out.mutable_time());
  std::visit(BodyWriter{out}, event.body);
}

std::optional<message::Event> from_proto(const v1::Event& event) {
  if (event.seq() == 0 || event.seq() > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  auto body = body_of(event);
  if (!body) return std::nullopt;
  return message::Event{static_cast<EventSeq>(event.seq()), from_proto(event.time()),
                        *std::move(body)};
}

}  // namespace gw::adapters::native
