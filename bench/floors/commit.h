#pragma once

#include <cstddef>
#include <string>

namespace gw::bench {

// A message's rows in SQLite, by bare statements; microseconds of CPU a message.
double outbound_commit_us(const std::string& file, std::size_t text_size);
double inbound_commit_us(const std::string& file, std::size_t text_size);

}  // namespace gw::bench
