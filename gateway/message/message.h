#pragma once

// The canonical forms between a provider's API and WhatsApp's protocol. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"

namespace gw::message {

inline constexpr std::size_t kMaxText = 64 * 1024;  // octets of UTF-8
inline constexpr std::size_t kMaxRequestId = 128;

// How a provider names a WhatsApp user.
struct Contact {
  enum class Kind : std::uint8_t { kE164, kLid };
  Kind kind = Kind::kE164;
  std::string value;  // kE164: '+' and 7 to 15 digits; kLid: 1 to 32 digits
  auto operator<=>(const Contact&) const = default;
};
Result<void> validate(const Contact& contact);

// A provider's user: 1 to 64 of A-Z a-z 0-9 _ = -  (what goes on the wire behind the integrator
// id).
Result<void> validate_user_id(std::string_view user_id);

struct Text {
  std::string body;
  bool operator==(const Text&) const = default;
};
// REJECTED: TEXT_EMPTY, TEXT_TOO_LONG, TEXT_NOT_UTF8.
Result<void> validate(const Text& text);

using Content = std::variant<Text>;

// Where an accepted message stands (law 5). Values are stored: append only.
enum class State : std::uint8_t {
  kWaiting = 0,
  kReady = 1,
  kSent = 2,
  kDelivered = 3,
  kRead = 4,
  kRejected = 5,
  kExpired = 6,
  kUnconfirmed = 7,
};
std::string_view to_string(State state);
// Whether `to` may follow `from`: forwards only; UNCONFIRMED may still become SENT or higher.
bool may_follow(State from, State to);
inline bool is_settled(State s) { return s >= State::kSent; }

// Why an accepted message was REJECTED or EXPIRED. Values are stored: append only.
enum class Reason : std::uint8_t {
  kNone = 0,
  kContactUnknown = 1,     // nobody on WhatsApp has this number
  kContactNotOptedIn = 2,  // has not opted in to this provider
  kContactNoDevices = 3,   // no device with valid keys
  kRefused = 4,            // WhatsApp's server refused it
  kLinkTimeout = 5,        // EXPIRED: no link within the time
  kKeysTimeout = 6,        // EXPIRED: the contact's keys did not come within the time
  kWithdrawn = 7,          // the user was withdrawn before it left
};
std::string_view to_string(Reason reason);

struct Submit {
  std::string request_id;  // 1..128 octets, the provider's; the same id never sends twice
  Contact contact;
  Content content;
};

// Events, numbered per user without gaps.
struct MessageReceived {
  std::string message_id;  // WhatsApp's id, unique per sender
  Contact sender;
  std::string sender_name;  // as the sender calls itself; may be empty
  WallTime sent_at;         // WhatsApp's time
  Content content;
  EventSeq earlier = 0;  // the Pending or Undecryptable event of the same message; 0: none
  bool operator==(const MessageReceived&) const = default;
};
struct MessageStatus {
  std::string message_id;  // ours
  std::string request_id;
  Contact contact;
  State state = State::kWaiting;
  Reason reason = Reason::kNone;
  WallTime at;
  bool operator==(const MessageStatus&) const = default;
};
// A message came that cannot be read yet; its sender was asked to encrypt it anew. Another event
// names this one as `earlier` and says what became of it.
struct Pending {
  std::string message_id;
  Contact sender;
  WallTime sent_at;
  bool operator==(const Pending&) const = default;
};
// A message came that cannot be read; it was acknowledged and will not come again by itself.
struct Undecryptable {
  std::string message_id;
  Contact sender;
  WallTime sent_at;
  std::string why;       // UPPER_SNAKE
  EventSeq earlier = 0;  // as in MessageReceived
  bool operator==(const Undecryptable&) const = default;
};
// The contact's identity key is another one than before: the safety number changed.
struct IdentityChanged {
  Contact contact;
  bool operator==(const IdentityChanged&) const = default;
};
// A kind of content that this version does not carry. Nothing of it is dropped silently.
struct Unsupported {
  std::string message_id;
  Contact sender;
  WallTime sent_at;
  std::string kind;      // the protobuf field's name, for example "imageMessage"
  EventSeq earlier = 0;  // as in MessageReceived
  bool operator==(const Unsupported&) const = default;
};
// Another device of the user itself sent this.
struct SentElsewhere {
  std::string message_id;
  Contact contact;
  WallTime sent_at;
  Content content;
  EventSeq earlier = 0;  // as in MessageReceived
  bool operator==(const SentElsewhere&) const = default;
};
// A device of the contact had no valid keys and was left out of a message, or asked for it again
// and again and could not read it.
struct DeviceLeftOut {
  std::string message_id;
  Contact contact;
  std::uint16_t device = 0;
  bool operator==(const DeviceLeftOut&) const = default;
};

struct Event {
  EventSeq seq = 0;
  WallTime at;
  std::variant<MessageReceived, MessageStatus, Undecryptable, IdentityChanged, Unsupported,
               DeviceLeftOut, Pending, SentElsewhere>
      body;
  bool operator==(const Event&) const = default;
};

}  // namespace gw::message
