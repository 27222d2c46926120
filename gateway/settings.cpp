#include "settings.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>

#include "settings_reader.h"

namespace gw::settings {
namespace {

using Need = Section::Need;
constexpr std::size_t kMostOctets = 1u << 20;  // of any file that is read
constexpr Millis kSecond{1000}, kMinute{60'000}, kHour{3'600'000}, kDay{86'400'000};

bool is_not_empty(std::string_view text) { return !text.empty(); }
bool is_provider_id(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}
bool is_issuer(std::string_view text) {
  return !text.empty() && text.size() <= 256 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}
bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") ==
             std::string_view::npos;
}

void read_listen(Section& root, Listen& to) {
  auto listen = root.section("listen", Need::kRequired);
  to.api = listen.address("api", std::nullopt);
  auto tls = listen.section("tls", Need::kRequired);
  to.tls.certificate = tls.file("certificate", FileKind::kCertificates).first;
  auto [name, content] = tls.file("key", FileKind::kPrivateKey);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  to.tls.key = name;
  to.tls.client_ca = tls.file("client_ca", FileKind::kCertificates).first;
}

// A libpq connection string in either form, and no password in it: settings are copied about and
// shown. `postgresql://user:password@host` and `password=...`, spaces around "=" or not.
bool is_postgres_uri(std::string_view uri) {
  if (uri.find("password") != std::string_view::npos) return false;
  for (std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (!uri.starts_with(scheme)) continue;
    auto rest = uri.substr(scheme.size());
    auto user = rest.substr(0, rest.substr(0, rest.find('/')).rfind('@'));
    return user.size() == rest.size() || user.find(':') == std::string_view::npos;
  }
  return uri.find('=') != std::string_view::npos && uri.find("://") == std::string_view::npos;
}

void read_store(Section& root, Store& to) {
  auto store = root.section("store", Need::kRequired);
  to.kind = static_cast<Store::Kind>(store.choice("kind", std::nullopt, {"sqlite", "postgres"}));
  if (to.kind == Store::Kind::kSqlite)
    to.path = store.resolve(store.text("path", std::nullopt, "the name of a file", is_not_empty));
  else
    to.uri = store.text("uri", std::nullopt,
                        "a connection string for PostgreSQL without a password, for example "
                        "\"host=db1,db2 dbname=gateway user=gateway passfile=/etc/gateway/pgpass\" "
                        "or \"postgresql://gateway@db1,db2/gateway\"",
                        is_postgres_uri);
}

void read_keys(Section& root, Keys& to) {
  constexpr std::string_view kKey = "key_encryption_key_file";
  auto keys = root.section("keys", Need::kRequired);
  auto [name, content] = keys.file(kKey, FileKind::kSecret);
  auto key = parse_key32(content);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  if (key) {
    to.key_encryption_key = crypto::Secret32(*key);
    crypto::wipe(*key);
  } else if (!name.empty()) {
    keys.problem(kKey, "the file " + shown(name) +
                           " does not hold 32 octets in hex or base64; `gwctl dev keys` makes one");
  }
}

void read_openings(Section& whatsapp, WhatsApp& to) {
  {
    auto reconnect = whatsapp.section("reconnect", Need::kOptional);
    to.reconnect_first = reconnect.duration("first", to.reconnect_first, Millis(50), kMinute);
    to.reconnect_most = reconnect.duration("most", to.reconnect_most, kSecond, kHour);
    to.reconnect_settled = reconnect.duration("settled", to.reconnect_settled, kSecond, kHour);
    if (to.reconnect_first > to.reconnect_most)
      reconnect.problem("first", "must not be longer than most");
  }
  {
    auto openings = whatsapp.section("openings", Need::kOptional);
    auto rate = [&](std::string_view key, std::uint32_t value) {
      return static_cast<std::uint32_t>(openings.number(key, value, 1, 100'000));
    };
    to.openings_first = rate("first", to.openings_first);
    to.openings_most = rate("most", to.openings_most);
    if (to.openings_first > to.openings_most)
      openings.problem("first", "must not be more than most");
  }
  auto outage = whatsapp.section("outage", Need::kOptional);
  to.outage_failures =
      static_cast<std::uint32_t>(outage.number("failures", to.outage_failures, 2, 1000));
  to.probe_first = outage.duration("probe_first", to.probe_first, Millis(100), kMinute);
  to.probe_most = outage.duration("probe_most", to.probe_most, kSecond, 10 * kMinute);
  if (to.probe_first > to.probe_most)
    outage.problem("probe_first", "must not be longer than probe_most");
}

void read_whatsapp(Section& root, WhatsApp& to) {
  auto whatsapp = root.section("whatsapp", Need::kRequired);
  to.host = whatsapp.text("host", std::nullopt, "a host name or an IP address", is_host);
  to.port = static_cast<std::uint16_t>(whatsapp.number("port", to.port, 1, 65535));
  to.root_key = whatsapp.hex_key("root_key", kWhatsAppRootKey);
  to.connect_timeout =
      whatsapp.duration("connect_timeout", to.connect_timeout, Millis(100), kMinute);
  auto keepalive = whatsapp.section("keepalive", Need::kOptional);
  to.keepalive_interval =
      keepalive.duration("interval", to.keepalive_interval, kSecond, 5 * kMinute);
  to.keepalive_deadline =
      keepalive.duration("deadline", to.keepalive_deadline, Millis(100), kMinute);
  if (to.keepalive_deadline > to.keepalive_interval)
    keepalive.problem("deadline", "must not be longer than the interval");
  read_openings(whatsapp, to);
}

void read_limits(Section& root, Limits& to) {
  auto limits = root.section("limits", Need::kOptional);
  auto number = [&](std::string_view key, std::uint32_t& value, std::uint32_t least,
                    std::uint32_t most) {
    value = static_cast<std::uint32_t>(limits.number(key, value, least, most));
  };
  auto duration = [&](std::string_view key, Millis& value, Millis least, Millis most) {
    value = limits.duration(key, value, least, most);
  };
  number("submit_window", to.submit_window, 1, 65'536);
  to.max_frame =
      static_cast<std::uint32_t>(limits.size("max_frame", to.max_frame, 128u << 10, 64u << 20));
  number("events_per_user", to.events_per_user, 16, 1'000'000);
  to.store_pending = limits.size("store_pending", to.store_pending, 1u << 20, 4ull << 30);
  duration("waiting_timeout", to.waiting_timeout, kSecond, 10 * kMinute);
  duration("attach_grace", to.attach_grace, Millis(0), kMinute);
  duration("resend_window", to.resend_window, kMinute, 7 * kDay);
  duration("retention", to.retention, kHour, 90 * kDay);
  duration("drain_timeout", to.drain_timeout, kSecond, 10 * kMinute);
  if (to.retention < to.resend_window)
    limits.problem("retention",
                   "must not be shorter than resend_window: what may still be sent "
                   "again must be kept");
}

// Where a provider was defined, to say so when another one takes the same name.
struct Defined {
  Provider provider;
  std::string where;
};

void read_provider(Reading& reading, const YAML::Node& node, const std::string& path,
                   std::vector<Defined>& all) {
  auto mark = node.Mark();
  Section section(reading, node, path, mark);
  Provider to;
  to.id = section.text("id", std::nullopt, "1 to 32 of a-z, 0-9 and -", is_provider_id);
  to.integrator = static_cast<std::uint16_t>(section.number("integrator", std::nullopt, 1, 65535));
  to.issuer = section.text("issuer", std::nullopt,
                           "the issuer of the provider's tokens: 1 to 256 printable ASCII "
                           "characters without blanks",
                           is_issuer);
  to.trust_level =
      static_cast<TrustLevel>(section.choice("trust_level", std::nullopt, {"IN_GATEWAY"}));
  section.choice("adapter", std::nullopt, {"native"});
  {
    auto dialect = section.section("dialect", Need::kOptional);
    to.interop_jid_server = dialect.boolean("interop_jid_server", to.interop_jid_server);
  }
  if (!section.there()) return;
  for (const auto& other : all) {
    if (!to.id.empty() && other.provider.id == to.id)
      section.problem("id", "is the id of the provider at " + other.where + " already");
    if (section.has("integrator") && other.provider.integrator == to.integrator)
      section.problem("integrator", "belongs to the provider at " + other.where + " already");
    if (!to.issuer.empty() && other.provider.issuer == to.issuer)
      section.problem("issuer", "belongs to the provider at " + other.where + " already");
  }
  all.push_back({std::move(to), reading.file + ":" + std::to_string(mark.line + 1)});
}

// Sees a document go by before it is built. Aliases are refused: a small file could stand for a
// huge one, and nobody needs them here.
struct Guard final : YAML::EventHandler {
  using Mark = YAML::Mark;
  using Text = std::string;
  Mark first_alias = Mark::null_mark();
  Mark start = Mark::null_mark();
  bool empty = true;

  void OnDocumentStart(const Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, YAML::anchor_t) override {}
  void OnAlias(const Mark& mark, YAML::anchor_t) override {
    if (first_alias.is_null()) first_alias = mark;
  }
  void OnScalar(const Mark&, const Text&, YAML::anchor_t, const Text&) override { empty = false; }
  void OnSequenceStart(const Mark&, const Text&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    empty = false;
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const Text&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    empty = false;
  }
  void OnMapEnd() override {}
};

std::optional<YAML::Node> parse(const Reading& reading, const std::string& text) {
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    Guard guard, next;
    parser.HandleNextDocument(guard);
    if (guard.empty)
      reading.problem(YAML::Mark::null_mark(), "", "is empty");
    else if (!guard.first_alias.is_null())
      reading.problem(guard.first_alias, "", "uses an alias (*): write the value out");
    else if (parser.HandleNextDocument(next))
      reading.problem(next.start, "", "holds more than one YAML document");
    else
      return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    reading.problem(error.mark, "", "is not YAML: " + shown(error.msg));
  }
  return std::nullopt;
}

std::optional<YAML::Node> read_yaml(const Reading& reading, const std::string& name) {
  auto content = reading.files.read(name);
  using Status = FileContent::Status;
  std::string_view wrong;
  switch (content.status) {
    case Status::kRead:
      return parse(reading, content.text);
    case Status::kMissing:
      wrong = "there is no such file";
      break;
    case Status::kUnreadable:
      wrong = "cannot be read: check owner and permissions";
      break;
    case Status::kNotAFile:
      wrong = "is not a regular file";
      break;
    case Status::kTooLarge:
      wrong = "is too large";
      break;
  }
  reading.problem(YAML::Mark::null_mark(), "", std::string(wrong));
  return std::nullopt;
}

std::string folder_of(const std::string& file) {
  auto slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash + 1);
}

void read_provider_folder(Section& section, Reading& from, std::vector<Defined>& all) {
  auto folder = section.text("folder", std::nullopt, "the name of a folder", is_not_empty);
  if (folder.empty()) return;
  folder = section.resolve(folder);
  if (!folder.ends_with('/')) folder += '/';
  auto names = from.files.list(folder);
  if (!names) return section.problem("folder", "there is no folder " + shown(folder));
  if (names->empty())
    return section.problem("folder", "the folder " + shown(folder) + " holds no *.yaml file");
  if (names->size() > kMostProviders) return section.problem("folder", "holds too many files");
  for (const auto& name : *names) {
    Reading reading{folder + name, folder, from.files, from.problems};
    if (auto node = read_yaml(reading, reading.file)) read_provider(reading, *node, "", all);
  }
}

void read_providers(Section& root, Reading& reading, std::vector<Provider>& to) {
  std::vector<Defined> all;
  auto node = root.raw("providers", Need::kRequired);
  if (!node.IsDefined()) return;
  if (node.IsSequence()) {
    if (node.size() > kMostProviders) return root.problem("providers", "are too many");
    for (std::size_t i = 0; i < node.size() && !reading.full(); ++i)
      read_provider(reading, node[i], "providers[" + std::to_string(i) + "]", all);
    if (node.size() == 0) root.problem("providers", "expected at least one provider");
  } else if (node.IsMap()) {
    Section section(reading, node, "providers", node.Mark());
    read_provider_folder(section, reading, all);
  } else {
    root.problem("providers", "expected a list of providers, or a section with `folder`");
  }
  for (auto& defined : all) to.push_back(std::move(defined.provider));
}

void read_log(Section& root, telemetry::LogOptions& to) {
  auto log = root.section("log", Need::kOptional);
  to.level = static_cast<telemetry::Level>(log.choice("level", static_cast<std::size_t>(to.level),
                                                      {"debug", "info", "warning", "error"}));
  auto file = log.text("file", "", "the name of a file", is_not_empty);
  to.file = file.empty() ? "" : log.resolve(file);
}

void read_all(Reading& reading, const YAML::Node& node, Settings& to) {
  Section root(reading, node, "", YAML::Mark());
  read_listen(root, to.listen);
  {
    auto operators = root.section("operator", Need::kOptional);
    to.operators.listen = operators.address("listen", to.operators.listen);
  }
  read_store(root, to.store);
  read_keys(root, to.keys);
  read_whatsapp(root, to.whatsapp);
  read_limits(root, to.limits);
  read_providers(root, reading, to.providers);
  read_log(root, to.log);
  to.loops = static_cast<std::uint32_t>(root.number("loops", 0, 0, 256));
  if (to.loops == 0) to.loops = std::max(1u, std::thread::hardware_concurrency());
}

FileContent read_file(const std::string& name) {
  FileContent out;
  int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    bool missing = errno == ENOENT || errno == ENOTDIR;
    out.status = missing ? FileContent::Status::kMissing : FileContent::Status::kUnreadable;
    return out;
  }
  struct stat about {};
  out.status = FileContent::Status::kUnreadable;
  if (::fstat(fd, &about) == 0) {
    out.mode = about.st_mode & 07777;
    if (!S_ISREG(about.st_mode)) {
      out.status = FileContent::Status::kNotAFile;
    } else if (static_cast<std::size_t>(about.st_size) > kMostOctets) {
      out.status = FileContent::Status::kTooLarge;
    } else {
      out.text.resize(kMostOctets);
      ssize_t got = 0;
      std::size_t at = 0;
      while (at < out.text.size() &&
             (got = ::read(fd, out.text.data() + at, out.text.size() - at)) > 0)
        at += static_cast<std::size_t>(got);
      out.text.resize(at);
      if (got >= 0) out.status = FileContent::Status::kRead;
    }
  }
  ::close(fd);
  return out;
}

std::optional<std::vector<std::string>> list_yaml(const std::string& folder) {
  DIR* dir = ::opendir(folder.c_str());
  if (!dir) return std::nullopt;
  std::vector<std::string> names;
  while (auto* entry = ::readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    std::string name = entry->d_name;
    if (name.ends_with(".yaml") && !name.starts_with('.')) names.push_back(std::move(name));
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string Address::text() const {
  bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Problem::text() const {
  std::string out = file + ":";
  if (line > 0) out += std::to_string(line) + ":" + std::to_string(column) + ":";
  out += " ";
  if (!key.empty()) out += key + ": ";
  return out + message;
}

Files real_files() { return {read_file, list_yaml}; }

Checked<Settings> load(const std::string& file) { return load(file, real_files()); }

Checked<Settings> load(const std::string& file, const Files& files) {
  std::vector<Problem> problems;
  Settings settings;
  Reading reading{file, folder_of(file), files, problems};
  try {
    if (auto node = read_yaml(reading, file)) read_all(reading, *node, settings);
  } catch (const std::exception&) {  // the YAML library's, should one get through
    reading.problem(YAML::Mark::null_mark(), "", "cannot be understood");
  }
  if (problems.empty()) return settings;
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  return tl::unexpected(std::move(problems));
}

}  // namespace gw::settings
