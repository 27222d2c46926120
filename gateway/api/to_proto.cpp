#include "api/to_proto.h"

namespace gw::api {

namespace v1 = ::interop::gateway::v1;

v1::DetachReason to_proto(user::DetachReason reason) {
  switch (reason) {
    case user::DetachReason::kRequested:
      return v1::DETACH_REASON_REQUESTED;
    case user::DetachReason::kReplaced:
      return v1::DETACH_REASON_REPLACED;
    case user::DetachReason::kWithdrawn:
      return v1::DETACH_REASON_WITHDRAWN;
    case user::DetachReason::kLoggedOut:
      return v1::DETACH_REASON_LOGGED_OUT;
    case user::DetachReason::kStreamLost:
      return v1::DETACH_REASON_STREAM_LOST;
    case user::DetachReason::kStoreLost:
      return v1::DETACH_REASON_OWNERSHIP_LOST;
    case user::DetachReason::kDraining:
      return v1::DETACH_REASON_DRAINING;
  }
  return v1::DETACH_REASON_UNSPECIFIED;
}

v1::LinkState to_proto(user::LinkState state) {
  switch (state) {
    case user::LinkState::kConnecting:
      return v1::LINK_STATE_CONNECTING;
    case user::LinkState::kUp:
      return v1::LINK_STATE_UP;
    case user::LinkState::kDown:
      return v1::LINK_STATE_DOWN;
  }
  return v1::LINK_STATE_UNSPECIFIED;
}

}  // namespace gw::api
