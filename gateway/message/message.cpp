#include "message/message.h"

#include <algorithm>

#include "base/encoding.h"

namespace gw::message {
namespace {

bool all_digits(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<void> validate(const Contact& contact) {
  std::string_view v = contact.value;
  if (contact.kind == Contact::Kind::kE164) {
    if (v.size() >= 8 && v.size() <= 16 && v[0] == '+' && v[1] != '0' && all_digits(v.substr(1)))
      return {};
    return fail(ErrorKind::kRejected, "CONTACT_INVALID",
                "contact.e164 must be '+' and 7 to 15 digits, the first not 0");
  }
  if (!v.empty() && v.size() <= 32 && all_digits(v)) return {};
  return fail(ErrorKind::kRejected, "CONTACT_INVALID", "contact.lid must be 1 to 32 digits");
}

Result<void> validate_user_id(std::string_view id) {
  auto ok = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '=' || c == '-';
  };
  if (!id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), ok)) return {};
  return fail(ErrorKind::kRejected, "USER_ID_INVALID",
              "user_id must be 1 to 64 characters of A-Z a-z 0-9 _ = -");
}

Result<void> validate(const Text& text) {
  if (text.body.empty()) return fail(ErrorKind::kRejected, "TEXT_EMPTY", "text.body is empty");
  if (text.body.size() > kMaxText)
    return fail(ErrorKind::kRejected, "TEXT_TOO_LONG",
                "text.body is over 65536 octets of UTF-8; split it");
  if (!is_valid_utf8(text.body))
    return fail(ErrorKind::kRejected, "TEXT_NOT_UTF8", "text.body is not valid UTF-8");
  return {};
}

std::string_view to_string(State state) {
  switch (state) {
    case State::kWaiting:
      return "WAITING";
    case State::kReady:
      return "READY";
    case State::kSent:
      return "SENT";
    case State::kDelivered:
      return "DELIVERED";
    case State::kRead:
      return "READ";
    case State::kRejected:
      return "REJECTED";
    case State::kExpired:
      return "EXPIRED";
    case State::kUnconfirmed:
      return "UNCONFIRMED";
  }
  return "UNKNOWN";
}

bool may_follow(State from, State to) {
  switch (from) {
    case State::kWaiting:
      return to == State::kReady || to == State::kRejected || to == State::kExpired;
    case State::kReady:
      return to != State::kWaiting && to != State::kExpired && to != State::kReady;
    case State::kSent:
      return to == State::kDelivered || to == State::kRead;
    case State::kDelivered:
      return to == State::kRead;
    case State::kUnconfirmed:
      return to == State::kSent || to == State::kDelivered || to == State::kRead ||
             to == State::kRejected;
    case State::kRead:
    case State::kRejected:
    case State::kExpired:
      return false;
  }
  return false;
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "NONE";
    case Reason::kContactUnknown:
      return "CONTACT_UNKNOWN";
    case Reason::kContactNotOptedIn:
      return "CONTACT_NOT_OPTED_IN";
    case Reason::kContactNoDevices:
      return "CONTACT_NO_DEVICES";
    case Reason::kRefused:
      return "REFUSED";
    case Reason::kLinkTimeout:
      return "LINK_TIMEOUT";
    case Reason::kKeysTimeout:
      return "KEYS_TIMEOUT";
    case Reason::kWithdrawn:
      return "WITHDRAWN";
  }
  return "UNKNOWN";
}

}  // namespace gw::message
