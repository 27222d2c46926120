// Retention: the directory has the store forget what is old, as fast as it comes in.

#include <future>
#include <gtest/gtest.h>

#include "user/directory.h"

namespace gw::user::testing {
namespace {

constexpr std::chrono::seconds kPatience{20};  // less than the usual pause

// Says of each sweep what it was told to say, and has nothing else.
class OldRows final : public store::Store {
 public:
  explicit OldRows(std::vector<std::size_t> sweeps) : sweeps_(std::move(sweeps)) {}

  void sweep(WallTime, std::size_t limit, Done<std::size_t> done) override {
    const auto n = asked_++;
    if (n < sweeps_.size()) done(sweeps_[n] == kAll ? limit : sweeps_[n]);
    if (asked_ == sweeps_.size()) all_.set_value();
  }
  bool all_were_asked() {
    return all_.get_future().wait_for(kPatience) == std::future_status::ready;
  }
  static constexpr auto kAll = static_cast<std::size_t>(-1);

  const store::Pseudonyms& pseudonyms() const override { return pseudonyms_; }
  const store::StoreProbe& probe() const override { return probe_; }
  void apply(store::ChangeSet&&, std::function<void(store::Outcome)>) override {}
  void enlist(TenantId, Tag, Bytes, std::vector<store::PrekeyBatch>, Done<Enlisted>) override {}
  void claim(UserRef, std::function<bool()>, Done<Term>) override {}
  void find_user(TenantId, Tag, Done<std::optional<store::Account>>) override {}
  void load(UserRef, Done<std::optional<store::UserRows>>) override {}
  void load_prekeys(UserRef, Done<std::vector<store::PrekeyBatch>>) override {}
  void load_conversations(UserRef, std::vector<Tag>,
                          Done<std::vector<store::Conversation>>) override {}
  void find_messages(UserRef, std::vector<Tag>, Done<std::vector<store::MessageRow>>) override {}
  void load_messages(UserRef, std::vector<Order>, Done<std::vector<store::MessageRow>>) override {}
  void find_received(UserRef, std::vector<Tag>, Done<std::vector<store::Received>>) override {}
  void load_events(UserRef, EventSeq, std::size_t, std::size_t,
                   Done<std::vector<store::EventRow>>) override {}
  void pending_users(TenantId, std::int64_t, std::size_t,
                     Done<std::vector<store::PendingUser>>) override {}
  void overdue_users(store::Overdue, std::int64_t, std::size_t,
                     Done<std::vector<store::PendingUser>>) override {}
  void measure() override {}
  void close() override {}

 private:
  const std::vector<std::size_t> sweeps_;
  std::atomic<std::size_t> asked_{0};
  std::promise<void> all_;
  store::Pseudonyms pseudonyms_{crypto::Key32{}};
  store::StoreProbe probe_;
};

// A minute's pause would keep up with eighty rows a second and no more.
TEST(Forgetting, ASweepThatFoundAsMuchAsItMayTakeIsFollowedByAnother) {
  OldRows rows({OldRows::kAll, OldRows::kAll, 3});
  SystemClock clock;
  Limits limits;
  UserProbe probe;
  link::LinkProbe links;
  link::EndpointProbe turns;
  link::Options options;
  runtime::LoopPool loops(1);
  link::Endpoint endpoint(loops.at(0), options, {}, clock, links, turns);
  Shared shared{rows, clock, limits, endpoint, probe, {}};
  auto users = make_users(shared, loops);
  EXPECT_TRUE(rows.all_were_asked());
  loops.stop();
}

}  // namespace
}  // namespace gw::user::testing
