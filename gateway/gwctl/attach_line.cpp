#include "gwctl/attach_line.h"

#include <algorithm>

namespace gw::gwctl {
namespace {

// Takes the first word off, and the blanks around it.
std::string word(std::string_view& text) {
  auto skip = std::min(text.find_first_not_of(" \t\r"), text.size());
  text.remove_prefix(skip);
  auto end = std::min(text.find_first_of(" \t\r"), text.size());
  std::string out(text.substr(0, end));
  text.remove_prefix(end);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return out;
}

tl::unexpected<Error> not_understood() {
  return fail(ErrorKind::kRejected, "LINE_NOT_UNDERSTOOD",
              "expected: send [USER] CONTACT TEXT, attach USER, detach USER, or quit");
}

}  // namespace

Result<Line> parse_line(std::string_view line, const std::vector<std::string>& users) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto verb = word(line);
  if (verb.empty()) return NothingLine{};
  if (verb == "send") {
    SendLine out;
    out.contact = word(line);
    if (std::find(users.begin(), users.end(), out.contact) != users.end()) {
      out.user = out.contact;
      out.contact = word(line);
    } else if (!users.empty()) {
      out.user = users.front();
    }
    out.text = line;
    if (out.user.empty() || out.contact.empty() || out.text.empty()) return not_understood();
    return out;
  }
  auto user = word(line);
  if (!line.empty()) return not_understood();
  if (verb == "quit" && user.empty()) return QuitLine{};
  if (verb == "attach" && !user.empty()) return AttachLine{user};
  if (verb == "detach" && !user.empty()) return DetachLine{user};
  return not_understood();
}

}  // namespace gw::gwctl
