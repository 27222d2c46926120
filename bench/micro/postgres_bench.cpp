// What a change set costs on PostgreSQL: CPU time of the server's processes and of the writing
// thread, on a server of the program's own, 2,000 users in turn, a partition of two days for a week
// of retention.
//   inbound:  a message that came: ratchet, received id, event
//   outbound: a message that leaves, then its ack and receipt: ratchet, message, its update, two
//   events

#include <benchmark/benchmark.h>
#include <time.h>
#include <vector>

#include "crypto/crypto.h"
#include "store/backend.h"
#include "store/private_postgres.h"

namespace gw::store {
namespace {

constexpr std::size_t kUsers = 2'000, kRecord = 450, kContent = 250, kStanza = 400, kEvent = 250;
constexpr int kPartitions = 5;
constexpr Millis kPartition{2 * 24 * 3600'000};

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
  Order next_order = 1;
  EventSeq next_event = 1;
  Tag contact = any_tag();
};

class Bench {
 public:
  Bench() : server_(std::vector<std::string>{"shared_buffers='256MB'", "max_wal_size='4GB'"}) {
    PostgresOptions options;
    options.uri = server_.uri("bench");
    backend_ = open_postgres(options).value();
    for (std::size_t i = 0; i < kUsers; ++i) {
      Enlistment e{1, any_tag(), crypto::random_u64(), [](UserRef, Version) -> Result<EnlistRows> {
                     return EnlistRows{noise(600), {}};
                   }};
      users_.push_back({backend_->enlist(e).value().first});
    }
    for (int day = 0; day < kPartitions; ++day) {
      now_ = from_unix_ms(1'700'000'000'000) + day * kPartition;
      for (int batch = 0; batch < 20; ++batch) apply(inbound(100));
    }
  }
  User& next() { return users_[at_++ % users_.size()]; }

  std::vector<Sealed> inbound(std::size_t size) {
    std::vector<Sealed> batch;
    for (std::size_t i = 0; i < size; ++i) {
      User& user = next();
      ChangeSet c = change(user);
      c.ratchets.push_back({user.contact, 0, noise(kRecord)});
      c.received.push_back({any_tag(), any_tag(), user.next_event, now_});
      add_event(user, c);
      batch.push_back({std::move(c), 0});
    }
    return batch;
  }
  // Two batches.
  std::pair<std::vector<Sealed>, std::vector<Sealed>> outbound(std::size_t size) {
    std::pair<std::vector<Sealed>, std::vector<Sealed>> batches;
    for (std::size_t i = 0; i < size; ++i) {
      User& user = next();
      MessageInsert m;
      m.order = user.next_order++;
      m.request = any_tag(), m.body_mac = any_tag(), m.contact = user.contact;
      m.state = message::State::kReady;
      m.created = now_;
      m.content = noise(kContent), m.stanza = noise(kStanza);
      ChangeSet leaves = change(user);
      leaves.lowest_unsettled = m.order;
      leaves.ratchets.push_back({user.contact, 0, noise(kRecord)});
      MessageUpdate u;
      u.order = m.order;
      u.created = now_;
      u.state = message::State::kDelivered;
      u.stanza = Bytes{};
      leaves.messages.push_back(std::move(m));
      ChangeSet settles = change(user);
      settles.updates.push_back(std::move(u));
      add_event(user, settles), add_event(user, settles);
      batches.first.push_back({std::move(leaves), 0});
      batches.second.push_back({std::move(settles), 0});
    }
    return batches;
  }
  void apply(const std::vector<Sealed>& batch) {
    auto outcomes = backend_->apply(batch);
    if (!outcomes) throw std::runtime_error(std::string(outcomes.error().reason));
    for (const auto& o : *outcomes)
      if (!o.applied()) throw std::runtime_error("not applied");
  }
  double server_us() const { return server_.cpu_us(); }

 private:
  ChangeSet change(User& user) {
    ChangeSet c;
    c.user = user.ref;
    c.version = user.version++;
    c.change = crypto::random_u64();
    c.next_order = c.lowest_unsettled = user.next_order;
    c.next_event = user.next_event;
    c.acked_event = user.next_event - 1;
    return c;
  }
  void add_event(User& user, ChangeSet& c) {
    c.events.push_back({user.next_event++, now_, noise(kEvent)});
    c.next_event = user.next_event;
  }

  test::PrivatePostgres server_;
  std::unique_ptr<Backend> backend_;
  std::vector<User> users_;
  std::size_t at_ = 0;
  WallTime now_;
};
Bench& bench() {
  static Bench b;
  return b;
}

template <class Prepare, class Run>
void measure(benchmark::State& state, Prepare prepare, Run run) {
  auto& b = bench();
  const auto size = static_cast<std::size_t>(state.range(0));
  double client = 0, messages = 0;
  const double server = b.server_us();
  for (auto _ : state) {
    state.PauseTiming();
    auto work = prepare(b, size);
    state.ResumeTiming();
    const double start = thread_us();
    run(b, work);
    client += thread_us() - start;
    messages += static_cast<double>(size);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(messages));
  state.counters["us_server"] = (b.server_us() - server) / messages;
  state.counters["us_client"] = client / messages;
}

void BM_Inbound(benchmark::State& state) {
  measure(
      state, [](Bench& b, std::size_t n) { return b.inbound(n); },
      [](Bench& b, const auto& batch) { b.apply(batch); });
}
void BM_Outbound(benchmark::State& state) {
  measure(
      state, [](Bench& b, std::size_t n) { return b.outbound(n); },
      [](Bench& b, const auto& two) { b.apply(two.first), b.apply(two.second); });
}
BENCHMARK(BM_Inbound)->Arg(1)->Arg(10)->Arg(50)->Arg(250)->UseRealTime()->MinTime(2.0);
BENCHMARK(BM_Outbound)->Arg(1)->Arg(10)->Arg(50)->Arg(250)->UseRealTime()->MinTime(2.0);

}  // namespace
}  // namespace gw::store

BENCHMARK_MAIN();
