#include "user/directory.h"

#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <unordered_map>

#include "user/blobs.h"

namespace gw::user {
namespace {

constexpr std::size_t kMaxToken = 8192;
constexpr std::size_t kFirstPrekeys = 50;
constexpr Millis kSweepEvery{5'000};
constexpr Millis kForgetEvery{60'000}, kForgetMore{1'000};
constexpr std::size_t kSweepUsers = 200;
constexpr std::size_t kForgetRows = 5'000;
// The sweep keeps so far behind what strands still write of (is_swept): a commit may be under way,
// and clocks differ.
constexpr Millis kForgetMargin{3600'000};

Result<void> check(const AttachRequest& request) {
  GW_TRY(message::validate_user_id(request.name.user_id));
  boost::system::error_code error;
  (void)boost::asio::ip::make_address(request.client_address, error);
  if (error)
    return fail(ErrorKind::kRejected, "CLIENT_ADDRESS_INVALID",
                "client_address must be an IPv4 or IPv6 address as text");
  if (request.token.empty() || request.token.size() > kMaxToken)
    return fail(ErrorKind::kRejected, "TOKEN_INVALID", "token must be 1 to 8192 octets");
  return {};
}

tl::unexpected<Error> unknown_user() {
  return fail(ErrorKind::kRejected, "USER_UNKNOWN", "no such user; Enlist it first");
}
// Why nothing can be done over the link of a user whom nobody attached.
tl::unexpected<Error> not_attached(const store::Account& account, std::string advice) {
  if (account.state == store::AccountState::kWithdrawn)
    return fail(ErrorKind::kRejected, "USER_WITHDRAWN",
                "the user was withdrawn; Enlist it again first");
  return fail(ErrorKind::kRejected, "NO_CLIENT", std::move(advice));
}

// One a loop; everything in it happens there.
struct Home {
  Home(Shared& shared, runtime::Loop& loop) : context{shared, loop, {}} {}
  LoopContext context;
  std::unordered_map<std::string, std::shared_ptr<Strand>> strands;
  std::unordered_map<AttachmentId, std::weak_ptr<Strand>> attachments;  // those in force
  bool drained = false;
};

class Directory final : public Users {
 public:
  Directory(Shared& shared, runtime::LoopPool& loops)
      : shared_(shared), loops_(loops), sweep_timer_(loops.at(0)), forget_timer_(loops.at(0)) {
    for (std::size_t i = 0; i < loops.size(); ++i)
      homes_.push_back(std::make_unique<Home>(shared, loops.at(i)));
    loops.at(0).post([this] { sweep(); });
    loops.at(0).post([this] { forget(); });
  }

  AttachmentId attach(AttachRequest request, Done<void> done) override {
    auto key = key_of(request.name);
    auto index = index_of(key);
    AttachmentId id = (next_id_.fetch_add(1) * loops_.size() + index) * 2;  // even: see Strand
    on(index,
       [this, id, key, request = std::move(request), done = std::move(done)](Home& home) mutable {
         if (auto ok = check(request); !ok) return done(fail(ok.error()));
         if (draining_) return done(fail(draining()));
         auto strand = open_strand(home, key, request.name);
         home.attachments[id] = strand;
         strand->attach(id, std::move(request), std::move(done));
       });
    return id;
  }

  void detach(AttachmentId id) override {
    with_attachment(id, [id](Strand& strand) { strand.detach(id, DetachReason::kRequested); });
  }
  void stream_lost(AttachmentId id) override {
    with_attachment(id, [id](Strand& strand) { strand.stream_lost(id); });
  }
  void give_token(AttachmentId id, std::string token) override {
    if (token.empty() || token.size() > kMaxToken) return;
    with_attachment(id, [id, token = std::move(token)](Strand& strand) mutable {
      strand.give_token(id, std::move(token));
    });
  }
  void submit(AttachmentId id, std::vector<message::Submit> messages) override {
    with_attachment(id, [id, messages = std::move(messages)](Strand& strand) mutable {
      strand.submit(id, std::move(messages));
    });
  }
  void acknowledge(AttachmentId id, EventSeq seq) override {
    with_attachment(id, [id, seq](Strand& strand) { strand.acknowledge(id, seq); });
  }

  void soon(AttachmentId id, std::function<void()> work) override {
    loops_.at((id / 2) % loops_.size()).post(std::move(work));
  }

  void enlist(Name name, Done<bool> done) override;
  void withdraw(Name name, Done<void> done) override;
  void get_user(Name name, Done<UserInfo> done) override;
  void send(Name name, message::Submit message, Done<SubmitResult> done) override;
  void get_message(Name name, std::string message_id, Done<MessageInfo> done) override;
  void read_events(Name name, EventSeq after, std::size_t limit, std::size_t max_bytes,
                   Done<std::vector<message::Event>> done) override;
  void pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                     Done<std::vector<Pending>> done) override;
  void get_contact(Name name, message::Contact contact, Done<ContactInfo> done) override;
  void mark_read(Name name, message::Contact from, std::vector<std::string> message_ids,
                 Done<bool> done) override;
  void update_user(Name name, std::optional<bool> read_receipts, Done<bool> done) override;
  void drain(std::function<void()> done) override;

 private:
  static std::string key_of(const Name& name) {
    return std::to_string(name.tenant) + "/" + name.user_id;
  }
  std::size_t index_of(const std::string& key) const {
    return std::hash<std::string>{}(key) % loops_.size();
  }
  static Error draining() {
    return {ErrorKind::kRetryLater, "DRAINING", "this gateway is going away; use another one",
            Millis{500}};
  }

  template <class F>
  void on(std::size_t index, F&& work) {
    loops_.at(index).post(
        [home = homes_[index].get(), work = std::forward<F>(work)]() mutable { work(*home); });
  }

  template <class F>
  void with_attachment(AttachmentId id, F&& work) {
    on((id / 2) % loops_.size(), [id, work = std::forward<F>(work)](Home& home) mutable {
      auto it = home.attachments.find(id);
      if (it == home.attachments.end()) return;
      if (auto strand = it->second.lock()) work(*strand);
    });
  }

  std::shared_ptr<Strand> find_strand(Home& home, const std::string& key) {
    auto it = home.strands.find(key);
    return it == home.strands.end() || it->second->leaving() ? nullptr : it->second;
  }

  std::shared_ptr<Strand> open_strand(Home& home, const std::string& key, const Name& name) {
    if (auto strand = find_strand(home, key)) return strand;
    Strand::Owner owner;
    owner.gone = [this, &home, key](std::shared_ptr<Strand> strand) {
      // Later: the strand is in the middle of something of its own.
      home.context.loop.post([this, &home, key, strand = std::move(strand)] {
        auto it = home.strands.find(key);
        if (it != home.strands.end() && it->second == strand) home.strands.erase(it);
        if (home.strands.empty()) drained(home);
      });
    };
    owner.attachment_ended = [&home](AttachmentId id) { home.attachments.erase(id); };
    auto strand = std::make_shared<Strand>(home.context, name, std::move(owner));
    home.strands[key] = strand;
    strand->open();
    return strand;
  }

  // The user's row; done(error) when there is none.
  template <class T, class F>
  void with_account(const Name& name, Done<T> done, F&& work) {
    if (auto ok = message::validate_user_id(name.user_id); !ok) return done(fail(ok.error()));
    shared_.store.find_user(name.tenant, shared_.store.pseudonyms().user(name.tenant, name.user_id),
                            [name, done = std::move(done), work = std::forward<F>(work)](
                                Result<std::optional<store::Account>> found) mutable {
                              if (!found) return done(fail(found.error()));
                              if (!*found) return done(unknown_user());
                              if (auto ok = check_name(**found, name); !ok)
                                return done(fail(ok.error()));
                              work(**found, std::move(done));
                            });
  }

  void sweep();
  void forget();
  void forget_later(bool soon);
  void drained(Home& home);

  Shared& shared_;
  runtime::LoopPool& loops_;
  std::vector<std::unique_ptr<Home>> homes_;
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<bool> draining_{false};
  std::atomic<std::int64_t> swept_up_to_{0};  // uid
  std::atomic<std::size_t> homes_to_drain_{0};
  std::function<void()> drain_done_;
  runtime::Timer sweep_timer_, forget_timer_;
};

void Directory::enlist(Name name, Done<bool> done) {
  if (auto ok = message::validate_user_id(name.user_id); !ok) return done(fail(ok.error()));
  auto index = index_of(key_of(name));
  on(index, [this, name = std::move(name), done = std::move(done)](Home&) mutable {
    Profile profile;
    profile.user_id = name.user_id;
    profile.identity = signal::generate_identity();
    profile.noise = crypto::generate_key_pair();
    profile.signed_prekey = signal::generate_signed_prekey(profile.identity, 1);
    profile.signed_prekey_ms = unix_ms(shared_.clock.wall());
    profile.next_prekey_id = 1 + kFirstPrekeys;
    PrekeyBatch batch{1, false, signal::generate_prekeys(1, kFirstPrekeys)};
    shared_.store.enlist(name.tenant, shared_.store.pseudonyms().user(name.tenant, name.user_id),
                         write_profile(profile), {{1, write_prekeys(batch)}},
                         [done = std::move(done)](Result<store::Store::Enlisted> result) {
                           if (!result) return done(fail(result.error()));
                           done(result->created);
                         });
  });
}

void Directory::withdraw(Name name, Done<void> done) {
  if (auto ok = message::validate_user_id(name.user_id); !ok) return done(fail(ok.error()));
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), done = std::move(done)](Home& home) mutable {
    open_strand(home, key, name)->withdraw([done = std::move(done)](Result<void> result) {
      if (!result && result.error().reason == "USER_WITHDRAWN") return done({});
      done(std::move(result));
    });
  });
}

