#include "store/store.h"

#include "store/committer.h"
#include "store/read_thread.h"
#include "store/sealer.h"

namespace gw::store {
namespace {

// About what a change set holds while it waits.
std::size_t size_of(const ChangeSet& c) {
  constexpr std::size_t kRow = 96;
  std::size_t n = sizeof(ChangeSet) + (c.profile ? c.profile->size() : 0);
  for (const auto& r : c.ratchets) n += kRow + r.record.size();
  for (const auto& r : c.contacts) n += kRow + r.blob.size();
  for (const auto& p : c.prekeys) n += kRow + p.blob.size();
  for (const auto& m : c.messages)
    n += kRow + m.content.size() + m.stanza.size() + m.devices.size();
  for (const auto& m : c.updates)
    n += kRow + (m.content ? m.content->size() : 0) + (m.stanza ? m.stanza->size() : 0);
  for (const auto& e : c.events) n += kRow + e.payload.size();
  for (const auto& u : c.undecrypted) n += kRow + u.blob.size();
  return n + kRow * c.received.size();
}

Result<crypto::Secret32> root_of(Backend& backend, const crypto::Key32& kek) {
  GW_ASSIGN(auto stored, backend.root_key());
  if (!stored) {
    crypto::Secret32 fresh;
    crypto::random_bytes(fresh.get());
    // Another replica may have been faster: what is stored counts.
    GW_ASSIGN(stored, backend.put_root_key(wrap_key(kek, KeyUse::kRoot, fresh.get())));
  }
  return unwrap_key(kek, KeyUse::kRoot, *stored);
}

class StoreImpl final : public Store {
 public:
  StoreImpl(std::unique_ptr<Backend> backend, const crypto::Key32& kek, const crypto::Key32& root,
            std::uint32_t key_id, const crypto::Secret32& key, const StoreOptions& options)
      : backend_(std::move(backend)),
        pseudonyms_(root),
        sealer_(kek, options.seals_per_data_key,
                [this](std::uint32_t id) { return backend_->data_key(id); }),
        committer_(*backend_, options, probe_),
        reads_(options.max_pending_reads) {
    sealer_.use_key(key_id, key);
  }
  ~StoreImpl() override { close(); }

  const Pseudonyms& pseudonyms() const override { return pseudonyms_; }
  const StoreProbe& probe() const override { return probe_; }

  void apply(ChangeSet&& change, std::function<void(Outcome)> done) override {
    auto sealed = sealer_.seal(change);
    if (sealer_.wants_key()) renew_data_key();
    if (!sealed) {
      Outcome outcome;
      outcome.error = std::move(sealed).error();
      probe_.failed++;
      return done(std::move(outcome));
    }
    std::size_t bytes = size_of(change);
    committer_.apply({std::move(change), bytes}, std::move(done));
  }

  void enlist(TenantId tenant, Tag user_tag, Bytes profile, std::vector<PrekeyBatch> prekeys,
              Done<Enlisted> done) override {
    auto plain = std::make_shared<PlainEnlist>();
    plain->rows.profile = std::move(profile);
    plain->rows.prekeys = std::move(prekeys);
    Enlistment enlistment{tenant, user_tag, crypto::random_u64(), nullptr};
    enlistment.seal = [this, plain](UserRef user, Version version) -> Result<EnlistRows> {
      EnlistRows rows = plain->rows;  // sealed anew by each try
      auto sealed = sealer_.seal(user, version, rows);
      if (sealer_.wants_key()) renew_data_key();
      return sealed.map([&] { return std::move(rows); });
    };
    std::size_t bytes = sizeof(PlainEnlist) + plain->rows.profile.size();
    for (const auto& p : plain->rows.prekeys) bytes += p.blob.size();
    committer_.call<Enlisted>(
        bytes,
        [enlistment = std::move(enlistment)](Backend& backend) {
          return backend.enlist(enlistment).map([](const auto& made) {
            return Enlisted{made.first, made.second};
          });
        },
        std::move(done));
  }

  void claim(UserRef user, std::function<bool()> wanted, Done<Term> done) override {
    committer_.claim({user, std::move(wanted), std::move(done)});
  }
  void sweep(WallTime before, std::size_t limit, Done<std::size_t> done) override {
    committer_.call<std::size_t>(
        0, [before, limit](Backend& backend) { return backend.sweep(before, limit); },
        std::move(done));
  }

