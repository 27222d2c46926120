#pragma once

#include <cstddef>

namespace gw::adapter {

// What a provider's format can carry. A plain struct: a new member's default is "cannot".
struct Capabilities {
  std::size_t max_text = 0;         // octets of UTF-8 in one text; 0: no text
  bool delivered_and_read = false;  // tells its users DELIVERED and READ
  // Its wire tells which client is there, with address and token. False: the backend attaches
  // clients by the API, and without that there is no link.
  bool tells_presence = false;
};

}  // namespace gw::adapter
