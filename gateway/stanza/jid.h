#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gw::stanza {

// The server part of an address. Those that WhatsApp's clients know; kOther keeps the text.
enum class Server : std::uint8_t {
  kPhone,      // s.whatsapp.net
  kLid,        // lid
  kGroup,      // g.us
  kBroadcast,  // broadcast
  kInterop,    // interop
  kHosted,     // hosted
  kHostedLid,  // hosted.lid
  kMessenger,  // msgr
  kOther,
};

// An address. Text forms, as observed in Baileys and whatsmeow:
//   user@server   user:device@server   <integrator>-<user>[:device]@interop   @s.whatsapp.net
struct Jid {
  Server server = Server::kPhone;
  std::string user;  // empty: the server itself
  std::uint16_t device = 0;
  std::uint16_t integrator = 0;  // kInterop only
  std::string other_server;      // kOther only: a server that is not in the list

  auto operator<=>(const Jid&) const = default;

  Jid bare() const;  // without the device
  Jid with_device(std::uint16_t device_id) const;
  bool is_server() const { return server == Server::kPhone && user.empty(); }

  std::string to_string() const;
  // nullopt when malformed: no '@', empty server, number out of range, control or white space,
  // longer than 255 octets. c.us reads as s.whatsapp.net. An interop address spelled without
  // integrator reads as integrator 0.
  static std::optional<Jid> parse(std::string_view text);

  static Jid phone(std::string_view digits, std::uint16_t device = 0);
  static Jid lid(std::string_view user, std::uint16_t device = 0);
  static Jid interop(std::uint16_t integrator, std::string_view user, std::uint16_t device = 0);
  static Jid service();  // @s.whatsapp.net
};

std::string_view server_name(const Jid& jid);

}  // namespace gw::stanza
