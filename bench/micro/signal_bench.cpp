// The Signal room alone: what one message costs, including reading and writing its record.

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <map>

#include "signal/signal.h"

namespace gw::signal {
namespace {

// One conversation's rows in memory.
class Side final : public Reader {
 public:
  Side() : identity_(generate_identity()), signed_(generate_signed_prekey(identity_, 1)) {
    for (auto& made : generate_prekeys(1, 2)) prekeys_.emplace(made.id, made);
  }
  const Identity& identity() const override { return identity_; }
  const Bytes* ratchet(const Address&) const override { return record ? &*record : nullptr; }
  const PreKey* prekey(std::uint32_t id) const override {
    const auto at = prekeys_.find(id);
    return at == prekeys_.end() ? nullptr : &at->second;
  }
  const SignedPreKey* signed_prekey(std::uint32_t) const override { return &signed_; }
  const Key32* remote_identity(const Address&) const override {
    return remote ? &*remote : nullptr;
  }
  Bundle bundle() const {
    const PreKey& one = prekeys_.at(1);
    return {identity_.registration_id, identity_.keys.pub, signed_.id,
            signed_.keys.pub,          signed_.signature,  Bundle::OneTime{one.id, one.keys.pub}};
  }
  void apply(Writes&& writes) {
    if (writes.ratchet) record = std::move(writes.ratchet);
    if (writes.remote_identity) remote = writes.remote_identity;
  }

  std::optional<Bytes> record;
  std::optional<Key32> remote;

 private:
  Identity identity_;
  SignedPreKey signed_;
  std::map<std::uint32_t, PreKey> prekeys_;
};

const Address kPeer{"peer", 0};

template <class T>
T expect(Result<T> result) {
  if (!result) std::abort();
  return *std::move(result);
}

Encrypted seal(Engine& engine, Side& side, ByteView text) {
  Encrypted sealed = expect(engine.encrypt(side, kPeer, text));
  side.apply(std::move(sealed.writes));
  return sealed;
}
void open(Engine& engine, Side& side, const Encrypted& sealed) {
  Decrypted opened = expect(engine.decrypt(side, kPeer, sealed.type, sealed.ciphertext));
  side.apply(std::move(opened.writes));
  benchmark::DoNotOptimize(opened.plaintext.data());
}

struct Conversation {
  Engine engine;
  Side a, b;
  Bytes text = Bytes(200, 0x61);

  Conversation() {
    a.apply(expect(engine.start(a, kPeer, b.bundle())));
    open(engine, b, seal(engine, a, text));
    open(engine, a, seal(engine, b, text));
  }
};

void encrypt_200(benchmark::State& state) {
  Conversation c;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(seal(c.engine, c.a, c.text));
  state.counters["record"] = static_cast<double>(c.a.record->size());
}

void decrypt_200(benchmark::State& state) {
  Conversation c;
  std::vector<Encrypted> batch;
  for ([[maybe_unused]] auto _ : state) {
    if (batch.empty()) {
      state.PauseTiming();
      for (int i = 0; i < 1000; ++i) batch.push_back(seal(c.engine, c.a, c.text));
      std::reverse(batch.begin(), batch.end());
      state.ResumeTiming();
    }
    open(c.engine, c.b, batch.back());
    batch.pop_back();
  }
}

void ping_pong(benchmark::State& state) {
  Conversation c;
  for ([[maybe_unused]] auto _ : state) {
    open(c.engine, c.b, seal(c.engine, c.a, c.text));
    open(c.engine, c.a, seal(c.engine, c.b, c.text));
  }
}

void start_and_first_message(benchmark::State& state) {
  Engine engine;
  Side a, b;
  const Bytes text(200, 0x61);
  const Bundle bundle = b.bundle();
  for ([[maybe_unused]] auto _ : state) {
    a.record.reset();
    a.apply(expect(engine.start(a, kPeer, bundle)));
    benchmark::DoNotOptimize(seal(engine, a, text));
  }
}

void answer_first_message(benchmark::State& state) {
  Engine engine;
  Side a, b;
  a.apply(expect(engine.start(a, kPeer, b.bundle())));
  const Encrypted first = seal(engine, a, Bytes(200, 0x61));
  for ([[maybe_unused]] auto _ : state) {
    b.record.reset();
    open(engine, b, first);
  }
}

void generate_50_prekeys(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(generate_prekeys(1, 50));
}

void make_engine(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(Engine());
}

BENCHMARK(encrypt_200)->Unit(benchmark::kMicrosecond);
BENCHMARK(decrypt_200)->Unit(benchmark::kMicrosecond);
BENCHMARK(ping_pong)->Unit(benchmark::kMicrosecond);
BENCHMARK(start_and_first_message)->Unit(benchmark::kMicrosecond);
BENCHMARK(answer_first_message)->Unit(benchmark::kMicrosecond);
BENCHMARK(generate_50_prekeys)->Unit(benchmark::kMicrosecond);
BENCHMARK(make_engine)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace gw::signal

BENCHMARK_MAIN();