  void find_user(TenantId tenant, Tag user_tag, Done<std::optional<Account>> done) override {
    read(std::move(done), [this, tenant, user_tag]() -> Result<std::optional<Account>> {
      GW_ASSIGN(auto found, backend_->find_user(tenant, user_tag));
      if (found) GW_TRY(sealer_.open_profile(found->user, found->profile, found->version));
      return found;
    });
  }
  void load(UserRef user, Done<std::optional<UserRows>> done) override {
    read(std::move(done), [this, user]() -> Result<std::optional<UserRows>> {
      GW_ASSIGN(auto loaded, backend_->load(user));
      if (!loaded) return loaded;
      Version newest = loaded->account.version;
      GW_TRY(sealer_.open_profile(user, loaded->account.profile, newest));
      for (auto& row : loaded->unsettled) GW_TRY(sealer_.open(user, row, newest));
      for (auto& row : loaded->undecrypted) GW_TRY(sealer_.open(user, row, newest));
      return loaded;
    });
  }
  void load_prekeys(UserRef user, Done<std::vector<PrekeyBatch>> done) override {
    read(std::move(done), [this, user]() -> Result<std::vector<PrekeyBatch>> {
      GW_ASSIGN(auto rows, backend_->load_prekeys(user));
      std::vector<PrekeyBatch> whole;
      for (auto& row : rows) {
        auto opened = sealer_.open(user, row, -1);
        if (opened)
          whole.push_back(std::move(row));
        else if (is_damaged_row(opened.error()))
          probe_.damaged_rows++;
        else
          return fail(std::move(opened).error());
      }
      return whole;
    });
  }
  void load_conversations(UserRef user, std::vector<Tag> contacts,
                          Done<std::vector<Conversation>> done) override {
    read(std::move(done),
         [this, user, contacts = std::move(contacts)]() -> Result<std::vector<Conversation>> {
           GW_ASSIGN(auto rows, backend_->load_conversations(user, contacts));
           for (auto& row : rows) {
             GW_ASSIGN(auto damaged, sealer_.open(user, row));
             probe_.damaged_rows += damaged;
           }
           return rows;
         });
  }
  void find_messages(UserRef user, std::vector<Tag> requests,
                     Done<std::vector<MessageRow>> done) override {
    read(std::move(done), [this, user, requests = std::move(requests)] {
      return opened(user, backend_->find_messages(user, requests));
    });
  }
  void load_messages(UserRef user, std::vector<Order> orders,
                     Done<std::vector<MessageRow>> done) override {
    read(std::move(done), [this, user, orders = std::move(orders)] {
      return opened(user, backend_->load_messages(user, orders));
    });
  }
  void find_received(UserRef user, std::vector<Tag> messages,
                     Done<std::vector<Received>> done) override {
    read(std::move(done), [this, user, messages = std::move(messages)] {
      return backend_->find_received(user, messages);
    });
  }
  void load_events(UserRef user, EventSeq after, std::size_t limit, std::size_t max_bytes,
                   Done<std::vector<EventRow>> done) override {
    read(std::move(done), [this, user, after, limit, max_bytes]() -> Result<std::vector<EventRow>> {
      GW_ASSIGN(auto rows, backend_->load_events(user, after, limit, max_bytes));
      for (auto& row : rows) GW_TRY(sealer_.open(user, row));
      return rows;
    });
  }
  void pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                     Done<std::vector<PendingUser>> done) override {
    read(std::move(done), [this, tenant, after, limit]() -> Result<std::vector<PendingUser>> {
      GW_ASSIGN(auto rows, backend_->pending_users(tenant, after, limit));
      for (auto& row : rows) GW_TRY(open_or_empty(row));
      return rows;
    });
  }

  void overdue_users(Overdue before, std::int64_t after, std::size_t limit,
                     Done<std::vector<PendingUser>> done) override {
    read(std::move(done), [this, before, after, limit]() -> Result<std::vector<PendingUser>> {
      GW_ASSIGN(auto rows, backend_->overdue_users(before, after, limit));
      for (auto& row : rows) GW_TRY(open_or_empty(row));
      return rows;
    });
  }

  void measure() override {
    (void)reads_.post([this] {
      auto sizes = backend_->sizes();
      if (!sizes) return;  // the next turn asks again
      for (const auto& size : *sizes) {
        probe_.bytes[static_cast<std::size_t>(size.part)] = size.bytes;
        probe_.index_bytes[static_cast<std::size_t>(size.part)] = size.index_bytes;
      }
    });
  }

  void close() override {
    committer_.close();
    reads_.close();
  }

 private:
  struct PlainEnlist {
    ~PlainEnlist() {
      crypto::wipe(rows.profile);
      for (auto& p : rows.prekeys) crypto::wipe(p.blob);
    }
    EnlistRows rows;
  };

  Result<std::vector<MessageRow>> opened(UserRef user, Result<std::vector<MessageRow>> rows) {
    if (rows)
      for (auto& row : *rows) GW_TRY(sealer_.open(user, row, -1));
    return rows;
  }

  // One damaged row must not hide all the others; nothing is written in its place.
  Result<void> open_or_empty(PendingUser& row) {
    auto opened = sealer_.open_profile(row.user, row.profile, -1);
    if (opened || opened.error().kind != ErrorKind::kCorrupt) return opened;
    probe_.damaged_rows++;
    row.profile.clear();
    return {};
  }

  template <class T, class F>
  void read(Done<T> done, F work) {
    auto shared = std::make_shared<Done<T>>(std::move(done));
    auto queued = reads_.post([this, shared, work = std::move(work)] {
      probe_.reads++;
      (*shared)(work());
    });
    if (!queued) (*shared)(fail(std::move(queued).error()));
  }

  void renew_data_key() {
    auto [key, wrapped] = sealer_.new_key();
    committer_.call<std::uint32_t>(
        0, [wrapped = std::move(wrapped)](Backend& b) { return b.add_data_key(wrapped); },
        [this, key = key](Result<std::uint32_t> id) {
          if (id)
            sealer_.use_key(*id, key);
          else
            sealer_.still_wants_key();
        });
  }

  std::unique_ptr<Backend> backend_;
  StoreProbe probe_;
  const Pseudonyms pseudonyms_;
  Sealer sealer_;
  Committer committer_;
  ReadThread reads_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Backend> backend,
                                           const crypto::Key32& kek, StoreOptions options,
                                           const Clock&) {
  GW_ASSIGN(auto root, root_of(*backend, kek));
  crypto::Secret32 key;
  crypto::random_bytes(key.get());
  GW_ASSIGN(auto id, backend->add_data_key(wrap_key(kek, KeyUse::kData, key.get())));
  return std::make_unique<StoreImpl>(std::move(backend), kek, root.get(), id, key, options);
}

}  // namespace gw::store
