#include "settings.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.h"
#include "settings_reader.h"

namespace gw::settings {

// GoogleTest prints problems so.
static void PrintTo(const Problem& p, std::ostream* out) { *out << p.text(); }

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kKekHex(64, 'a');
const std::string kCertificate = "-----BEGIN CERTIFICATE-----\n";
const std::string kPrivateKey = "-----BEGIN PRIVATE KEY-----\n";

// Files in memory: name -> (mode, text).
struct Disk {
  std::map<std::string, std::pair<unsigned, std::string>> files{
      {"/etc/gw/server.pem", {0644, kCertificate}},
      {"/etc/gw/ca.pem", {0644, kCertificate}},
      {"/etc/gw/server.key", {0600, kPrivateKey}},
      {"/etc/gw/kek", {0600, kKekHex + "\n"}},
  };
  Files view() const {
    return {[this](const std::string& name) -> FileContent {
              auto at = files.find(name);
              if (at == files.end()) return {};
              return {FileContent::Status::kRead, at->second.first, at->second.second};
            },
            [this](const std::string& folder) -> std::optional<std::vector<std::string>> {
              std::vector<std::string> names;
              for (const auto& [name, _] : files)
                if (name.starts_with(folder)) names.push_back(name.substr(folder.size()));
              if (names.empty()) return std::nullopt;
              return names;
            }};
  }
  Checked<Settings> load(const std::string& text) {
    files["/etc/gw/gateway.yaml"] = {0644, text};
    return settings::load("/etc/gw/gateway.yaml", view());
  }
};

const std::string kListen = R"(listen:
  api: 0.0.0.0:7443
  tls: {certificate: server.pem, key: server.key, client_ca: ca.pem}
)";
const std::string kRest = R"(store: {kind: sqlite, path: /var/gw.db}
keys: {key_encryption_key_file: kek}
whatsapp: {host: wa.test}
)";
const std::string kProviders = R"(providers:
  - {id: a, integrator: 7, issuer: "https://a", trust_level: IN_GATEWAY, adapter: native}
)";
const std::string kGood = kListen + kRest + kProviders;

std::string all(const std::vector<Problem>& problems) {
  std::string out;
  for (const auto& p : problems) out += p.text() + "\n";
  return out;
}
// The problems of a text that must have some.
std::vector<Problem> problems(const std::string& text, Disk disk = {}) {
  auto loaded = disk.load(text);
  if (loaded) {
    ADD_FAILURE() << "accepted: " << text;
    return {};
  }
  return loaded.error();
}
auto at(int line, int column, std::string_view key, std::string_view message) {
  return AllOf(Field(&Problem::line, line), Field(&Problem::column, column),
               Field(&Problem::key, std::string(key)),
               Field(&Problem::message, HasSubstr(std::string(message))));
}

