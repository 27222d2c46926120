#include "store/deployment.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <stdlib.h>

#include "store/private_postgres.h"

namespace gw::store::test {

std::string database_of(const std::string& folder) {
  return std::filesystem::path(folder + "/").parent_path().filename().string();
}

std::vector<BackendKind> backends() {
  return {{"sqlite", [](const std::string& folder) { return open_sqlite(folder + "/store.db"); }},
          {"postgres", [](const std::string& folder) {
             PostgresOptions options;
             options.uri = PrivatePostgres::shared().uri(database_of(folder));
             return open_postgres(options);
           }}};
}

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "gw-store-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}
Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("GW_SEED");
    std::uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(s));
    return s;
  }();
  return value;
}

crypto::Key32 test_kek(std::uint8_t fill) {
  crypto::Key32 key;
  key.fill(fill);
  return key;
}

Tag tag(std::string_view text) {
  auto hash = crypto::sha256(as_bytes(text));
  Tag tag;
  std::copy_n(hash.begin(), tag.size(), tag.begin());
  return tag;
}

// Not operator+: GCC 12 warns wrongly about it in optimised builds.
std::string named(std::string_view a, std::string_view b) {
  std::string all(a);
  all.append(b);
  return all;
}
std::string numbered(std::string_view name, std::int64_t n) {
  return named(name, std::to_string(n));
}

ChangeSet TestUser::change() const {
  ChangeSet c;
  c.user = ref;
  c.term = term;
  c.version = version;
  c.change = crypto::random_u64();
  c.next_order = next_order;
  c.lowest_unsettled = lowest_unsettled;
  c.next_event = next_event;
  c.acked_event = acked_event;
  return c;
}

MessageInsert& TestUser::add_message(ChangeSet& c, std::string_view request,
                                     std::string_view content) {
  MessageInsert m;
  m.order = c.next_order++;
  m.request = tag(request);
  m.body_mac = tag(std::string(request) + std::string(content));
  m.contact = tag("contact");
  m.state = message::State::kReady;
  m.created = from_unix_ms(1'000 * m.order);
  m.content = to_bytes(content);
  m.stanza = to_bytes("stanza of " + std::string(content));
  c.ratchets.push_back({tag("contact"), static_cast<std::uint16_t>(c.ratchets.size()),
                        to_bytes("ratchet at " + std::string(content))});
  return c.messages.emplace_back(std::move(m));
}

void TestUser::add_event(ChangeSet& c, std::string_view payload) {
  c.events.push_back({c.next_event, from_unix_ms(1'000 * c.next_event), to_bytes(payload)});
  ++c.next_event;
}

void TestUser::took(const ChangeSet& c) {
  version = c.version + 1;
  next_order = c.next_order;
  lowest_unsettled = c.lowest_unsettled;
  next_event = c.next_event;
  acked_event = c.acked_event;
}

Deployment::Deployment(BackendKind kind, StoreOptions options)
    : kind_(std::move(kind)), options_(options) {
  if (auto opened = open(); !opened) throw std::runtime_error(std::string(opened.error().reason));
}

std::unique_ptr<Backend> Deployment::raw() {
  auto backend = kind_.open(folder_.path());
  if (!backend) throw std::runtime_error(std::string(backend.error().reason));
  return *std::move(backend);
}

Result<void> Deployment::open(const crypto::Key32& kek) {
  GW_ASSIGN(auto backend, kind_.open(folder_.path()));
  if (faults_) backend = with_faults(std::move(backend), faults_);
  GW_ASSIGN(store_, Store::open(std::move(backend), kek, options_, clock_));
  return {};
}

void Deployment::reopen() {
  close();
  if (auto opened = open(); !opened) throw std::runtime_error(std::string(opened.error().reason));
}

TestUser Deployment::enlist(std::string_view name, TenantId tenant) {
  auto made = await<Result<Store::Enlisted>>([&](auto done) {
    store().enlist(tenant, tag(name), to_bytes("profile of " + std::string(name)),
                   {{1, to_bytes("prekeys 1")}, {51, to_bytes("prekeys 51")}}, done);
  });
  if (!made) throw std::runtime_error(std::string(made.error().reason));
  TestUser user;
  user.ref = made->user;
  user.term = claim(user.ref).value();
  return user;
}

Outcome Deployment::apply(const ChangeSet& change) {
  return await<Outcome>([&](auto done) { store().apply(ChangeSet(change), done); });
}
Outcome Deployment::apply(TestUser& user, const ChangeSet& change) {
  Outcome outcome = apply(change);
  if (outcome.applied()) user.took(change);
  return outcome;
}
Result<Term> Deployment::claim(UserRef user) {
  return await<Result<Term>>([&](auto done) {
    store().claim(
        user, [] { return true; }, done);
  });
}
Result<std::vector<PrekeyBatch>> Deployment::prekeys(UserRef user) {
  return await<Result<std::vector<PrekeyBatch>>>(
      [&](auto done) { store().load_prekeys(user, done); });
}

Result<std::optional<UserRows>> Deployment::load(UserRef user) {
  return await<Result<std::optional<UserRows>>>([&](auto done) { store().load(user, done); });
}
Result<std::vector<EventRow>> Deployment::events(UserRef user, EventSeq after, std::size_t limit,
                                                 std::size_t bytes) {
  return await<Result<std::vector<EventRow>>>(
      [&](auto done) { store().load_events(user, after, limit, bytes, done); });
}
Result<Conversation> Deployment::conversation(UserRef user, std::string_view contact) {
  return await<Result<std::vector<Conversation>>>(
             [&](auto done) { store().load_conversations(user, {tag(contact)}, done); })
      .map([](const auto& all) { return all.at(0); });
}
Result<std::vector<MessageRow>> Deployment::messages(UserRef user, std::vector<Order> orders) {
  return await<Result<std::vector<MessageRow>>>(
      [&](auto done) { store().load_messages(user, orders, done); });
}
Result<std::size_t> Deployment::sweep(WallTime before, std::size_t limit) {
  return await<Result<std::size_t>>([&](auto done) { store().sweep(before, limit, done); });
}

}  // namespace gw::store::test
