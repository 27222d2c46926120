#include "adapters/native/convert.h"

namespace gw::adapters::native {

v1::MessageState to_proto(message::State state) {
  switch (state) {
    case message::State::kWaiting:
      return v1::MESSAGE_STATE_WAITING;
    case message::State::kReady:
      return v1::MESSAGE_STATE_READY;
    case message::State::kSent:
      return v1::MESSAGE_STATE_SENT;
    case message::State::kDelivered:
      return v1::MESSAGE_STATE_DELIVERED;
    case message::State::kRead:
      return v1::MESSAGE_STATE_READ;
    case message::State::kRejected:
      return v1::MESSAGE_STATE_REJECTED;
    case message::State::kExpired:
      return v1::MESSAGE_STATE_EXPIRED;
    case message::State::kUnconfirmed:
      return v1::MESSAGE_STATE_UNCONFIRMED;
  }
  return v1::MESSAGE_STATE_UNSPECIFIED;
}

std::optional<message::State> from_proto(v1::MessageState state) {
  switch (state) {
    case v1::MESSAGE_STATE_WAITING:
      return message::State::kWaiting;
    case v1::MESSAGE_STATE_READY:
      return message::State::kReady;
    case v1::MESSAGE_STATE_SENT:
      return message::State::kSent;
    case v1::MESSAGE_STATE_DELIVERED:
      return message::State::kDelivered;
    case v1::MESSAGE_STATE_READ:
      return message::State::kRead;
    case v1::MESSAGE_STATE_REJECTED:
      return message::State::kRejected;
    case v1::MESSAGE_STATE_EXPIRED:
      return message::State::kExpired;
    case v1::MESSAGE_STATE_UNCONFIRMED:
      return message::State::kUnconfirmed;
    case v1::MESSAGE_STATE_UNSPECIFIED:
    case v1::MessageState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::MessageState_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return std::nullopt;
}

v1::RejectReason to_proto(message::Reason reason) {
  switch (reason) {
    case message::Reason::kNone:
      return v1::REJECT_REASON_UNSPECIFIED;
    case message::Reason::kContactUnknown:
      return v1::REJECT_REASON_CONTACT_UNKNOWN;
    case message::Reason::kContactNotOptedIn:
      return v1::REJECT_REASON_CONTACT_NOT_OPTED_IN;
    case message::Reason::kContactNoDevices:
      return v1::REJECT_REASON_CONTACT_NO_DEVICES;
    case message::Reason::kRefused:
      return v1::REJECT_REASON_REFUSED;
    case message::Reason::kLinkTimeout:
      return v1::REJECT_REASON_LINK_TIMEOUT;
    case message::Reason::kKeysTimeout:
      return v1::REJECT_REASON_KEYS_TIMEOUT;
    case message::Reason::kWithdrawn:
      return v1::REJECT_REASON_WITHDRAWN;
  }
  return v1::REJECT_REASON_UNSPECIFIED;
}

std::optional<message::Reason> from_proto(v1::RejectReason reason) {
  switch (reason) {
    case v1::REJECT_REASON_UNSPECIFIED:
      return message::Reason::kNone;
    case v1::REJECT_REASON_CONTACT_UNKNOWN:
      return message::Reason::kContactUnknown;
    case v1::REJECT_REASON_CONTACT_NOT_OPTED_IN:
      return message::Reason::kContactNotOptedIn;
    case v1::REJECT_REASON_CONTACT_NO_DEVICES:
      return message::Reason::kContactNoDevices;
    case v1::REJECT_REASON_REFUSED:
      return message::Reason::kRefused;
    case v1::REJECT_REASON_LINK_TIMEOUT:
      return message::Reason::kLinkTimeout;
    case v1::REJECT_REASON_KEYS_TIMEOUT:
      return message::Reason::kKeysTimeout;
    case v1::REJECT_REASON_WITHDRAWN:
      return message::Reason::kWithdrawn;
    case v1::RejectReason_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::RejectReason_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return std::nullopt;
}

void to_proto(WallTime time, google::protobuf::Timestamp& out) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  out.set_seconds(seconds.time_since_epoch().count());
  out.set_nanos(static_cast<std::int32_t>((time - seconds).count() * 1'000'000));
}

WallTime from_proto(const google::protobuf::Timestamp& time) {
  return WallTime{std::chrono::seconds{time.seconds()} + Millis{time.nanos() / 1'000'000}};
}

void to_proto(const message::Contact& contact, v1::Contact& out) {
  if (contact.kind == message::Contact::Kind::kE164)
    out.set_e164(contact.value);
  else
    out.set_lid(contact.value);
}

adapter::Decoded<message::Contact> take(v1::Contact& in, std::string_view path) {
  message::Contact contact;
  std::string_view field;
  switch (in.name_case()) {
    case v1::Contact::kE164:
      contact = {message::Contact::Kind::kE164, std::move(*in.mutable_e164())};
      field = ".e164";
      break;
    case v1::Contact::kLid:
      contact = {message::Contact::Kind::kLid, std::move(*in.mutable_lid())};
      field = ".lid";
      break;
    case v1::Contact::NAME_NOT_SET:
      return adapter::fault({ErrorKind::kRejected, "CONTACT_MISSING", "set e164 or lid", {}},
                            std::string(path));
  }
  if (auto valid = message::validate(contact); !valid)
    return adapter::fault(std::move(valid).error(), std::string(path).append(field));
  return contact;
}

adapter::Decoded<message::Content> take(v1::Content& in, std::string_view path) {
  switch (in.kind_case()) {
    case v1::Content::kText: {
      message::Text text{std::move(*in.mutable_text()->mutable_body())};
      if (auto valid = message::validate(text); !valid)
        return adapter::fault(std::move(valid).error(), std::string(path).append(".text.body"));
      return message::Content{std::move(text)};
    }
    case v1::Content::KIND_NOT_SET:
      break;
  }
  return adapter::fault({ErrorKind::kRejected, "CONTENT_MISSING", "set text", {}},
                        std::string(path));
}

template <class Message>
adapter::Decoded<message::Submit> take_submit(Message& in) {
  const std::string& id = in.request_id();
  if (id.empty() || id.size() > message::kMaxRequestId)
    return adapter::fault(
        {ErrorKind::kRejected, "REQUEST_ID_INVALID", "request_id must be 1 to 128 octets", {}},
        "request_id");
  // Not the mutable_ forms: they would make, in the arena, what is not there.
  if (!in.has_to())
    return adapter::fault({ErrorKind::kRejected, "CONTACT_MISSING", "set e164 or lid", {}}, "to");
  if (!in.has_content())
    return adapter::fault({ErrorKind::kRejected, "CONTENT_MISSING", "set text", {}}, "content");
  auto contact = take(*in.mutable_to(), "to");
  if (!contact) return tl::unexpected(std::move(contact).error());
  auto content = take(*in.mutable_content(), "content");
  if (!content) return tl::unexpected(std::move(content).error());
  return message::Submit{std::move(*in.mutable_request_id()), *std::move(contact),
                         *std::move(content)};
}
template adapter::Decoded<message::Submit> take_submit(v1::OutgoingMessage& in);
template adapter::Decoded<message::Submit> take_submit(v1::SendMessageRequest& in);

void to_proto(const message::Submit& submit, std::string_view user_id, v1::OutgoingMessage& out) {
  out.set_user_id(user_id.data(), user_id.size());
  out.set_request_id(submit.request_id);
  to_proto(submit.contact, *out.mutable_to());
  out.mutable_content()->mutable_text()->set_body(std::get<message::Text>(submit.content).body);
}

}  // namespace gw::adapters::native
