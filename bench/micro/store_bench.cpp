// What a change set costs. The step that sends a message: one ratchet, one message row, the
// account, 20,000 users in turn. items/s and us_cpu count change sets; us_cpu is of the writing
// thread only.
//   backend: the statements and the commit alone, on rows as they are after sealing
//   store:   sealing on the caller, hand-over, commit; us_seal is the caller's share

#include <algorithm>
#include <benchmark/benchmark.h>
#include <filesystem>
#include <future>
#include <memory>
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>
#include <vector>

#include "crypto/crypto.h"
#include "store/store.h"

namespace gw::store {
namespace {

constexpr std::int64_t kUsers = 20'000;
constexpr std::size_t kRecord = 600, kContent = 250, kStanza = 400;

struct Folder {
  Folder() {
    // Not the temporary folder: that may be memory.
    const char* at = std::getenv("GW_BENCH_DIR");
    std::string name = std::string(at != nullptr ? at : "/var/tmp") + "/gw-bench-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

double thread_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

Bytes noise(std::size_t size) {
  Bytes out(size);
  crypto::random_bytes(out);
  return out;
}
Tag any_tag() {
  Tag tag;
  crypto::random_bytes(tag);
  return tag;
}

struct User {
  UserRef ref;
  Version version = 0;
  Order next = 1, lowest = 1;
  EventSeq next_event = 1;
  Tag contact = any_tag();
};

ChangeSet send_step(User& user, const Bytes& record, const Bytes& content, const Bytes& stanza) {
  ChangeSet c;
  c.user = user.ref;
  c.term = 0;
  c.version = user.version++;
  c.change = crypto::random_u64();
  c.ratchets.push_back({user.contact, 0, record});
  MessageInsert& m = c.messages.emplace_back();
  m.order = user.next++;
  m.request = any_tag();
  m.body_mac = any_tag();
  m.contact = user.contact;
  m.state = message::State::kReady;
  m.created = from_unix_ms(1'700'000'000'000);
  m.content = content;
  m.stanza = stanza;
  c.next_order = user.next;
  c.lowest_unsettled = user.lowest;
  c.next_event = user.next_event;
  return c;
}

// The second step: WhatsApp's ack. The stanza is forgotten, an event says SENT.
ChangeSet settle_step(User& user, const Bytes& event) {
  ChangeSet c;
  c.user = user.ref;
  c.version = user.version++;
  c.change = crypto::random_u64();
  c.next_order = c.lowest_unsettled = user.lowest = user.next;
  MessageUpdate& u = c.updates.emplace_back();
  u.order = user.next - 1;
  u.state = message::State::kSent;
  u.stanza = Bytes{};
  c.events.push_back({user.next_event++, from_unix_ms(1'700'000'000'000), event});
  c.next_event = user.next_event;
  return c;
}

// Twenty thousand accounts at once: enlisting them would be as many commits.
std::vector<User> make_users(const std::string& path) {
  { auto schema = open_sqlite(path).value(); }
  sqlite3* db = nullptr;
  const std::string sql =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" +
      std::to_string(kUsers) +
      ") INSERT INTO account (tenant, user_tag, change, term, version, next_order,"
      " lowest_unsettled, next_event, acked_event, state)"
      " SELECT 1, randomblob(16), 0, 0, 0, 1, 1, 1, 0, 0 FROM n";
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK ||
      sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    std::abort();
  sqlite3_close(db);
  std::vector<User> users;
  for (std::int64_t uid = 1; uid <= kUsers; ++uid) users.push_back({{1, uid}});
  // Spread: users that write together do not lie together.
  for (std::size_t i = users.size(); i > 1; --i)
    std::swap(users[i - 1], users[crypto::random_u64() % i]);
  return users;
}

struct Fixture {
  Fixture() {
    users = make_users(folder.path / "store.db");
    backend = open_sqlite(folder.path / "store.db").value();
  }
  Folder folder;
  std::unique_ptr<Backend> backend;
  std::vector<User> users;
  std::size_t at = 0;
  User& next() { return users[at++ % users.size()]; }
};
Fixture& fixture() {
  static Fixture f;
  return f;
}

void BM_Backend(benchmark::State& state) {
  auto& f = fixture();
  const auto size = static_cast<std::size_t>(state.range(0));
  const bool settle = state.range(1) != 0;
  const Bytes record = noise(kRecord), content = noise(kContent), stanza = noise(kStanza);
  double cpu = 0;
  std::int64_t sets = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Sealed> batch, acks;
    for (std::size_t i = 0; i < size; ++i) {
      User& user = f.next();
      batch.push_back({send_step(user, record, content, stanza), 0});
      if (settle) acks.push_back({settle_step(user, content), 0});
    }
    state.ResumeTiming();
    double start = thread_us();
    for (auto* some : {&batch, &acks}) {
      if (some->empty()) continue;
      auto outcomes = f.backend->apply(*some);
      if (!outcomes || !outcomes->back().applied()) return state.SkipWithError("not applied");
      sets += static_cast<std::int64_t>(some->size());
    }
    cpu += thread_us() - start;
  }
  state.SetItemsProcessed(sets);
  state.counters["us_cpu"] = cpu / static_cast<double>(sets);
}
BENCHMARK(BM_Backend)
    ->ArgNames({"batch", "settle"})
    ->ArgsProduct({{1, 10, 100, 256}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1.0);

void BM_Store(benchmark::State& state) {
  Folder folder;
  auto users = make_users(folder.path / "store.db");
  auto backend = open_sqlite(folder.path / "store.db").value();
  SystemClock clock;
  auto store = Store::open(std::move(backend), crypto::Key32{}, {}, clock).value();
  const Bytes record = noise(kRecord), content = noise(kContent), stanza = noise(kStanza);
  const auto in_flight = static_cast<std::size_t>(state.range(0));
  double seal_us = 0;
  std::size_t at = 0;
  std::int64_t sets = 0;
  std::uint64_t before = store->probe().commit_cpu_us;
  for (auto _ : state) {
    std::atomic<std::size_t> left{in_flight};
    std::promise<void> all;
    for (std::size_t i = 0; i < in_flight; ++i) {
      auto change = send_step(users[at++ % users.size()], record, content, stanza);
      double start = thread_us();
      store->apply(std::move(change), [&](Outcome) {
        if (--left == 0) all.set_value();
      });
      seal_us += thread_us() - start;
    }
    all.get_future().wait();
    sets += static_cast<std::int64_t>(in_flight);
  }
  const auto n = static_cast<double>(sets);
  state.SetItemsProcessed(sets);
  state.counters["us_cpu"] = static_cast<double>(store->probe().commit_cpu_us - before) / n;
  state.counters["us_seal"] = seal_us / n;
  state.counters["batch"] = n / static_cast<double>(store->probe().commits);
}
BENCHMARK(BM_Store)
    ->ArgName("in_flight")
    ->Arg(1)
    ->Arg(100)
    ->Arg(1000)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1.0);

}  // namespace
}  // namespace gw::store

BENCHMARK_MAIN();
