#pragma once

// Everything the simulator is, on one thread. The parts get it by reference.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/clock.h"
#include "noise/noise.h"
#include "signal/signal.h"
#include "whatsapp_sim/directory.h"
#include "whatsapp_sim/faults.h"
#include "whatsapp_sim/jwt.h"
#include "whatsapp_sim/violations.h"

namespace gw::sim {

class Phone;
class Router;
class Session;

// INVENTED: how the server says that a contact does not take messages from this integrator.
inline constexpr int kErrorNotOptedIn = 403;
inline constexpr int kErrorUnknownRecipient = 404;
inline constexpr int kErrorMalformed = 479;

struct Stats {
  std::uint64_t links_opened = 0, links_open = 0, handshakes_failed = 0;
  std::uint64_t logins = 0, logins_refused = 0, logins_replaced = 0;
  std::uint64_t messages = 0, repeats_dropped = 0, nacks = 0, acks_swallowed = 0;
  std::uint64_t receipts = 0, retry_receipts = 0, stanzas_delivered = 0, redelivered = 0;
  std::uint64_t refused_from_older_link = 0, bundles = 0, bundles_without_one_time = 0;
  std::uint64_t phone_decrypted = 0, phone_duplicates = 0, phone_undecryptable = 0;
  std::uint64_t phone_sent = 0, client_frames_bad = 0;
  std::uint64_t prekeys_repeated = 0;
};

struct ServerKeys {
  crypto::KeyPair root, intermediate, leaf;
  Bytes chain;
};

struct World {
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  boost::asio::io_context io{1};
  SystemClock clock;
  ServerKeys keys;
  Directory directory;
  std::map<std::uint16_t, Provider> providers;
  Faults faults;
  Violations violations;
  FarSide far_side{violations};
  Stats stats;
  bool dedupe = true;
  signal::Engine engine;
  std::unique_ptr<Router> router;
  std::unordered_map<const Account*, std::unique_ptr<Phone>> phones;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions;

  std::int64_t now_s() const { return unix_ms(clock.wall()) / 1000; }
  std::int64_t now_ms() const { return unix_ms(clock.wall()); }
  Phone* phone(const Account* account) const;
  nlohmann::json stats_json() const;
};

}  // namespace gw::sim
