#pragma once

// The blobs inside rows (proto/interop/rows/v1) to and from what the strand works with.
// Reading fails with CORRUPT ROW_MALFORMED.

#include "message/message.h"
#include "user/state.h"

namespace gw::user {

Bytes write_profile(const Profile& profile);
Result<Profile> read_profile(ByteView blob);
Bytes write_prekeys(const PrekeyBatch& batch);
Result<PrekeyBatch> read_prekeys(std::uint32_t first_id, ByteView blob);
Bytes write_peer(const Peer& peer);
Result<Peer> read_peer(ByteView blob);
Bytes write_message(const Message& message);  // message_id, request_id, to, text
Result<void> read_message(ByteView blob, Message& to);
Bytes write_event(const message::Event& event);  // without seq and at
Result<message::Event> read_event(const store::EventRow& row);

}  // namespace gw::user
