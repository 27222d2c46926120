#pragma once

// What the store's tests share: the backends to test, a store in a folder of its own, calls that
// wait for their answer, and a user that keeps its own counters.

#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>

#include "crypto/crypto.h"
#include "store/fault_backend.h"
#include "store/store.h"

namespace gw::store::test {

// One more line here tests one more database.
struct BackendKind {
  std::string name;
  std::function<Result<std::unique_ptr<Backend>>(const std::string& folder)> open;
};
std::vector<BackendKind> backends();
std::string database_of(const std::string& folder);  // a test's, in PrivatePostgres::shared()

class Folder {
 public:
  Folder();
  ~Folder();
  std::string path(const std::string& name = {}) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::uint64_t seed();  // GW_SEED or a random one; printed once
crypto::Key32 test_kek(std::uint8_t fill = 7);
Tag tag(std::string_view text);                               // some tag for that text
std::string named(std::string_view a, std::string_view b);    // a then b
std::string numbered(std::string_view name, std::int64_t n);  // "name7"

// Runs `start(done)` and waits for what done is given. Throws after 30 s.
template <class T, class Start>
T await(Start&& start) {
  auto promise = std::make_shared<std::promise<T>>();
  auto future = promise->get_future();
  start([promise](T value) { promise->set_value(std::move(value)); });
  if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready)
    throw std::runtime_error("no answer from the store in 30 s");
  return future.get();
}

// A user as its owner sees it: change sets come with the counters right, and are kept in step.
struct TestUser {
  UserRef ref;
  Term term = 0;
  Version version = 0;
  Order next_order = 1, lowest_unsettled = 1;
  EventSeq next_event = 1, acked_event = 0;

  ChangeSet change() const;  // nothing but the new version
  // Adds a message (and its ratchet) of the next order; returns it for more.
  MessageInsert& add_message(ChangeSet& change, std::string_view request, std::string_view content);
  void add_event(ChangeSet& change, std::string_view payload);
  void took(const ChangeSet& change);  // it was applied
};

class Deployment {
 public:
  explicit Deployment(BackendKind kind, StoreOptions options = {});
  Store& store() { return *store_; }
  const std::string folder() const { return folder_.path(); }
  // Without a store: to look at, or to change, what is stored.
  void close() { store_.reset(); }
  Result<void> open(const crypto::Key32& kek = test_kek());
  void reopen();
  std::unique_ptr<Backend> raw();
  // From the next opening on, everything goes through them.
  void use_faults(std::shared_ptr<Faults> faults) { faults_ = std::move(faults); }

  TestUser enlist(std::string_view name, TenantId tenant = 1);
  Outcome apply(const ChangeSet& change);
  Outcome apply(TestUser& user, const ChangeSet& change);  // and keeps the user in step
  Result<Term> claim(UserRef user);
  Result<std::optional<UserRows>> load(UserRef user);
  Result<std::vector<PrekeyBatch>> prekeys(UserRef user);
  Result<std::vector<EventRow>> events(UserRef user, EventSeq after, std::size_t limit = 1000,
                                       std::size_t bytes = 1 << 20);
  Result<Conversation> conversation(UserRef user, std::string_view contact);
  Result<std::vector<MessageRow>> messages(UserRef user, std::vector<Order> orders);
  Result<std::size_t> sweep(WallTime before, std::size_t limit);

 private:
  Folder folder_;
  BackendKind kind_;
  StoreOptions options_;
  SystemClock clock_;
  std::shared_ptr<Faults> faults_;
  std::unique_ptr<Store> store_;
};

}  // namespace gw::store::test
