#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/support/status.h>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "api/context.h"

namespace gw::api {

inline constexpr std::string_view kProviderUri = "interop:provider:";

// PERMISSION_DENIED: CERTIFICATE_WITHOUT_PROVIDER, CERTIFICATE_AMBIGUOUS, PROVIDER_UNKNOWN.
tl::expected<Caller, grpc::Status> identify(const std::vector<std::string_view>& san_uris,
                                            const std::map<std::string, Provider>& providers);
tl::expected<Caller, grpc::Status> identify(const grpc::AuthContext& peer,
                                            const std::map<std::string, Provider>& providers);

}  // namespace gw::api
