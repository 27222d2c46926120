#include "base/error.h"

namespace gw {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kRetryLater:
      return "RETRY_LATER";
    case ErrorKind::kThrottled:
      return "THROTTLED";
    case ErrorKind::kRejected:
      return "REJECTED";
    case ErrorKind::kUnknownOutcome:
      return "UNKNOWN_OUTCOME";
    case ErrorKind::kStaleOwner:
      return "STALE_OWNER";
    case ErrorKind::kLoggedOut:
      return "LOGGED_OUT";
    case ErrorKind::kCorrupt:
      return "CORRUPT";
    case ErrorKind::kConfig:
      return "CONFIG";
    case ErrorKind::kBug:
      return "BUG";
  }
  return "BUG";
}

}  // namespace gw
