#include "api/page_token.h"

#include "base/bytes.h"
#include "base/encoding.h"

namespace gw::api {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

std::string to_page_token(std::int64_t cursor) {
  Bytes bytes{kVersion};
  put_be<8>(bytes, static_cast<std::uint64_t>(cursor));
  return to_base64url(bytes);
}

adapter::Decoded<std::int64_t> from_page_token(std::string_view token) {
  if (token.empty()) return 0;
  auto bytes = from_base64url(token);
  if (bytes && bytes->size() == 9 && bytes->front() == kVersion) {
    auto cursor = static_cast<std::int64_t>(get_be<8>(ByteView(*bytes).subspan(1)));
    if (cursor >= 0) return cursor;
  }
  return adapter::fault({ErrorKind::kRejected,
                         "PAGE_TOKEN_INVALID",
                         "page_token must come from the response before",
                         {}},
                        "page_token");
}

}  // namespace gw::api
