#pragma once

#include <string>

#include "base/error.h"

namespace gw::api {

// Says what is wrong with the PEM texts before gRPC fails without a word. CONFIG TLS_INVALID.
Result<void> check_tls(const std::string& certificate_pem, const std::string& key_pem,
                       const std::string& client_ca_pem);

}  // namespace gw::api
