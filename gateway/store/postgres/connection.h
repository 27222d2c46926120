#pragma once

// One session with PostgreSQL over libpqxx. It never opens itself anew behind our back: what was
// lost with it (a lock, a transaction, an outcome) is the caller's to know.
//
// Errors, by SQLSTATE (PostgreSQL 15, appendix A):
//   UNKNOWN_OUTCOME  the session was lost, or the wait for a standby was given up, while something
//                    that may have been committed was under way
//   RETRY_LATER      surely not committed: no session, or one that forgot our statements,
//                    serialization failure, deadlock, lock or statement timeout, out of disk,
//                    memory or connections, read-only
//   CORRUPT          data or an index are damaged
//   CONFIG           no such database, user or right
//   BUG              a constraint or a guard refused a row; a statement does not fit the schema
// Messages hold nothing that was bound: only the SQLSTATE and what to do.
// Not thread-safe.

#include <functional>
#include <memory>
#include <pqxx/binarystring>
#include <pqxx/connection>
#include <pqxx/result>
#include <pqxx/transaction_base>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "store/postgres/deadline.h"

namespace gw::store::postgres {

struct Warnings;

// In a catch block: what libpqxx threw, as a decision.
Error caught();

// For a call in the middle of life, what only an operator can mend (CONFIG: a right that was taken
// away) means: not now. The operator is told, once until a call succeeds again. Not thread-safe.
class Troubles {
 public:
  explicit Troubles(std::function<void(const Error&)> tell) : tell_(std::move(tell)) {}
  Error not_now(Error error);
  void over() { told_ = {}; }

 private:
  const std::function<void(const Error&)> tell_;
  std::string_view told_;  // the reason
};

// Another session holds the lock that a statement waited for.
inline constexpr std::string_view kLocked = "POSTGRES_LOCKED";

inline pqxx::binarystring binary(ByteView octets) { return {octets.data(), octets.size()}; }
Bytes octets(const pqxx::field& field);  // NULL: empty
using Parameters = std::vector<pqxx::binarystring>;

// Inside Connection::transaction.
class Transaction {
 public:
  Transaction(pqxx::transaction_base& tx, Deadline& deadline) : tx_(tx), deadline_(deadline) {}
  Result<void> run(const std::string& sql);
  Result<pqxx::result> rows(const std::string& sql);
  template <class... Args>
  Result<pqxx::result> rows(const std::string& sql, const Args&... args) {
    deadline_.again();
    try {
      return tx_.exec_params(sql, args...);
    } catch (...) {
      return fail(caught());
    }
  }
  Result<pqxx::result> statement(const std::string& name, const Parameters& parameters);

 private:
  pqxx::transaction_base& tx_;
  Deadline& deadline_;
};

class Connection {
 public:
  // `settings` are run first: SET statements. RETRY_LATER POSTGRES_UNREACHABLE when nobody answers.
  // An answer that takes longer than `answer_timeout` counts as a lost session. The server lets go
  // of a session, and of its locks, within about half a minute of its client being gone.
  static Result<Connection> open(const std::string& uri, const std::string& settings,
                                 Millis answer_timeout);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // Runs `work` in a transaction and commits. An error of the work rolls back: nothing was
  // committed then, and it is never UNKNOWN_OUTCOME.
  Result<void> transaction(const std::function<Result<void>(Transaction&)>& work);
  // The same for work that has a result.
  template <class F>
  std::invoke_result_t<F&, Transaction&> get(F&& work) {
    std::invoke_result_t<F&, Transaction&> result;
    auto done = transaction([&](Transaction& tx) -> Result<void> {
      result = work(tx);
      if (!result) return fail(result.error());
      return {};
    });
    if (!done) return fail(std::move(done).error());
    return result;
  }
  // One prepared statement, which is its own transaction.
  Result<pqxx::result> statement(const std::string& name, const Parameters& parameters);
  void prepare(const std::string& name, const std::string& sql);
  // The session is of no more use: lost, or with a server that takes no writes any more.
  bool spent() const;

 private:
  Connection() = default;
  Error noted(Error error);

  std::unique_ptr<pqxx::connection> db_;
  std::unique_ptr<Warnings> warnings_;  // goes before db_
  bool spent_ = false;
  std::unique_ptr<Deadline> deadline_;  // goes before db_
};

}  // namespace gw::store::postgres
