#include "user/troubles.h"

#include "crypto/crypto.h"
#include "link/backoff.h"

namespace gw::user {

Remedy remedy(ErrorKind kind, Stage stage) {
  switch (kind) {
    case ErrorKind::kRetryLater:
    case ErrorKind::kThrottled:
      // At load nothing of the user is in memory yet: whoever asked asks again.
      return stage == Stage::kLoad ? Remedy::kRefuse : Remedy::kRetry;
    case ErrorKind::kRejected:
      // A refused login may go better with a fresh token; a refused question is answered so.
      return stage == Stage::kLink || stage == Stage::kLookup ? Remedy::kRetry : Remedy::kRefuse;
    case ErrorKind::kUnknownOutcome:
      return stage == Stage::kCommit ? Remedy::kConfirm : Remedy::kRetry;
    case ErrorKind::kStaleOwner:
    case ErrorKind::kLoggedOut:
      return Remedy::kLetGo;
    case ErrorKind::kCorrupt:
      return stage == Stage::kLookup || stage == Stage::kLink ? Remedy::kRetry
             : stage == Stage::kLoad                          ? Remedy::kRefuse
                                                              : Remedy::kLetGo;
    case ErrorKind::kConfig:
      return stage == Stage::kLoad ? Remedy::kRefuse : Remedy::kRetry;
    case ErrorKind::kBug:
      return stage == Stage::kLoad ? Remedy::kRefuse : Remedy::kLetGo;
  }
  return Remedy::kLetGo;
}

Millis backoff(Millis first, Millis most, int tries) {
  return link::jittered(first, most, tries, crypto::random_u64());
}

}  // namespace gw::user
