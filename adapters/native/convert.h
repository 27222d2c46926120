#pragma once

// interop.gateway.v1 to and from the canonical forms. Pure and thread-safe.

#include <optional>
#include <string>
#include <string_view>

#include "adapter/codec.h"
#include "base/clock.h"
#include "interop/gateway/v1/gateway.pb.h"
#include "message/message.h"

namespace gw::adapters::native {

namespace v1 = ::interop::gateway::v1;

v1::MessageState to_proto(message::State state);
v1::RejectReason to_proto(message::Reason reason);
// nullopt: UNSPECIFIED, or a value of a newer API.
std::optional<message::State> from_proto(v1::MessageState state);
std::optional<message::Reason> from_proto(v1::RejectReason reason);  // UNSPECIFIED: kNone

void to_proto(WallTime time, google::protobuf::Timestamp& out);
WallTime from_proto(const google::protobuf::Timestamp& time);  // to the millisecond, downwards

void to_proto(const message::Contact& contact, v1::Contact& out);
// REJECTED CONTACT_MISSING, CONTACT_INVALID. `path` is the field's name for the fault. Takes the
// strings out of `in`, as do the two below.
adapter::Decoded<message::Contact> take(v1::Contact& in, std::string_view path);
// REJECTED CONTENT_MISSING, TEXT_EMPTY, TEXT_TOO_LONG, TEXT_NOT_UTF8.
adapter::Decoded<message::Content> take(v1::Content& in, std::string_view path);

// OutgoingMessage or SendMessageRequest. REJECTED REQUEST_ID_INVALID and the above.
template <class Message>
adapter::Decoded<message::Submit> take_submit(Message& in);
extern template adapter::Decoded<message::Submit> take_submit(v1::OutgoingMessage& in);
extern template adapter::Decoded<message::Submit> take_submit(v1::SendMessageRequest& in);

void to_proto(const message::Submit& submit, std::string_view user_id, v1::OutgoingMessage& out);

void to_proto(const message::Event& event, std::string_view user_id, v1::Event& out);
// nullopt: an event of a newer API, or one that makes no sense.
std::optional<message::Event> from_proto(const v1::Event& event);

}  // namespace gw::adapters::native
