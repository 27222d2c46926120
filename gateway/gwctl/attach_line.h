#pragma once

// What a person types into `gwctl attach`.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace gw::gwctl {

struct SendLine {
  std::string user, contact, text;
};
struct AttachLine {
  std::string user;
};
struct DetachLine {
  std::string user;
};
struct QuitLine {};
struct NothingLine {};
using Line = std::variant<NothingLine, SendLine, AttachLine, DetachLine, QuitLine>;

//   send [USER] CONTACT TEXT...   USER: one of `users`; without it the first
//   attach USER | detach USER | quit
// REJECTED LINE_NOT_UNDERSTOOD.
Result<Line> parse_line(std::string_view line, const std::vector<std::string>& users);

}  // namespace gw::gwctl
