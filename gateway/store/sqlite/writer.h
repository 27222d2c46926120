#pragma once

// The writing half of the SQLite backend: one connection, used by the commit thread.

#include <memory>
#include <span>
#include <vector>

#include "store/sqlite/connection.h"

namespace gw::store::sqlite {

class Writer {
 public:
  // Checks the schema. `make`: an empty or missing file gets it; a running gateway whose file has
  // gone must not go on with an empty one.
  static Result<std::unique_ptr<Writer>> open(const std::string& path, const SqliteOptions& options,
                                              bool make);

  // As in Backend.
  Result<std::vector<Outcome>> apply(std::span<const Sealed> batch);
  Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment);
  Result<Claimed> claim(std::span<const UserRef> users);
  Result<std::size_t> sweep(WallTime before, std::size_t limit);
  // Called while the store opens: failures are the operator's.
  Result<std::optional<Bytes>> root_key();
  Result<Bytes> put_root_key(ByteView wrapped);
  Result<std::uint32_t> add_data_key(ByteView wrapped);

 private:
  enum class Pass { kPlain, kSavepoints };
  // SQLITE_OK: `outcome` stands. SQLITE_NOTFOUND or a constraint: the change set itself is at fault
  // and may have written a part. Else: the batch has failed.
  int apply_one(const ChangeSet& change, Outcome& outcome);
  int apply_guarded(const ChangeSet& change, Outcome& outcome);
  int run_pass(std::span<const Sealed> batch, Pass pass, std::vector<Outcome>& outcomes);
  int probe(const ChangeSet& change, Outcome& outcome);
  int judge(const ChangeSet& change, Outcome& outcome);
  int cas(const ChangeSet& change);
  int write_keys(const ChangeSet& change);
  int write_messages(const ChangeSet& change);
  int update_messages(const ChangeSet& change);
  int write_events(const ChangeSet& change);
  int erase_keys(UserRef user);

  Result<UserRef> revive_or_make(const Enlistment& enlistment, Version& version, bool& created);
  Result<void> write_enlisted(UserRef user, const EnlistRows& rows);
  // One table of sweep, from where the last call stopped.
  struct Sweep {
    Statement look, erase;
    std::int64_t cursor = 0;
  };
  Result<std::size_t> sweep_table(Sweep& table, WallTime before, std::size_t limit);

  Result<void> prepare_all();
  Result<void> begin(Stage stage = Stage::kServe);
  Result<void> commit(Stage stage = Stage::kServe);
  void rollback() { db_.exec("ROLLBACK"); }
  tl::unexpected<Error> failed(int rc, Stage stage = Stage::kServe) {
    return fail(error_of(db_.get(), rc, stage));
  }

  Connection db_;
  Statement begin_, commit_, cas_, set_state_, set_profile_, look_account_, find_request_,
      find_received_, put_ratchet_, drop_ratchet_, put_contact_, drop_contact_, put_prekey_,
      drop_prekey_, put_message_, update_message_, put_event_, put_received_, replace_received_,
      put_undecrypted_, drop_undecrypted_, erase_ratchets_, erase_contacts_, erase_prekeys_,
      find_tag_, make_account_, revive_, claim_;
  Sweep sweep_messages_, sweep_events_, sweep_received_;
};

}  // namespace gw::store::sqlite
