#pragma once

// Users with a script instead of WhatsApp: they keep what they are told, and answer on a thread of
// their own as the real ones do.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "user/users.h"

namespace gw::test {

class FakeUsers final : public user::Users {
 public:
  using Key = std::pair<TenantId, std::string>;

  explicit FakeUsers(bool at_once = false) : at_once_(at_once) {
    if (!at_once_) worker_ = std::thread([this] { run(); });
  }
  ~FakeUsers() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (worker_.joinable()) worker_.join();
  }

  // The script. Set before the calls that it concerns.
  struct Script {
    bool hold_submits = false;  // no results until release()
    bool hang = false;          // unary calls are never answered
    std::optional<Error> fail_attach, fail_unary, fail_reads;
  };
  template <class Change>
  void script(Change&& change) {
    std::lock_guard lock(mutex_);
    change(script_);
  }

  // What happened, and waiting for it.
  struct Seen {
    std::size_t attaches = 0, submitted = 0, lost = 0, detached = 0, reads = 0, sends = 0,
                enlists = 0;
    std::vector<std::string> tokens;
    std::vector<std::pair<std::string, EventSeq>> acknowledged;
    std::vector<std::pair<std::string, std::string>> requests;  // user, request id
  };
  template <class Holds>
  bool wait(Holds&& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return holds(seen_); });
  }
  Seen seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }

  void add(TenantId tenant, const std::string& user_id) {
    std::lock_guard lock(mutex_);
    users_[{tenant, user_id}].enlisted = true;
  }
  EventSeq acked(const Key& key) {
    std::lock_guard lock(mutex_);
    return users_[key].acked;
  }

  // A new event of the user: stored, then told to whom it is attached.
  EventSeq commit(const Key& key, message::Event event) {
    std::lock_guard lock(mutex_);
    return commit_locked(key, std::move(event));
  }
  EventSeq commit_text(const Key& key, std::string body) {
    message::MessageReceived received;
    received.message_id = "m";
    received.sender.value = "+4915100000000";
    received.content = message::Text{std::move(body)};
    message::Event event;
    event.body = std::move(received);
    return commit(key, std::move(event));
  }
  // To the user's attachment, if there is one.
  template <class Tell>
  void tell(const Key& key, Tell tell) {
    std::lock_guard lock(mutex_);
    if (auto attachment = users_[key].attachment)
      post([attachment, tell = std::move(tell)] { tell(*attachment); });
  }
  void end(const Key& key, user::DetachReason reason) {
    std::lock_guard lock(mutex_);
    end_locked(users_[key], reason);
  }
  // Results for the submits that were held, the newest first when `backwards`.
  void release(bool backwards = false) {
    std::lock_guard lock(mutex_);
    auto held = std::exchange(held_, {});
    if (backwards) std::reverse(held.begin(), held.end());
    for (auto& [attachment, request_id] : held)
      post([attachment = attachment, request_id = request_id] {
        attachment->submitted({accepted(request_id)});
      });
  }
  // Runs after everything that was posted before.
  void settle() {
    if (at_once_) return;
    std::mutex done_mutex;
    std::condition_variable done;
    bool finished = false;
    {
      std::lock_guard lock(mutex_);
      post([&] {
        std::lock_guard inner(done_mutex);
        finished = true;
        done.notify_all();
      });
    }
    std::unique_lock lock(done_mutex);
    done.wait(lock, [&] { return finished; });
  }

  user::AttachmentId attach(user::AttachRequest request, Done<void> done) override {
    std::unique_lock lock(mutex_);
    user::AttachmentId id = next_id_++;
    ++seen_.attaches;
    seen_.tokens.push_back(request.token);
    Key key{request.name.tenant, request.name.user_id};
    auto it = users_.find(key);
    std::optional<Error> error = script_.fail_attach;
    if (it == users_.end() || !it->second.enlisted)
      error = Error{ErrorKind::kRejected, "USER_UNKNOWN", "enlist the user first", {}};
    if (error) {
      post([done, error = *error] { done(fail(error)); });
    } else {
      User& user = it->second;
      end_locked(user, user::DetachReason::kReplaced);
      user.id = id;
      user.attachment = request.attachment;
      by_id_[id] = key;
      post([done, attachment = request.attachment, acked = user.acked,
            last = static_cast<EventSeq>(user.events.size())] {
        done({});
        attachment->attached(acked, last);
        attachment->link_state(user::LinkState::kUp, "");
      });
    }
    notify(lock);
    return id;
  }

  void detach(user::AttachmentId id) override {
    std::unique_lock lock(mutex_);
    ++seen_.detached;
    if (User* user = find(id)) end_locked(*user, user::DetachReason::kRequested);
    notify(lock);
  }
  void stream_lost(user::AttachmentId id) override {
    std::unique_lock lock(mutex_);
    if (find(id) != nullptr) ++seen_.lost;
    notify(lock);
  }
  void give_token(user::AttachmentId id, std::string token) override {
    std::unique_lock lock(mutex_);
    if (find(id) != nullptr) seen_.tokens.push_back(std::move(token));
    notify(lock);
  }
  void submit(user::AttachmentId id, std::vector<message::Submit> messages) override {
    std::unique_lock lock(mutex_);
    seen_.submitted += messages.size();
    if (User* user = find(id)) {
      std::vector<user::SubmitResult> results;
      for (auto& one : messages) {
        seen_.requests.emplace_back(by_id_[id].second, one.request_id);
        if (script_.hold_submits)
          held_.emplace_back(user->attachment, one.request_id);
        else
          results.push_back(accepted(one.request_id));
      }
      if (!results.empty())
        post([attachment = user->attachment, results = std::move(results)] {
          attachment->submitted(results);
        });
    }
    notify(lock);
  }
  void soon(user::AttachmentId, std::function<void()> work) override {
    std::unique_lock lock(mutex_);
    post(std::move(work));
    notify(lock);
  }
  void acknowledge(user::AttachmentId id, EventSeq seq) override {
    std::unique_lock lock(mutex_);
    if (User* user = find(id)) {
      user->acked = std::max(user->acked, seq);
      seen_.acknowledged.emplace_back(by_id_[id].second, seq);
    }
    notify(lock);
  }

  void enlist(user::Name name, Done<bool> done) override {
    std::unique_lock lock(mutex_);
    ++seen_.enlists;
    bool created = !std::exchange(users_[{name.tenant, name.user_id}].enlisted, true);
    answer<bool>(done, created);
    notify(lock);
  }
  void withdraw(user::Name name, Done<void> done) override {
    std::unique_lock lock(mutex_);
    User& user = users_[{name.tenant, name.user_id}];
    if (!user.enlisted && user.events.empty()) {
      post([done] { done(fail(ErrorKind::kRejected, "USER_UNKNOWN", "enlist the user first")); });
    } else {
      user.enlisted = false;
      end_locked(user, user::DetachReason::kWithdrawn);
      post([done] { done({}); });
    }
    notify(lock);
  }
  void get_user(user::Name name, Done<user::UserInfo> done) override {
    std::unique_lock lock(mutex_);
    user::UserInfo info;
    if (auto it = users_.find({name.tenant, name.user_id}); it != users_.end()) {
      info.enlisted = it->second.enlisted;
      info.attached = it->second.attachment != nullptr;
      info.acked_event = it->second.acked;
      info.last_event = static_cast<EventSeq>(it->second.events.size());
    }
    answer<user::UserInfo>(done, info);
    notify(lock);
  }
  void send(user::Name name, message::Submit message, Done<user::SubmitResult> done) override {
    std::unique_lock lock(mutex_);
    ++seen_.sends;
    auto it = users_.find({name.tenant, name.user_id});
    user::SubmitResult result = accepted(message.request_id);
    if (it == users_.end() || it->second.attachment == nullptr) {
      result = {};
      result.error = Error{ErrorKind::kRejected, "NO_CLIENT", "attach a client first", {}};
    }
    answer<user::SubmitResult>(done, result);
    notify(lock);
  }
  void get_message(user::Name, std::string message_id, Done<user::MessageInfo> done) override {
    std::unique_lock lock(mutex_);
    if (message_id == std::string(32, 'F')) {
      post([done] { done(fail(ErrorKind::kRejected, "MESSAGE_UNKNOWN", "no such message")); });
      return notify(lock);
    }
    user::MessageInfo info;
    info.message_id = std::move(message_id);
    info.request_id = "r1";
    info.contact.value = "+4915100000000";
    info.state = message::State::kRejected;
    info.reason = message::Reason::kContactNotOptedIn;
    info.created = from_unix_ms(1'700'000'000'123);
    answer<user::MessageInfo>(done, info);
    notify(lock);
  }
  void read_events(user::Name name, EventSeq after, std::size_t limit, std::size_t max_bytes,
                   Done<std::vector<message::Event>> done) override {
    std::unique_lock lock(mutex_);
    ++seen_.reads;
    if (script_.fail_reads) {
      post([done, error = *script_.fail_reads] { done(fail(error)); });
      return notify(lock);
    }
    auto it = users_.find({name.tenant, name.user_id});
    if (it == users_.end()) {
      post([done] { done(fail(ErrorKind::kRejected, "USER_UNKNOWN", "enlist the user first")); });
      return notify(lock);
    }
    std::vector<message::Event> out;
    std::size_t bytes = 0;
    for (const auto& event : it->second.events) {
      if (event.seq <= after) continue;
      if (out.size() == limit || (!out.empty() && bytes >= max_bytes)) break;
      if (const auto* received = std::get_if<message::MessageReceived>(&event.body))
        bytes += std::get<message::Text>(received->content).body.size();
      out.push_back(event);
    }
    answer<std::vector<message::Event>>(done, std::move(out));
    notify(lock);
  }
  void pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                     Done<std::vector<Pending>> done) override {
    std::unique_lock lock(mutex_);
    std::vector<Pending> out;
    std::int64_t cursor = 0;
    for (const auto& [key, user] : users_) {
      ++cursor;
      auto last = static_cast<EventSeq>(user.events.size());
      if (key.first != tenant || cursor <= after || last <= user.acked) continue;
      if (out.size() == limit) break;
      out.push_back({cursor, key.second, user.acked, last});
    }
    answer<std::vector<Pending>>(done, std::move(out));
    notify(lock);
  }
  void get_contact(user::Name, message::Contact contact, Done<user::ContactInfo> done) override {
    std::unique_lock lock(mutex_);
    user::ContactInfo info;
    info.contact = std::move(contact);
    info.lid = "123456789";
    info.reachable = info.opted_in = true;
    info.devices = 2;
    info.safety_number = "12345 67890";
    answer<user::ContactInfo>(done, info);
    notify(lock);
  }
  void mark_read(user::Name, message::Contact, std::vector<std::string> ids,
                 Done<bool> done) override {
    std::unique_lock lock(mutex_);
    marked_read += ids.size();
    answer<bool>(done, read_receipts);
    notify(lock);
  }
  void update_user(user::Name, std::optional<bool> wanted, Done<bool> done) override {
    std::unique_lock lock(mutex_);
    read_receipts = wanted.value_or(read_receipts);
    answer<bool>(done, read_receipts);
    notify(lock);
  }
  void drain(std::function<void()> done) override {
    std::unique_lock lock(mutex_);
    for (auto& [key, user] : users_) end_locked(user, user::DetachReason::kDraining);
    post(std::move(done));
    notify(lock);
  }

  std::size_t marked_read = 0;
  bool read_receipts = true;

 private:
  struct User {
    bool enlisted = false;
    user::AttachmentId id = 0;
    std::shared_ptr<user::Attachment> attachment;
    EventSeq acked = 0;
    std::deque<message::Event> events;
  };

  static user::SubmitResult accepted(const std::string& request_id) {
    user::SubmitResult result;
    result.request_id = request_id;
    result.message_id = std::string(31, '0') + "A";
    result.state = message::State::kReady;
    return result;
  }

  // With the lock held, all of them.
  User* find(user::AttachmentId id) {
    auto it = by_id_.find(id);
    if (it == by_id_.end()) return nullptr;
    User& user = users_[it->second];
    return user.id == id ? &user : nullptr;
  }
  void end_locked(User& user, user::DetachReason reason) {
    if (!user.attachment) return;
    post([attachment = std::exchange(user.attachment, nullptr), reason] {
      attachment->detached(reason);
    });
    user.id = 0;
  }
  EventSeq commit_locked(const Key& key, message::Event event) {
    User& user = users_[key];
    event.seq = static_cast<EventSeq>(user.events.size()) + 1;
    user.events.push_back(event);
    if (user.attachment)
      post([attachment = user.attachment, event] { attachment->events({event}); });
    return event.seq;
  }
  template <class T>
  void answer(const Done<T>& done, T value) {
    if (script_.hang) return;
    if (script_.fail_unary)
      post([done, error = *script_.fail_unary] { done(fail(error)); });
    else
      post([done, value = std::move(value)] { done(value); });
  }
  void post(std::function<void()> work) {
    posted_.push_back(std::move(work));
    wake_.notify_all();
  }
  void notify(std::unique_lock<std::mutex>& lock) {
    changed_.notify_all();
    if (!at_once_) return;
    while (!posted_.empty()) {
      auto work = std::move(posted_.front());
      posted_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stop_ || !posted_.empty(); });
      if (stop_) return;
      auto work = std::move(posted_.front());
      posted_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  const bool at_once_;
  std::mutex mutex_;
  std::condition_variable wake_, changed_;
  bool stop_ = false;
  Script script_;
  Seen seen_;
  std::map<Key, User> users_;
  std::map<user::AttachmentId, Key> by_id_;
  user::AttachmentId next_id_ = 1;
  std::vector<std::pair<std::shared_ptr<user::Attachment>, std::string>> held_;
  std::deque<std::function<void()>> posted_;
  std::thread worker_;
};

}  // namespace gw::test
