#pragma once

// The settings of a gateway: one YAML file and what it refers to. Read once, at start. Everything
// that is wrong is told at once, with file, line and column; nothing is guessed and no unknown key
// is passed over. No setting turns safety off (law 10). config/gateway.example.yaml shows all of
// them.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "telemetry/log.h"

namespace gw::settings {

struct Address {
  std::string host;  // an IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;
  std::string text() const;  // "127.0.0.1:9464", "[::1]:9464"
};

// Names of readable files; whether their contents fit together is identity's to check.
struct Tls {
  std::string certificate;  // PEM, the server's chain, leaf first
  std::string key;          // PEM, nobody else may read it
  std::string client_ca;    // PEM, the authorities that backends' certificates come from
};
struct Listen {
  Address api;  // port 0: a free one
  Tls tls;
};

struct Operator {
  Address listen{"127.0.0.1", 9464};  // port 0: a free one
};

struct Store {
  enum class Kind : std::uint8_t { kSqlite, kPostgres };
  Kind kind = Kind::kSqlite;
  std::string path;  // kSqlite: the file
  std::string uri;   // kPostgres: a libpq connection string, without a password
};

struct Keys {
  crypto::Secret32 key_encryption_key;
};

// WhatsApp's own root key of the Noise certificate chain.
inline constexpr std::string_view kWhatsAppRootKey =
    "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b";

struct WhatsApp {
  std::string host;  // a name or an address
  std::uint16_t port = 443;
  crypto::Key32 root_key{};
  Millis connect_timeout{10'000};  // from the first packet to the end of the login
  Millis keepalive_interval{20'000};
  Millis keepalive_deadline{10'000};  // no answer within this: the link is dead
  // Pauses before a user's link is opened again; they grow until one was up for `settled`.
  Millis reconnect_first{500}, reconnect_most{60'000}, reconnect_settled{10'000};
  // Openings of all users together.
  std::uint32_t openings_first = 50;  // a second, after a start or an outage; grows
  std::uint32_t openings_most = 500;  // a second
  std::uint32_t outage_failures = 5;  // different users' in a row: WhatsApp counts as down
  Millis probe_first{1'000}, probe_most{30'000};  // then one opening at such distances
};

struct Limits {
  std::uint32_t submit_window = 1024;       // submitted messages without a result, on one stream
  std::uint32_t max_frame = 4u << 20;       // octets, on a stream
  std::uint32_t events_per_user = 10'000;   // unacknowledged ones; then the link closes
  std::uint64_t store_pending = 64u << 20;  // octets that wait for a commit; then THROTTLED
  Millis waiting_timeout{60'000};           // WAITING: then EXPIRED
  Millis attach_grace{5'000};               // a lost stream's clients may be adopted so long
  Millis resend_window{86'400'000};         // READY: then UNCONFIRMED
  Millis retention{7 * 86'400'000};         // settled messages and acknowledged events are kept
  Millis drain_timeout{25'000};             // from SIGTERM to the end
};

enum class TrustLevel : std::uint8_t { kInGateway };

struct Provider {
  std::string id;                // [a-z0-9-]{1,32}: certificates and metrics name it so
  std::uint16_t integrator = 0;  // its number at WhatsApp
  std::string issuer;            // `iss` of its users' tokens
  TrustLevel trust_level = TrustLevel::kInGateway;
  std::string adapter = "native";
  bool interop_jid_server = true;  // dialect: the server's name follows in an interop address
};

struct Settings {
  Listen listen;
  Operator operators;
  Store store;
  Keys keys;
  WhatsApp whatsapp;
  Limits limits;
  std::vector<Provider> providers;  // at least one; ids, integrators and issuers differ
  telemetry::LogOptions log;
  std::uint32_t loops = 1;  // never 0
};

struct Problem {
  std::string file;
  int line = 0, column = 0;  // from 1; 0: the file as a whole
  std::string key;           // "whatsapp.keepalive.interval"; empty: the file as a whole
  std::string message;       // what is wrong and what is expected
  std::string text() const;  // "FILE:12:5: whatsapp.port: expected ..."
};

template <class T>
using Checked = tl::expected<T, std::vector<Problem>>;

// Relative names in the file start at the file's own folder.
Checked<Settings> load(const std::string& file);

// "500ms", "5s", "1m", "2h", "7d"; nothing for what is none.
std::optional<Millis> parse_duration(std::string_view text);

// How `load` sees files; tests and the fuzzer bring their own.
struct FileContent {
  enum class Status : std::uint8_t { kRead, kMissing, kUnreadable, kNotAFile, kTooLarge };
  Status status = Status::kMissing;
  unsigned mode = 0;  // permission bits
  std::string text;
};
struct Files {
  std::function<FileContent(const std::string& name)> read;
  // Names of the *.yaml files in a folder, sorted; nullopt: no such folder.
  std::function<std::optional<std::vector<std::string>>(const std::string& folder)> list;
};
Files real_files();
Checked<Settings> load(const std::string& file, const Files& files);

}  // namespace gw::settings
