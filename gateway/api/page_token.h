#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "adapter/codec.h"

namespace gw::api {

// Where a listing goes on, as text that callers do not look into.
std::string to_page_token(std::int64_t cursor);
// "": 0. REJECTED PAGE_TOKEN_INVALID.
adapter::Decoded<std::int64_t> from_page_token(std::string_view token);

}  // namespace gw::api
