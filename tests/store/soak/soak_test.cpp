// Retention as an operator sees it: after days of life the disk takes no more than it did before,
// also when a transaction was held open beside the gateway for days.
//
// Time is pressed together, and PostgreSQL's autovacuum, which looks every minute, would hardly
// have a turn. So VACUUM is called for the hot tables once a day and for all, with the catalogs,
// each fourth: less than autovacuum would do. TRUNCATE off: a file's empty end would wait for its
// lock.

#include <algorithm>
#include <cstdio>
#include <gmock/gmock.h>
#include <pqxx/connection>
#include <pqxx/transaction>

#include "store/private_postgres.h"
#include "store/soak/life.h"
#include "store/sqlite_file.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::UnorderedElementsAre;

bool is_long() {
  const char* text = std::getenv("GW_LONG");
  return text != nullptr && *text != '\0';
}

constexpr std::uint64_t kMiB = 1 << 20;
// What a table of a few pages may differ by: pages come whole, and maps of them three at a time.
constexpr std::uint64_t kPages = 64 << 10;
// Vacuum empties these; all others go by partitions.
constexpr Part kHot[] = {Part::kAccount, Part::kProfile, Part::kRatchet,
                         Part::kContact, Part::kPrekey,  Part::kUndecrypted};
constexpr Part kPartitioned[] = {Part::kMessage, Part::kEvent, Part::kReceived};

std::string name_of(Part part) { return std::string(kPartNames[static_cast<std::size_t>(part)]); }

bool is_within(std::uint64_t now, std::uint64_t bound) {
  return now <= bound + bound / 10 + kPages;
}

// The parts that take more now than a tenth above what they took then, and "total". Free pages are
// no growth: they lie in the file.
std::vector<std::string> grown(const Sizes& then, const Sizes& now) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < kPartNames.size(); ++i) {
    const auto part = static_cast<Part>(i);
    if (part != Part::kFree && !is_within(now[part], then[part])) parts.push_back(name_of(part));
  }
  if (!is_within(now.total(), then.total())) parts.emplace_back("total");
  return parts;
}

// A deployment that lives day after day, with what its database does by itself, and a table of it.
class Soak : public testing::Test {
 protected:
  void begin(const BackendKind& kind, int users, int days) {
    (void)seed();
    is_postgres_ = kind.name == "postgres";
    d_.emplace(kind);
    life_.emplace(*d_, users, days);
  }
  // Until the end of that day. Returns the sizes then.
  Sizes live(int until, bool sweeps = true) {
    while (life_->day() < until) {
      life_->live_a_day();
      if (sweeps) {
        swept_ = life_->sweep();
        if (!swept_ && !may_be_refused_) ADD_FAILURE() << "sweep: " << swept_.error().reason;
      }
      vacuum();
      now_ = life_->sizes();
      for (std::size_t i = 0; i < kPartNames.size(); ++i)
        most_.bytes[i] = std::max(most_.bytes[i], now_.bytes[i]);
      if (life_->day() % 4 == 0) print();
    }
    return now_;
  }
  bool is_postgres() const { return is_postgres_; }
  // Rows that should have been forgotten: one file, or one table, hides a small one that grows.
  std::int64_t count_old(const std::string& table, const std::string& time) const {
    auto before = life_->kept_since();
    if (is_postgres()) before -= 2 * kDay;  // whole partitions
    const auto sql = "SELECT CAST(count(*) AS text) FROM " + table + " WHERE " + time + "<" +
                     std::to_string(unix_ms(before));
    if (is_postgres()) return std::stoll(server().value(database(), sql));
    return std::stoll(text(RawFile(d_->folder() + "/store.db").one(sql)));
  }
  // PostgreSQL's whole database, with its catalogs.
  std::uint64_t database_size() const {
    if (!is_postgres()) return 0;
    return std::stoull(server().value(database(), "SELECT pg_database_size(current_database())"));
  }
  std::string database() const { return database_of(d_->folder()); }
  static PrivatePostgres& server() { return PrivatePostgres::shared(); }

  std::optional<Deployment> d_;
  std::optional<Life> life_;
  bool may_be_refused_ = false;
  Result<std::size_t> swept_ = 0;  // by the last sweep
  Sizes most_;                     // of each part, since it was last set

