#pragma once

// The blobs inside rows (proto/interop/rows/v1) to and from what the strand works with.
// Reading fails with CORRUPT ROW_MALFORMED.

#include "message/message.h"
#include "user/state.h"
#include "user/users.h"

namespace gw::user {

Bytes write_profile(const Profile& profile);
Result<Profile> read_profile(ByteView blob);
// Its user id alone, without the keys.
Result<std::string> profile_name(ByteView blob);
// Whoever finds a row by a pseudonym holds it to the name that was asked for: the pseudonym itself
// is bound to nothing. CORRUPT ROW_DAMAGED.
Result<void> check_name(const store::Account& account, const Name& name);
Bytes write_prekeys(const PrekeyBatch& batch);
Result<PrekeyBatch> read_prekeys(std::uint32_t first_id, ByteView blob);
Bytes write_peer(const Peer& peer);
Result<Peer> read_peer(ByteView blob);
Bytes write_message(const Message& message);  // message_id, request_id, to, text
Result<void> read_message(ByteView blob, Message& to);
Bytes write_undecrypted(const Undecrypted& undecrypted);
Result<Undecrypted> read_undecrypted(const store::Undecrypted& row);
Bytes write_event(const message::Event& event);  // without seq and at
Result<message::Event> read_event(const store::EventRow& row);

}  // namespace gw::user
