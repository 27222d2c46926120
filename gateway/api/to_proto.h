#pragma once

#include "interop/gateway/v1/gateway.pb.h"
#include "user/users.h"

namespace gw::api {

::interop::gateway::v1::DetachReason to_proto(user::DetachReason reason);
::interop::gateway::v1::LinkState to_proto(user::LinkState state);

}  // namespace gw::api