 private:
  void vacuum() {
    if (!is_postgres()) return;
    std::string sql = "VACUUM (TRUNCATE off)";
    if (life_->day() % 4 != 0) sql += " account, profile, ratchet, contact, prekey, undecrypted";
    server().run(database(), sql);
  }
  void print() {
    std::string head = "   day", line;
    const auto add = [&](const std::string& name, std::uint64_t bytes) {
      char text[32];
      std::snprintf(text, sizeof text, "%12s", name.c_str());
      head += text;
      std::snprintf(text, sizeof text, "%12llu", static_cast<unsigned long long>(bytes));
      line += text;
    };
    const auto first = is_postgres_ ? 0 : kTables;
    const auto last = is_postgres_ ? kTables : kPartNames.size();
    for (auto i = first; i < last; ++i) add(std::string(kPartNames[i]), now_.bytes[i]);
    add("total", now_.total());
    if (!printed_) std::printf("%s  (bytes)\n", head.c_str());
    printed_ = true;
    std::printf("%6d%s\n", life_->day(), line.c_str());
  }

  Sizes now_;
  bool is_postgres_ = false, printed_ = false;
};

class SoakEach : public Soak, public testing::WithParamInterface<BackendKind> {};

TEST_P(SoakEach, DiskPlateaus) {
  const int half = is_long() ? 3 * kTurn : kTurn;
  begin(GetParam(), is_long() ? 300 : 60, 2 * half);
  auto then = live(half);
  // These have their ups and downs from day to day.
  for (Part part : kHot) then.bytes[static_cast<std::size_t>(part)] = most_[part];
  const auto catalogs = database_size();
  const auto now = live(2 * half);
  EXPECT_THAT(grown(then, now), IsEmpty());
  EXPECT_TRUE(is_within(database_size(), catalogs)) << database_size() << " after " << catalogs;
  EXPECT_EQ(count_old("message", "created"), 0);
  EXPECT_EQ(count_old("received", "at"), 0);
  // On PostgreSQL they have moved on and go with the real today's partition, after this.
  EXPECT_LE(count_old("event", "at"), is_postgres() ? life_->events_found_late() : 0);
  EXPECT_GT(life_->events_found_late(), 0) << "nobody was silent for longer than the retention";
}

// What the test above is worth: the same life grows when nobody sweeps.
TEST_P(SoakEach, WithoutSweepItGrows) {
  begin(GetParam(), 30, 12);
  const auto then = live(6, false);
  const auto now = live(12, false);
  EXPECT_GT(now.total(), then.total() + then.total() / 3);
  if (is_postgres()) {
    EXPECT_THAT(grown(then, now), UnorderedElementsAre("message", "event", "received", "total"));
  } else {
    EXPECT_THAT(grown(then, now), IsSupersetOf({"database", "total"}));
  }
}
GW_FOR_ALL_BACKENDS(SoakEach);

// --- PostgreSQL, with another session's transaction beside it ---

enum class Beside {
  kReadsEach,      // each table
  kReadsMessages,  // no event and no received id
  kSnapshot,       // nothing of ours
};
const char* name_of(Beside beside) {
  constexpr const char* kNames[] = {"reads_each", "reads_messages", "snapshot"};
  return kNames[static_cast<std::size_t>(beside)];
}
void PrintTo(Beside beside, std::ostream* out) { *out << name_of(beside); }

// Holds it until it is destroyed.
class OtherSession {
 public:
  OtherSession(const std::string& uri, Beside beside) : db_(uri), tx_(db_) {
    tx_.exec("SELECT 1");  // the snapshot
    if (beside == Beside::kSnapshot) return;
    for (std::size_t i = 0; i < kTables; ++i) {
      const auto name = std::string(kPartNames[i]);
      if (beside == Beside::kReadsEach || (name != "event" && name != "received"))
        tx_.exec("SELECT count(*) FROM " + name);
    }
  }

 private:
  pqxx::connection db_;
  pqxx::transaction<pqxx::repeatable_read> tx_;
};

