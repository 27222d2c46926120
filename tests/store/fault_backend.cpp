#include "store/fault_backend.h"

#include <algorithm>

namespace gw::store::test {
namespace {

tl::unexpected<Error> unknown() { return fail(ErrorKind::kUnknownOutcome, "FAULT_UNKNOWN"); }

}  // namespace

void Faults::next(Fault fault, int times) {
  std::lock_guard lock(mutex_);
  released_ = false;
  script_.insert(script_.end(), static_cast<std::size_t>(times), fault);
}
void Faults::seeded(std::uint64_t seed, FaultRates rates) {
  std::lock_guard lock(mutex_);
  random_.emplace(seed);
  rates_ = rates;
}
void Faults::fail_reopen(int times) {
  std::lock_guard lock(mutex_);
  failing_reopens_ = times;
}
void Faults::too_much(std::size_t more_than) {
  std::lock_guard lock(mutex_);
  most_ = more_than;
}
void Faults::poison(std::uint64_t change) {
  std::lock_guard lock(mutex_);
  poisoned_changes_.insert(change);
}
void Faults::poison(UserRef user) {
  std::lock_guard lock(mutex_);
  poisoned_users_.insert(user);
}
void Faults::heal() {
  {
    std::lock_guard lock(mutex_);
    script_.clear();
    random_.reset();
    failing_reopens_ = 0;
    most_ = SIZE_MAX;
    poisoned_changes_.clear();
    poisoned_users_.clear();
  }
  release();
}
void Faults::release() {
  std::lock_guard lock(mutex_);
  released_ = true;
  ++releases_;
  changed_.notify_all();
}
bool Faults::wait_hanging(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [this] { return hanging_ > 0; });
}
bool Faults::wait_struck(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [this] { return script_.empty(); });
}
bool Faults::wait_applies(int at_least, std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [&] { return applies_ >= at_least; });
}
int Faults::applies() const {
  std::lock_guard lock(mutex_);
  return applies_;
}
int Faults::reopens() const {
  std::lock_guard lock(mutex_);
  return reopens_;
}
std::size_t Faults::largest_batch() const {
  std::lock_guard lock(mutex_);
  return largest_;
}
int Faults::claims() const {
  std::lock_guard lock(mutex_);
  return claims_;
}
std::size_t Faults::claimed() const {
  std::lock_guard lock(mutex_);
  return claimed_;
}

Fault Faults::draw() {
  std::lock_guard lock(mutex_);
  if (!script_.empty()) {
    Fault fault = script_.front();
    script_.pop_front();
    changed_.notify_all();
    return fault;
  }
  if (!random_) return Fault::kNone;
  double x = std::uniform_real_distribution<>()(*random_);
  if ((x -= rates_.fail) < 0) return Fault::kFail;
  if ((x -= rates_.unknown_before) < 0) return Fault::kUnknownBefore;
  if ((x -= rates_.unknown_after) < 0) return Fault::kUnknownAfter;
  return Fault::kNone;
}
bool Faults::draw_reopen() {
  std::lock_guard lock(mutex_);
  ++reopens_;
  changed_.notify_all();
  if (failing_reopens_ > 0) {
    --failing_reopens_;
    return false;
  }
  return !random_ || std::uniform_real_distribution<>()(*random_) >= rates_.reopen;
}
bool Faults::is_too_much(std::size_t size) {
  std::lock_guard lock(mutex_);
  return size > most_;
}
bool Faults::poisoned(std::span<const Sealed> batch) {
  std::lock_guard lock(mutex_);
  return std::any_of(batch.begin(), batch.end(), [this](const Sealed& s) {
    return poisoned_changes_.contains(s.rows.change) || poisoned_users_.contains(s.rows.user);
  });
}
void Faults::saw_apply(std::size_t size) {
  std::lock_guard lock(mutex_);
  ++applies_;
  largest_ = std::max(largest_, size);
  changed_.notify_all();
}
void Faults::saw_claim(std::size_t size) {
  std::lock_guard lock(mutex_);
  ++claims_;
  claimed_ += size;
}
void Faults::hang() {
  std::unique_lock lock(mutex_);
  ++hanging_;
  changed_.notify_all();
  // Whoever scripts the next fault right behind the release is not to hold back what hangs.
  changed_.wait(lock, [this, before = releases_] { return released_ || releases_ != before; });
  --hanging_;
}