void Directory::get_user(Name name, Done<UserInfo> done) {
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), done = std::move(done)](Home& home) mutable {
    if (auto strand = find_strand(home, key); strand && strand->loaded())
      return done(strand->info());
    // Never enlisted is an answer, too.
    auto known = [done = std::move(done)](Result<UserInfo> info) {
      if (!info && info.error().reason == "USER_UNKNOWN") return done(UserInfo{});
      done(std::move(info));
    };
    with_account<UserInfo>(name, std::move(known),
                           [](const store::Account& account, Done<UserInfo> answer) {
                             UserInfo info;
                             info.enlisted = account.state == store::AccountState::kEnlisted;
                             info.acked_event = account.acked_event;
                             info.last_event = account.next_event - 1;
                             if (auto profile = read_profile(account.profile))
                               info.read_receipts = profile->read_receipts;
                             answer(info);
                           });
  });
}

void Directory::send(Name name, message::Submit message, Done<SubmitResult> done) {
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), message = std::move(message),
             done = std::move(done)](Home& home) mutable {
    if (auto strand = find_strand(home, key); strand && strand->attached())
      return strand->send(std::move(message), std::move(done));
    with_account<SubmitResult>(
        name, std::move(done), [](const store::Account& account, Done<SubmitResult> answer) {
          answer(
              not_attached(account, "no client of this user is attached; attach one, then send"));
        });
  });
}