class SoakBeside : public Soak, public testing::WithParamInterface<Beside> {
 protected:
  // Lives to a plateau, some days beside the session, and as long as it takes to forget those.
  void live_beside() {
    const int last = kBase + held_ + 12;
    begin(backends().at(1), is_long() ? 200 : 40, last);
    base_ = live(kBase);
    most_ = base_;
    may_be_refused_ = GetParam() != Beside::kSnapshot;
    {
      OtherSession other(server().uri_of(database()), GetParam());
      held_at_end_ = live(kBase + held_);
      refused_ = !swept_;
      if (refused_) {
        EXPECT_EQ(swept_.error().kind, ErrorKind::kRetryLater);
      }
    }
    may_be_refused_ = false;
    peak_ = most_;
    after_ = live(last);
    // Nothing goes while it is held; a day brings a table of seven days a seventh, and the hot
    // tables what is rewritten in it.
    EXPECT_LE(peak_.total(), base_.total() + base_.total() * static_cast<unsigned>(held_) / 4);
    // Tables that go by partitions are where they were; the others were given room for what could
    // not be vacuumed, keep it, and need no more.
    for (Part part : kPartitioned) expect_within(part, after_, base_);
    for (Part part : kHot) expect_within(part, after_, peak_);
  }
  static void expect_within(Part part, const Sizes& now, const Sizes& bound) {
    EXPECT_TRUE(is_within(now[part], bound[part]))
        << name_of(part) << " takes " << now[part] << ", bound by " << bound[part];
  }
  void expect_kept(Part part) {
    EXPECT_FALSE(is_within(held_at_end_[part], base_[part])) << name_of(part);
    EXPECT_TRUE(
        is_within(peak_[part], base_[part] + base_[part] * static_cast<unsigned>(held_) / 7))
        << name_of(part) << " takes " << peak_[part] << " after " << base_[part];
  }

  static constexpr int kBase = 12;
  const int held_ = is_long() ? 12 : 4;  // partitions of two days: even
  Sizes base_, held_at_end_, peak_, after_;
  bool refused_ = false;
};

TEST_P(SoakBeside, DiskPlateausAgainWhenItEnds) {
  live_beside();
  EXPECT_EQ(refused_, GetParam() != Beside::kSnapshot)
      << "partitions go under a snapshot that has read nothing of them, and under no reader";
  if (GetParam() == Beside::kSnapshot) {
    // A message is written three times, and the old versions stay with it.
    EXPECT_LE(peak_[Part::kMessage], 2 * base_[Part::kMessage]);
  } else {
    expect_kept(Part::kMessage);
  }
  for (Part part : {Part::kEvent, Part::kReceived}) {
    if (GetParam() == Beside::kReadsEach)
      expect_kept(part);
    else
      expect_within(part, held_at_end_, base_);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Postgres, SoakBeside,
    testing::ValuesIn(is_long() ? std::vector{Beside::kReadsEach, Beside::kSnapshot,
                                              Beside::kReadsMessages}
                                : std::vector{Beside::kReadsEach, Beside::kSnapshot}),
    [](const auto& p) { return std::string(name_of(p.param)); });

// --- SQLite, with a reader of the file beside it ---

class SoakBesideReader : public Soak {};

// While it reads, the log keeps all that is written; then it is cut to journal_size_limit.
TEST_F(SoakBesideReader, TheLogIsCutWhenItEnds) {
  constexpr auto kLimit = 64 * kMiB;
  const int held = is_long() ? 40 : 10;
  begin(backends().at(0), 300, 12 + held + 1);
  const auto base = live(12);
  Sizes most;
  {
    RawFile other(d_->folder() + "/store.db");
    other.run("BEGIN");
    other.run("SELECT count(*) FROM message");
    most = live(12 + held);
    other.run("COMMIT");
  }
  const auto after = live(12 + held + 1);
  EXPECT_GT(most[Part::kLog], kLimit) << "the days were too few to show anything";
  EXPECT_LE(after[Part::kLog], kLimit);
  for (const auto& then : {most, after})  // free pages are used again all the while
    EXPECT_TRUE(is_within(then[Part::kDatabase], base[Part::kDatabase])) << then[Part::kDatabase];
}
}  // namespace
}  // namespace gw::store::test
