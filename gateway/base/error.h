#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace gw {

// An error is a decision: the kind says what the caller is to do, not what went wrong in detail.
enum class ErrorKind {
  kRetryLater,      // nothing changed; the same call may succeed later
  kThrottled,       // a bound was reached; wait for room
  kRejected,        // the request itself is at fault; repeating it does not help
  kUnknownOutcome,  // may or may not have taken place; ask again with the same identity
  kStaleOwner,      // another owner or a newer version exists; reload or let go
  kLoggedOut,       // WhatsApp or the provider ended this user's session
  kCorrupt,         // bytes that fail authentication or make no sense
  kConfig,          // the operator has to change something
  kBug,             // cannot happen; count it, keep running
};
std::string_view to_string(ErrorKind kind);

// `reason` is a constant in UPPER_SNAKE: metrics and ErrorInfo carry it. `message` says what to do.
// Neither ever holds message text, an address, a phone number or a key (law 8).
struct Error {
  ErrorKind kind = ErrorKind::kBug;
  std::string_view reason;
  std::string message;
  std::chrono::milliseconds retry_after{0};  // 0: no advice
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string_view static_reason,
                                  std::string message = {},
                                  std::chrono::milliseconds retry_after = {}) {
  return tl::unexpected<Error>(Error{kind, static_reason, std::move(message), retry_after});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// Returns the error of an expression from the enclosing function, or goes on.
#define GW_TRY(expr)                                                                    \
  do {                                                                                  \
    if (auto gw_try_ = (expr); !gw_try_) return ::gw::fail(std::move(gw_try_).error()); \
  } while (false)

#define GW_CONCAT_(a, b) a##b
#define GW_CONCAT(a, b) GW_CONCAT_(a, b)
// GW_ASSIGN(auto x, f()): declares x from the value of f(), or returns f()'s error.
#define GW_ASSIGN(decl, expr)                                         \
  auto GW_CONCAT(gw_r_, __LINE__) = (expr);                           \
  if (!GW_CONCAT(gw_r_, __LINE__))                                    \
    return ::gw::fail(std::move(GW_CONCAT(gw_r_, __LINE__)).error()); \
  decl =                                                              \
      *std::move(GW_CONCAT(gw_r_, __LINE__))  // NOLINT(bugprone-macro-parentheses): a declaration

}  // namespace gw