void Directory::get_message(Name name, std::string message_id, Done<MessageInfo> done) {
  with_account<MessageInfo>(
      name, std::move(done),
      [this, message_id = std::move(message_id)](const store::Account& account,
                                                 Done<MessageInfo> answer) {
        auto missing = [] {
          return fail(ErrorKind::kRejected, "MESSAGE_UNKNOWN",
                      "no message of this user has that message_id, or it was forgotten");
        };
        auto order = shared_.store.pseudonyms().message_ids(account.user).order_of(message_id);
        if (order == 0) return answer(missing());
        shared_.store.load_messages(
            account.user, {order},
            [missing, message_id, answer](Result<std::vector<store::MessageRow>> rows) {
              if (!rows) return answer(fail(rows.error()));
              Message m;
              if (rows->empty() || rows->front().content.empty()) return answer(missing());
              const auto& row = rows->front();
              if (auto ok = read_message(row.content, m); !ok) return answer(fail(ok.error()));
              if (m.message_id != message_id) return answer(missing());
              answer(MessageInfo{m.message_id, m.request_id, m.to, row.state, row.reason,
                                 row.created});
            });
      });
}

void Directory::read_events(Name name, EventSeq after, std::size_t limit, std::size_t max_bytes,
                            Done<std::vector<message::Event>> done) {
  with_account<std::vector<message::Event>>(
      name, std::move(done),
      [this, after, limit, max_bytes](const store::Account& account,
                                      Done<std::vector<message::Event>> answer) {
        shared_.store.load_events(account.user, after, limit, max_bytes,
                                  [answer](Result<std::vector<store::EventRow>> rows) {
                                    if (!rows) return answer(fail(rows.error()));
                                    std::vector<message::Event> events;
                                    for (const auto& row : *rows) {
                                      auto event = read_event(row);
                                      if (!event) return answer(fail(event.error()));
                                      events.push_back(*std::move(event));
                                    }
                                    answer(std::move(events));
                                  });
      });
}

void Directory::pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                              Done<std::vector<Pending>> done) {
  shared_.store.pending_users(
      tenant, after, limit, [done = std::move(done)](Result<std::vector<store::PendingUser>> rows) {
        if (!rows) return done(fail(rows.error()));
        std::vector<Pending> out;
        for (const auto& row : *rows) {
          // A damaged row keeps its place: the caller pages by it.
          auto name = profile_name(row.profile);
          out.push_back({row.user.uid, name ? *name : "", row.acked_event, row.last_event});
        }
        done(std::move(out));
      });
}

