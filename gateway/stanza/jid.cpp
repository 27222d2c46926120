#include "stanza/jid.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "stanza/address.h"

namespace gw::stanza {
namespace {

constexpr std::size_t kMaxText = 255;

constexpr std::array<std::string_view, 8> kServers = {
    "s.whatsapp.net", "lid", "g.us", "broadcast", "interop", "hosted", "hosted.lid", "msgr"};
static_assert(static_cast<std::size_t>(Server::kOther) == kServers.size());

Server server_of(std::string_view name) {
  for (std::size_t i = 0; i < kServers.size(); ++i) {
    if (kServers[i] == name) return static_cast<Server>(i);
  }
  return name == "c.us" ? Server::kPhone : Server::kOther;
}

// No octet that would change how the text form is read, nor one that could forge a log line.
bool is_clean(std::string_view part) {
  return std::none_of(part.begin(), part.end(), [](char c) {
    return c == '@' || c == ':' || c == '\x7f' || static_cast<unsigned char>(c) <= ' ';
  });
}

// Decimal without sign or leading zero, at most 65,535.
std::optional<std::uint16_t> parse_number(std::string_view digits) {
  if (digits.empty() || digits.size() > 5 || (digits[0] == '0' && digits.size() > 1)) return {};
  std::uint16_t value = 0;
  const char* end = digits.data() + digits.size();
  auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc{} || stop != end) return {};
  return value;
}

void append_number(std::string& to, std::uint16_t value) {
  char digits[5];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  to.append(digits, end);
}

}  // namespace

std::uint16_t max_device(Server server) {
  switch (server) {
    case Server::kInterop:
    case Server::kMessenger:
      return 65535;
    case Server::kPhone:
    case Server::kLid:
    case Server::kHosted:
    case Server::kHostedLid:
      return 255;
    default:
      return 0;
  }
}

std::optional<InteropUser> split_interop_user(std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || text[digits] != '-') return {};
  auto number = parse_number(text.substr(0, digits));
  return InteropUser{number.value_or(0), text.substr(digits + 1), !number};
}

std::optional<Jid> make_jid(std::string_view user, std::string_view server_text,
                            std::uint16_t device, std::uint16_t integrator) {
  const Server server = server_of(server_text);
  if (server_text.empty() || device > max_device(server)) return {};
  if (!is_clean(user) || (server == Server::kOther && !is_clean(server_text))) return {};
  const bool interop = server == Server::kInterop;
  const bool had_user = !user.empty();
  while (interop && integrator == 0) {
    auto inside = split_interop_user(user);
    if (!inside) break;
    if (inside->malformed) return {};
    integrator = inside->integrator;
    user = inside->user;
  }
  if (user.empty() && (had_user || device != 0 || integrator != 0)) return {};
  if (user.size() > kMaxText || server_text.size() > kMaxText) return {};
  Jid jid;
  jid.server = server;
  jid.user = user;
  jid.device = device;
  jid.integrator = integrator;
  if (server == Server::kOther) jid.other_server = server_text;
  // 32: more than what punctuation, numbers and a renamed server can add.
  if (user.size() + server_text.size() + 32 > kMaxText && jid.to_string().size() > kMaxText) {
    return {};
  }
  return jid;
}

Jid Jid::bare() const { return with_device(0); }

Jid Jid::with_device(std::uint16_t device_id) const {
  Jid copy = *this;
  copy.device = device_id;
  return copy;
}

std::string Jid::to_string() const {
  const std::string_view name = server_name(*this);
  std::string text;
  text.reserve(user.size() + name.size() + 13);
  if (server == Server::kInterop && !user.empty()) {
    append_number(text, integrator);
    text += '-';
  }
  text += user;
  if (device != 0) {
    text += ':';
    append_number(text, device);
  }
  text += '@';
  text += name;
  return text;
}

std::optional<Jid> Jid::parse(std::string_view text) {
  if (text.size() > kMaxText) return {};
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return {};
  std::string_view user = text.substr(0, at);
  std::uint16_t device = 0;
  if (const std::size_t colon = user.find(':'); colon != std::string_view::npos) {
    auto number = parse_number(user.substr(colon + 1));
    if (!number || colon == 0) return {};
    device = *number;
    user = user.substr(0, colon);
  }
  return make_jid(user, text.substr(at + 1), device);
}

Jid Jid::phone(std::string_view digits, std::uint16_t device) {
  return {Server::kPhone, std::string(digits), device, 0, {}};
}
Jid Jid::lid(std::string_view user, std::uint16_t device) {
  return {Server::kLid, std::string(user), device, 0, {}};
}
Jid Jid::interop(std::uint16_t integrator, std::string_view user, std::uint16_t device) {
  return {Server::kInterop, std::string(user), device, integrator, {}};
}
Jid Jid::service() { return {}; }

std::string_view server_name(const Jid& jid) {
  const auto index = static_cast<std::size_t>(jid.server);
  return index < kServers.size() ? kServers[index] : std::string_view(jid.other_server);
}

}  // namespace gw::stanza