class FaultBackend final : public Backend {
 public:
  FaultBackend(std::unique_ptr<Backend> under, std::shared_ptr<Faults> faults)
      : under_(std::move(under)), faults_(std::move(faults)) {}

  Result<std::vector<Outcome>> apply(std::span<const Sealed> batch) override {
    faults_->saw_apply(batch.size());
    if (faults_->is_too_much(batch.size())) return unknown();
    if (faults_->poisoned(batch)) return fail(ErrorKind::kBug, "POISONED");
    return write([&] { return under_->apply(batch); });
  }
  Result<void> reopen() override {
    if (!faults_->draw_reopen()) return fail(ErrorKind::kRetryLater, "FAULT_REOPEN");
    return under_->reopen();
  }
  Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment) override {
    return write([&] { return under_->enlist(enlistment); });
  }
  Result<Claimed> claim(std::span<const UserRef> users) override {
    faults_->saw_claim(users.size());
    return write([&] { return under_->claim(users); });
  }
  Result<std::size_t> sweep(WallTime before, std::size_t limit) override {
    return write([&] { return under_->sweep(before, limit); });
  }
  // Only while the store opens, and for a new data key: as they are.
  Result<std::optional<Bytes>> root_key() override { return under_->root_key(); }
  Result<Bytes> put_root_key(ByteView wrapped) override { return under_->put_root_key(wrapped); }
  Result<std::uint32_t> add_data_key(ByteView wrapped) override {
    return under_->add_data_key(wrapped);
  }

  Result<std::optional<DataKey>> data_key(std::uint32_t id) override {
    return under_->data_key(id);
  }
  Result<std::optional<Account>> find_user(TenantId tenant, const Tag& tag) override {
    return under_->find_user(tenant, tag);
  }
  Result<std::optional<UserRows>> load(UserRef user) override { return under_->load(user); }
  Result<std::vector<PrekeyBatch>> load_prekeys(UserRef user) override {
    return under_->load_prekeys(user);
  }
  Result<std::vector<Conversation>> load_conversations(UserRef user,
                                                       std::span<const Tag> contacts) override {
    return under_->load_conversations(user, contacts);
  }
  Result<std::vector<MessageRow>> find_messages(UserRef user,
                                                std::span<const Tag> requests) override {
    return under_->find_messages(user, requests);
  }
  Result<std::vector<MessageRow>> load_messages(UserRef user,
                                                std::span<const Order> orders) override {
    return under_->load_messages(user, orders);
  }
  Result<std::vector<Received>> find_received(UserRef user,
                                              std::span<const Tag> messages) override {
    return under_->find_received(user, messages);
  }
  Result<std::vector<EventRow>> load_events(UserRef user, EventSeq after, std::size_t limit,
                                            std::size_t max_bytes) override {
    return under_->load_events(user, after, limit, max_bytes);
  }
  Result<std::vector<PendingUser>> pending_users(TenantId tenant, std::int64_t after,
                                                 std::size_t limit) override {
    return under_->pending_users(tenant, after, limit);
  }
  Result<std::vector<PendingUser>> overdue_users(const Overdue& before, std::int64_t after,
                                                 std::size_t limit) override {
    return under_->overdue_users(before, after, limit);
  }
  Result<std::vector<Size>> sizes() override { return under_->sizes(); }

 private:
  template <class F>
  std::invoke_result_t<F> write(F&& call) {
    switch (faults_->draw()) {
      case Fault::kFail:
        return fail(ErrorKind::kRetryLater, "FAULT_FAILED");
      case Fault::kCorrupt:
        return fail(ErrorKind::kCorrupt, "FAULT_CORRUPT");
      case Fault::kUnknownBefore:
        return unknown();
      case Fault::kUnknownAfter:
        // A call that was refused has an answer; only a success can be lost on its way.
        if (auto result = call(); !result) return result;
        return unknown();
      case Fault::kHang:
        faults_->hang();
        return call();
      case Fault::kNone:
        return call();
    }
    return fail(ErrorKind::kBug, "FAULT");
  }

  std::unique_ptr<Backend> under_;
  std::shared_ptr<Faults> faults_;
};

std::unique_ptr<Backend> with_faults(std::unique_ptr<Backend> under,
                                     std::shared_ptr<Faults> faults) {
  return std::make_unique<FaultBackend>(std::move(under), std::move(faults));
}

}  // namespace gw::store::test