void Directory::get_contact(Name name, message::Contact contact, Done<ContactInfo> done) {
  if (auto ok = message::validate(contact); !ok) return done(fail(ok.error()));
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), contact = std::move(contact),
             done = std::move(done)](Home& home) mutable {
    if (auto strand = find_strand(home, key); strand && strand->attached())
      return strand->query(std::move(contact), std::move(done));
    with_account<ContactInfo>(
        name, std::move(done), [](const store::Account& account, Done<ContactInfo> answer) {
          answer(not_attached(account,
                              "WhatsApp is asked over the user's own link; attach a client first"));
        });
  });
}

void Directory::mark_read(Name name, message::Contact from, std::vector<std::string> message_ids,
                          Done<bool> done) {
  if (auto ok = message::validate(from); !ok) return done(fail(ok.error()));
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), from = std::move(from),
             ids = std::move(message_ids), done = std::move(done)](Home& home) mutable {
    if (auto strand = find_strand(home, key); strand && strand->attached())
      return strand->mark_read(std::move(from), std::move(ids), std::move(done));
    with_account<bool>(name, std::move(done), [](const store::Account& account, Done<bool> answer) {
      answer(not_attached(account, "whoever reads has a client: attach it first"));
    });
  });
}

void Directory::update_user(Name name, std::optional<bool> read_receipts, Done<bool> done) {
  if (auto ok = message::validate_user_id(name.user_id); !ok) return done(fail(ok.error()));
  auto key = key_of(name);
  auto index = index_of(key);
  on(index, [this, key, name = std::move(name), read_receipts,
             done = std::move(done)](Home& home) mutable {
    open_strand(home, key, name)->update(read_receipts, std::move(done));
  });
}

// Law 5 for users whom nobody attaches again: what is overdue ends, and the provider can read it.
// Page by page, so that those whom nothing can be done for (a damaged row, a provider that is no
// longer set up) do not stand before all others for ever.
void Directory::sweep() {
  sweep_timer_.after(kSweepEvery, [this] { sweep(); });
  if (draining_) return;
  const auto now = shared_.clock.wall();
  const auto& limits = shared_.limits;
  shared_.store.overdue_users(
      {now - limits.waiting_timeout, now - limits.resend_window, now - limits.retry_window},
      swept_up_to_, kSweepUsers, [this](Result<std::vector<store::PendingUser>> rows) {
        if (!rows) return;  // the next turn asks again
        swept_up_to_ = rows->size() < kSweepUsers ? 0 : rows->back().user.uid;
        for (const auto& row : *rows) {
          auto user_id = profile_name(row.profile);
          Name name{row.user.tenant, user_id ? *user_id : ""};
          if (name.user_id.empty() || !shared_.dialects.contains(name.tenant)) continue;
          auto key = key_of(name);
          on(index_of(key), [this, key, name](Home& home) {
            if (draining_ || find_strand(home, key)) return;  // it looks after itself
            open_strand(home, key, name)->sweep();
          });
        }
      });
}

// Where a sweep took as much as it may, more comes in than one a minute forgets.
void Directory::forget() {
  shared_.store.measure();
  shared_.store.sweep(shared_.clock.wall() - shared_.limits.retention - kForgetMargin, kForgetRows,
                      [this](const Result<std::size_t>& forgotten) {
                        const bool full = forgotten && *forgotten >= kForgetRows;
                        loops_.at(0).post([this, full] { forget_later(full); });
                      });
}

void Directory::forget_later(bool soon) {
  forget_timer_.after(soon ? kForgetMore : kForgetEvery, [this] { forget(); });
}

void Directory::drain(std::function<void()> done) {
  drain_done_ = std::move(done);
  homes_to_drain_ = homes_.size();
  draining_ = true;
  for (std::size_t i = 0; i < homes_.size(); ++i) {
    on(i, [this](Home& home) {
      if (home.strands.empty()) return drained(home);
      auto strands = home.strands;
      for (auto& [key, strand] : strands) strand->drain();
    });
  }
}

void Directory::drained(Home& home) {
  if (!draining_ || std::exchange(home.drained, true)) return;
  if (homes_to_drain_.fetch_sub(1) == 1) drain_done_();
}

}  // namespace

std::unique_ptr<Users> make_users(Shared& shared, runtime::LoopPool& loops) {
  return std::make_unique<Directory>(shared, loops);
}

}  // namespace gw::user