TEST(Settings, TheSmallestFileGetsDefaults) {
  auto s = Disk{}.load(kGood);
  ASSERT_TRUE(s) << all(s.error());
  EXPECT_EQ(s->listen.api.text(), "0.0.0.0:7443");
  EXPECT_EQ(s->listen.tls.key, "/etc/gw/server.key");
  EXPECT_EQ(s->operators.listen.text(), "127.0.0.1:9464");
  EXPECT_EQ(s->store.path, "/var/gw.db");
  EXPECT_EQ(to_hex(s->keys.key_encryption_key.get()), kKekHex);
  EXPECT_EQ(to_hex(s->whatsapp.root_key), kWhatsAppRootKey);
  EXPECT_EQ(s->whatsapp.port, 443);
  EXPECT_EQ(s->whatsapp.keepalive_interval, Millis(20'000));
  EXPECT_EQ(s->limits.retention, Millis(7 * 86'400'000));
  EXPECT_EQ(s->limits.max_frame, 4u << 20);
  EXPECT_EQ(s->log.level, telemetry::Level::kInfo);
  EXPECT_GE(s->loops, 1u);
  ASSERT_EQ(s->providers.size(), 1u);
  EXPECT_EQ(s->providers[0].integrator, 7);
  EXPECT_TRUE(s->providers[0].interop_jid_server);
}

TEST(Settings, EveryValueIsTaken) {
  auto s = Disk{}.load(kListen + R"(store: {kind: sqlite, path: gw.db}
keys: {key_encryption_key_file: /etc/gw/kek}
operator: {listen: "[::1]:0"}
whatsapp:
  host: 10.0.0.1
  port: 5222
  root_key: 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20
  connect_timeout: 500ms
  keepalive: {interval: 1m, deadline: 9s}
  reconnect: {first: 50ms, most: 1h, settled: 1s}
  openings: {first: 1, most: 100000}
  outage: {failures: 2, probe_first: 100ms, probe_most: 10m}
limits:
  submit_window: 2
  max_frame: 1MiB
  events_per_user: 16
  store_pending: 1GiB
  waiting_timeout: 2s
  attach_grace: 0s
  resend_window: 48h
  retention: 3d
  drain_timeout: 1s
providers:
  - id: a
    integrator: 65535
    issuer: b
    trust_level: IN_GATEWAY
    adapter: native
    dialect: {interop_jid_server: false}
log: {level: debug, file: gw.log}
loops: 3
)");
  ASSERT_TRUE(s) << all(s.error());
  EXPECT_EQ(s->operators.listen.text(), "[::1]:0");
  EXPECT_EQ(s->store.path, "/etc/gw/gw.db");
  EXPECT_EQ(s->whatsapp.host, "10.0.0.1");
  EXPECT_EQ(s->whatsapp.port, 5222);
  EXPECT_EQ(s->whatsapp.root_key[31], 0x20);
  EXPECT_EQ(s->whatsapp.connect_timeout, Millis(500));
  EXPECT_EQ(s->whatsapp.keepalive_interval, Millis(60'000));
  EXPECT_EQ(s->whatsapp.keepalive_deadline, Millis(9'000));
  EXPECT_EQ(s->whatsapp.reconnect_first, Millis(50));
  EXPECT_EQ(s->whatsapp.reconnect_most, Millis(3'600'000));
  EXPECT_EQ(s->whatsapp.reconnect_settled, Millis(1'000));
  EXPECT_EQ(s->whatsapp.openings_first, 1u);
  EXPECT_EQ(s->whatsapp.openings_most, 100'000u);
  EXPECT_EQ(s->whatsapp.outage_failures, 2u);
  EXPECT_EQ(s->whatsapp.probe_first, Millis(100));
  EXPECT_EQ(s->whatsapp.probe_most, Millis(600'000));
  EXPECT_EQ(s->limits.submit_window, 2u);
  EXPECT_EQ(s->limits.max_frame, 1u << 20);
  EXPECT_EQ(s->limits.events_per_user, 16u);
  EXPECT_EQ(s->limits.store_pending, 1u << 30);
  EXPECT_EQ(s->limits.waiting_timeout, Millis(2'000));
  EXPECT_EQ(s->limits.attach_grace, Millis(0));
  EXPECT_EQ(s->limits.resend_window, Millis(172'800'000));
  EXPECT_EQ(s->limits.retention, Millis(259'200'000));
  EXPECT_EQ(s->limits.drain_timeout, Millis(1'000));
  EXPECT_FALSE(s->providers[0].interop_jid_server);
  EXPECT_EQ(s->log.level, telemetry::Level::kDebug);
  EXPECT_EQ(s->log.file, "/etc/gw/gw.log");
  EXPECT_EQ(s->loops, 3u);
}

TEST(Settings, PausesAndRatesOfOpeningsMustFitTogether) {
  auto found = problems(kListen + R"(store: {kind: sqlite, path: gw.db}
keys: {key_encryption_key_file: kek}
whatsapp:
  host: wa.test
  reconnect: {first: 10s, most: 5s}
  openings: {first: 41, most: 40}
  outage: {failures: 1, probe_first: 50s, probes: 3}
)" + kProviders);
  EXPECT_THAT(
      found,
      ElementsAre(at(8, 22, "whatsapp.reconnect.first", "must not be longer than most"),
                  at(9, 21, "whatsapp.openings.first", "must not be more than most"),
                  at(10, 22, "whatsapp.outage.failures", "from 2 to 1000, found \"1\""),
                  at(10, 38, "whatsapp.outage.probe_first", "must not be longer than probe_most"),
                  at(10, 43, "whatsapp.outage.probes", "is no setting")));
}

TEST(Settings, TenErrorsAreToldAtOnceEachWithItsLine) {
  auto found = problems(R"(listen:
  api: localhost:7443
  tls:
    certificate: missing.pem
    key: server.key
    client_ca: [ca.pem]
store: {kind: mysql, path: /var/gw.db}
keys:
  key_encryption_key_file: ca.pem
whatsapp:
  hots: wa.test
  port: 70000
  keepalive:
    interval: 20
limits:
  max_frame: "big"
  retention: 1d
  resend_window: 2d
providers:
  - {id: Provider_A, integrator: 7, issuer: x, trust_level: IN_GATEWAY, adapter: native}
log:
  level: warn
loops: yes
)");
  EXPECT_THAT(
      found,
      ElementsAre(at(2, 8, "listen.api", "expected an IP address and a port"),
                  at(4, 18, "listen.tls.certificate", "there is no file /etc/gw/missing.pem"),
                  at(6, 16, "listen.tls.client_ca", "expected the name of a file, found a list"),
                  at(7, 15, "store.kind", "expected one of sqlite, postgres, found \"mysql\""),
                  at(9, 28, "keys.key_encryption_key_file", "chmod 600"),
                  at(9, 28, "keys.key_encryption_key_file", "does not hold 32 octets"),
                  at(10, 1, "whatsapp.host", "is missing: expected a host name"),
                  at(11, 3, "whatsapp.hots", "is no setting; did you mean \"host\"?"),
                  at(12, 9, "whatsapp.port", "from 1 to 65535, found \"70000\""),
                  at(14, 15, "whatsapp.keepalive.interval", "with its unit"),
                  at(16, 14, "limits.max_frame", "with its unit (B, KiB, MiB, GiB), such as 4MiB"),
                  at(17, 14, "limits.retention", "not be shorter than resend_window"),
                  at(20, 10, "providers[0].id", "1 to 32 of a-z, 0-9 and -"),
                  at(22, 10, "log.level", "did you mean \"warning\"?"),
                  at(23, 8, "loops", "a whole number from 0 to 256")))
      << all(found);
  EXPECT_EQ(found[0].text().substr(0, 34), "/etc/gw/gateway.yaml:2:8: listen.a");
}

TEST(Settings, MissingSectionsAreToldOnceEach) {
  EXPECT_THAT(problems("loops: 1\n"),
              ElementsAre(at(1, 1, "listen", "is missing"), at(1, 1, "store", "is missing"),
                          at(1, 1, "keys", "is missing"), at(1, 1, "whatsapp", "is missing"),
                          at(1, 1, "providers", "is missing")));
}

TEST(Settings, AKeyThatIsGivenTwiceIsRefused) {
  EXPECT_THAT(problems(kGood + "loops: 1\nloops: 2\n"), ElementsAre(at(10, 1, "loops", "twice")));
}

TEST(Settings, AnUnknownKeyThatIsLikeNothingGetsNoSuggestion) {
  auto found = problems(kGood + "zzzzzzzz: 1\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].message, Not(HasSubstr("did you mean")));
}

TEST(Settings, WhatIsNoYamlHasItsLine) {
  EXPECT_THAT(problems("listen:\n  api: [1\nstore: x\n"), ElementsAre(at(3, 6, "", "is not YAML")));
  EXPECT_THAT(problems(""), ElementsAre(at(0, 0, "", "is empty")));
  EXPECT_THAT(problems("# nothing\n"), ElementsAre(at(0, 0, "", "is empty")));
  EXPECT_THAT(problems(kGood + "---\nloops: 2\n"),
              ElementsAre(Field(&Problem::message, HasSubstr("more than one"))));
  EXPECT_THAT(problems("- a\n"), ElementsAre(at(1, 1, "", "expected a section, found a list")));
  EXPECT_THAT(problems("listen:\n" + kRest + kProviders),
              ElementsAre(at(1, 1, "listen", "expected a section, found nothing")));
}

TEST(Settings, AFileThatIsNotThereIsToldAsSuch) {
  auto loaded = load("/nowhere/gateway.yaml");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(all(loaded.error()), "/nowhere/gateway.yaml: there is no such file\n");
}

TEST(Settings, SecretsThatOthersMayReadAreRefused) {
  for (unsigned mode : {0640u, 0604u, 0620u}) {
    Disk disk;
    disk.files["/etc/gw/server.key"].first = mode;
    disk.files["/etc/gw/kek"].first = mode;
    EXPECT_THAT(problems(kGood, disk),
                ElementsAre(at(3, 39, "listen.tls.key", "chmod 600"),
                            at(5, 33, "keys.key_encryption_key_file", "chmod 600")));
  }
}

TEST(Settings, APostgresTakesAConnectionStringWithoutAPassword) {
  const auto with = [&](const std::string& store) {
    return kListen + "store: {kind: postgres, " + store + "}\nwhatsapp: {host: x}\n" + kProviders +
           "keys: {key_encryption_key_file: /etc/gw/kek}\n";
  };
  for (const std::string uri :
       {"host=db1,db2 port=5432 dbname=gateway user=gateway", "postgresql://db1,db2/gateway",
        "postgres://gateway@db:5432/gateway?sslmode=verify-full", "postgresql:///gateway"}) {
    auto s = Disk{}.load(with("uri: '" + uri + "'"));
    ASSERT_TRUE(s) << uri;
    EXPECT_EQ(s->store.kind, Store::Kind::kPostgres);
    EXPECT_EQ(s->store.uri, uri);
  }
  for (const std::string uri : {"postgresql://gateway:hunter2@db/gateway", "localhost", "",
                                "host=db password = hunter2", "postgresql://db/x?password=hunter2",
                                "mysql://db/x", "postgresql://a:hunter2@b:1,c:2/gateway"}) {
    auto found = problems(with("uri: '" + uri + "'"));
    ASSERT_EQ(found.size(), 1u) << uri;
    EXPECT_EQ(found[0].key, "store.uri");
    EXPECT_THAT(found[0].message, HasSubstr("without a password"));
    EXPECT_THAT(all(found), Not(HasSubstr("hunter2"))) << "and is not repeated";
  }
  auto found = problems(with("path: gw.db"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(all(found), HasSubstr("store.path: is no setting"));
  EXPECT_THAT(all(found), HasSubstr("store.uri: is missing"));
}

TEST(Settings, AKeyInPlaceOfAFileNameIsNotRepeated) {
  auto found = problems(kListen + "store: {kind: sqlite, path: x}\nwhatsapp: {host: x}\n" +
                        kProviders + "keys: {key_encryption_key_file: " + kKekHex + "}\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].message, HasSubstr("found a key"));
  EXPECT_THAT(all(found), Not(HasSubstr("aaaa")));
}

TEST(Settings, TheKeyMayBeBase64AndMustBeWhole) {
  Disk disk;
  disk.files["/etc/gw/kek"].second = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n";
  auto s = disk.load(kGood);
  ASSERT_TRUE(s) << all(s.error());
  EXPECT_EQ(to_hex(s->keys.key_encryption_key.get()), kKekHex);
  for (const auto& text : {std::string(), std::string("\n"), std::string(62, 'a'),
                           std::string(63, 'a') + "g", std::string("qqqq")}) {
    disk.files["/etc/gw/kek"].second = text;
    EXPECT_THAT(problems(kGood, disk),
                ElementsAre(at(5, 33, "keys.key_encryption_key_file", "gwctl dev keys")));
  }
}

TEST(Settings, FilesOfTheWrongKindAreRefused) {
  Disk disk;
  std::swap(disk.files["/etc/gw/server.key"].second, disk.files["/etc/gw/server.pem"].second);
  EXPECT_THAT(problems(kGood, disk),
              ElementsAre(at(3, 22, "listen.tls.certificate", "holds no PEM certificate"),
                          at(3, 39, "listen.tls.key", "holds no PEM private key")));
}

TEST(Settings, ProvidersMayComeFromAFolder) {
  Disk disk;
  disk.files["/etc/gw/p/a.yaml"] = {
      0644, "id: a\nintegrator: 1\nissuer: x\ntrust_level: IN_GATEWAY\nadapter: native\n"};
  disk.files["/etc/gw/p/b.yaml"] = {
      0644, "id: b\nintegrator: 2\nissuer: y\ntrust_level: IN_GATEWAY\nadapter: native\n"};
  const auto text = kListen + kRest + "providers: {folder: p}\n";
  auto s = disk.load(text);
  ASSERT_TRUE(s) << all(s.error());
  ASSERT_EQ(s->providers.size(), 2u);
  EXPECT_EQ(s->providers[1].id, "b");

  disk.files["/etc/gw/p/b.yaml"].second =
      "id: a\nintegrator: 1\nissuer: x\ntrust_level: ON_DEVICE\nadapter: native\n";
  auto found = problems(text, disk);
  EXPECT_THAT(found, ElementsAre(at(1, 5, "id", "the provider at /etc/gw/p/a.yaml:1 already"),
                                 at(2, 13, "integrator", "already"), at(3, 9, "issuer", "already"),
                                 at(4, 14, "trust_level", "expected IN_GATEWAY")))
      << all(found);
  EXPECT_EQ(found[0].file, "/etc/gw/p/b.yaml");

  EXPECT_THAT(problems(kListen + kRest + "providers: {folder: q}\n", disk),
              ElementsAre(at(7, 21, "providers.folder", "there is no folder /etc/gw/q/")));
}

TEST(Settings, NoProviderIsNotEnough) {
  EXPECT_THAT(problems(kListen + kRest + "providers: []\n"),
              ElementsAre(at(7, 12, "providers", "at least one")));
  EXPECT_THAT(problems(kListen + kRest + "providers: all\n"),
              ElementsAre(at(7, 12, "providers", "a list of providers")));
}

TEST(Settings, AliasesAreRefused) {
  EXPECT_THAT(problems("listen: &x {api: 1}\nstore: *x\n"), ElementsAre(at(2, 8, "", "an alias")));
}

TEST(Settings, WhatIsSomethingElseAltogetherIsNotReportedAtLength) {
  std::string keys, many;
  for (int i = 0; i < 150; ++i) keys.append("k").append(std::to_string(i)).append(": 1\n");
  EXPECT_THAT(problems(keys), ElementsAre(at(1, 1, "", "too many keys")));
  for (int i = 0; i < 900; ++i) many += "  - {}\n";
  EXPECT_EQ(problems(kListen + kRest + "providers:\n" + many).size(), kMostProblems);
  for (int i = 0; i < 200; ++i) many += "  - {}\n";
  EXPECT_THAT(problems(kListen + kRest + "providers:\n" + many),
              ElementsAre(at(8, 3, "providers", "too many")));
}

TEST(Settings, NumbersAreStrict) {
  for (const char* text :
       {"-1", "+1", "1.0", "0x1", "1e3", "\"1\"", "99999999999999999999", "", "~"})
    EXPECT_THAT(problems(kGood + "loops: " + text + "\n"),
                ElementsAre(Field(&Problem::key, "loops")))
        << text;
}

TEST(Settings, DurationsAndSizes) {
  EXPECT_EQ(parse_duration("7d"), Millis(604'800'000));
  EXPECT_EQ(parse_duration("500ms"), Millis(500));
  EXPECT_EQ(parse_duration("0s"), Millis(0));
  EXPECT_EQ(parse_size("64MiB"), 64u << 20);
  EXPECT_EQ(parse_size("1B"), 1u);
  for (auto text : {"", "s", "5", "5 s", "-5s", "5S", "5s5s", "1.5s", "106751991168d", "5sec"})
    EXPECT_FALSE(parse_duration(text)) << text;
  for (auto text : {"", "5", "5MB", "5mib", "8589934592GiB", "1K"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Settings, EditDistance) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("hots", "host"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(Settings, TheExampleLoadsWithRealFiles) {
  namespace fs = std::filesystem;
  fs::path folder = testing::TempDir() + "gw_settings_" + std::to_string(getpid());
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::copy(fs::path(__FILE__).parent_path() / "../../../config", folder,
           fs::copy_options::recursive);
  fs::create_directories(folder / "certificates");
  fs::create_directories(folder / "keys");
  std::ofstream(folder / "certificates/server.pem") << kCertificate;
  std::ofstream(folder / "certificates/ca.pem") << kCertificate;
  std::ofstream(folder / "certificates/server.key") << kPrivateKey;
  std::ofstream(folder / "keys/key_encryption_key") << kKekHex << "\n";
  for (auto secret : {"certificates/server.key", "keys/key_encryption_key"})
    ASSERT_EQ(chmod((folder / secret).c_str(), 0600), 0);

  const auto example = (folder / "gateway.example.yaml").string();
  auto s = load(example);
  ASSERT_TRUE(s) << all(s.error());
  EXPECT_EQ(s->providers.at(0).id, "example");

  // What is commented out shows the defaults: with it, the settings are the same.
  std::ifstream in(example);
  std::string text, uncommented;
  for (std::string line; std::getline(in, line);) {
    auto word = line.find_first_not_of("# ");
    bool setting =
        line.starts_with("#") && word != std::string::npos && line.find(':') != std::string::npos &&
        line.substr(word, line.find(':') - word).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") ==
            std::string::npos;
    uncommented += (setting ? line.substr(line.starts_with("# ") ? 2 : 1) : line) + "\n";
  }
  const auto full = (folder / "full.yaml").string();
  std::ofstream(full) << uncommented;
  auto f = load(full);
  ASSERT_TRUE(f) << all(f.error()) << uncommented;
  EXPECT_EQ(f->operators.listen.text(), s->operators.listen.text());
  EXPECT_EQ(f->whatsapp.root_key, s->whatsapp.root_key);
  EXPECT_EQ(f->whatsapp.port, s->whatsapp.port);
  EXPECT_EQ(f->whatsapp.connect_timeout, s->whatsapp.connect_timeout);
  EXPECT_EQ(f->whatsapp.keepalive_interval, s->whatsapp.keepalive_interval);
  EXPECT_EQ(f->whatsapp.keepalive_deadline, s->whatsapp.keepalive_deadline);
  EXPECT_EQ(f->limits.submit_window, s->limits.submit_window);
  EXPECT_EQ(f->limits.max_frame, s->limits.max_frame);
  EXPECT_EQ(f->limits.events_per_user, s->limits.events_per_user);
  EXPECT_EQ(f->limits.store_pending, s->limits.store_pending);
  EXPECT_EQ(f->limits.waiting_timeout, s->limits.waiting_timeout);
  EXPECT_EQ(f->limits.attach_grace, s->limits.attach_grace);
  EXPECT_EQ(f->limits.resend_window, s->limits.resend_window);
  EXPECT_EQ(f->limits.retention, s->limits.retention);
  EXPECT_EQ(f->limits.drain_timeout, s->limits.drain_timeout);
  EXPECT_EQ(f->log.level, s->log.level);
  EXPECT_EQ(f->log.file, folder / "gateway.log");
  EXPECT_EQ(f->loops, s->loops);

  ASSERT_EQ(chmod((folder / "keys/key_encryption_key").c_str(), 0644), 0);
  fs::remove(folder / "certificates/ca.pem");
  fs::create_directories(folder / "certificates/ca.pem");
  auto broken = load(example);
  ASSERT_FALSE(broken);
  EXPECT_THAT(all(broken.error()),
              AllOf(HasSubstr("is not a regular file"), HasSubstr("chmod 600")));
  EXPECT_EQ(broken.error().size(), 2u);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace gw::settings
