// Seeded random histories of one user against an oracle: a server that loses the link at any
// stanza, phones that really decrypt, crashes, commits that fail, are lost or found. A failure
// prints its seed and the fewest operations that lead to it. GW_SEED is the first history's seed,
// GW_HISTORIES how many there are.

#include <cstdlib>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <iostream>

#include "history.h"
#include "store_rows.h"

namespace gw::user::testing {
namespace {

using MakeRows = std::function<std::unique_ptr<Rows>()>;

constexpr int kMostTries = 400;  // of a smaller history
constexpr auto kMostShrinking = std::chrono::seconds(40);

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Played {
  std::string failure;  // empty: none
  std::size_t steps = 0;
};

Played play(std::uint64_t seed, const Operations& operations, const MakeRows& rows) {
  ::testing::TestPartResultArray results;
  Played played;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    try {
      History history(seed, rows(), [&results] { return results.size() > 0; });
      history.run(operations);
      played.steps = history.steps();
    } catch (const std::exception& error) {
      played.failure = error.what();
    }
  }
  for (int i = 0; i < results.size(); ++i) {
    const auto& r = results.GetTestPartResult(i);
    played.failure += std::string(r.file_name() != nullptr ? r.file_name() : "") + ":" +
                      std::to_string(r.line_number()) + ": " + r.message() + "\n";
  }
  return played;
}

// Leaves out halves, quarters... as long as what is left still fails.
Operations shrink(std::uint64_t seed, Operations operations, const MakeRows& rows) {
  const auto until = std::chrono::steady_clock::now() + kMostShrinking;
  int tries = 0;
  for (std::size_t part = (operations.size() + 1) / 2; part > 0;) {
    bool smaller = false;
    for (std::size_t from = 0; from < operations.size();) {
      if (++tries > kMostTries || std::chrono::steady_clock::now() > until) return operations;
      auto less = operations;
      const auto first = less.begin() + static_cast<std::ptrdiff_t>(from);
      less.erase(first,
                 first + static_cast<std::ptrdiff_t>(std::min(part, operations.size() - from)));
      if (play(seed, less, rows).failure.empty()) {
        from += part;
      } else {
        operations = std::move(less);
        smaller = true;
      }
    }
    if (!smaller || part > operations.size()) part /= 2;
  }
  return operations;
}

void report(std::uint64_t seed, const Operations& operations, const MakeRows& rows) {
  const auto least = shrink(seed, operations, rows);
  auto played = play(seed, least, rows);
  if (played.failure.empty()) played.failure = "(not the second time)";
  std::string list;
  for (const auto& op : least) list += "  " + describe(op) + "\n";
  ADD_FAILURE() << "GW_SEED=" << seed << " GW_HISTORIES=1 replays it. Of " << operations.size()
                << " operations these " << least.size()
                << " are enough (limits: " << History::limits_of(seed) << "):\n"
                << list << played.failure;
}

void explore(std::uint64_t histories, const MakeRows& rows) {
  const auto first = number("GW_SEED", std::random_device{}());
  histories = number("GW_HISTORIES", histories);
  std::cout << "GW_SEED=" << first << ", " << histories << " histories\n";
  std::size_t steps = 0, operations = 0;
  for (std::uint64_t i = 0; i < histories; ++i) {
    std::mt19937_64 random(first + i);
    const auto drawn = draw(random, 20 + random() % 130);
    auto played = play(first + i, drawn, rows);
    if (!played.failure.empty()) return report(first + i, drawn, rows);
    steps += played.steps;
    operations += drawn.size();
  }
  std::cout << operations << " operations, " << steps << " steps\n";
}

bool is_long() { return number("GW_LONG", 0) != 0; }

TEST(StepModel, ARandomLifeLosesDoublesAndReordersNothing) {
  explore(is_long() ? 40'000 : 1'000, [] { return std::make_unique<MemoryRows>(); });
}

class StoredModel : public ::testing::TestWithParam<store::test::BackendKind> {};

TEST_P(StoredModel, ARandomLifeInARealStore) {
  store::test::Deployment deployment(GetParam());
  explore(is_long() ? 400 : 12, [&] { return std::make_unique<StoreRows>(deployment); });
}

INSTANTIATE_TEST_SUITE_P(Backend, StoredModel, ::testing::ValuesIn(store::test::backends()),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace gw::user::testing
