#pragma once

#include <string>

namespace gw::bench {

// A message's rows in SQLite, by bare statements on a copy (`file`, removed again) of the gateway's
// database; microseconds of CPU a message.
double outbound_commit_us(const std::string& gateways, const std::string& file);
double inbound_commit_us(const std::string& gateways, const std::string& file);

}  // namespace gw::bench
