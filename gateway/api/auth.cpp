#include "api/auth.h"

#include <grpc/grpc_security_constants.h>

#include "api/errors.h"

namespace gw::api {
namespace {

tl::unexpected<grpc::Status> denied(std::string_view reason, std::string message) {
  return tl::unexpected(to_status(grpc::StatusCode::PERMISSION_DENIED,
                                  {ErrorKind::kRejected, reason, std::move(message), {}}));
}

}  // namespace

tl::expected<Caller, grpc::Status> identify(const std::vector<std::string_view>& san_uris,
                                            const std::map<std::string, Provider>& providers) {
  std::string_view id;
  int found = 0;
  for (std::string_view uri : san_uris) {
    if (!uri.starts_with(kProviderUri)) continue;
    id = uri.substr(kProviderUri.size());
    ++found;
  }
  if (found == 0 || id.empty())
    return denied("CERTIFICATE_WITHOUT_PROVIDER",
                  "the client certificate needs one SAN URI interop:provider:<id>");
  if (found > 1)
    return denied("CERTIFICATE_AMBIGUOUS",
                  "the client certificate has more than one SAN URI interop:provider:<id>");
  auto it = providers.find(std::string(id));
  if (it == providers.end())
    return denied("PROVIDER_UNKNOWN", "the provider of the client certificate is not set up here");
  return Caller{it->first, it->second};
}

tl::expected<Caller, grpc::Status> identify(const grpc::AuthContext& peer,
                                            const std::map<std::string, Provider>& providers) {
  std::vector<std::string_view> uris;
  if (peer.IsPeerAuthenticated()) {
    for (grpc::string_ref uri : peer.FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME))
      uris.emplace_back(uri.data(), uri.size());
  }
  return identify(uris, providers);
}

}  // namespace gw::api
