#include "store/postgres/connection.h"

#include <pqxx/binarystring>
#include <pqxx/errorhandler>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

namespace gw::store::postgres {

// Warnings of the server. During a commit there is one that matters: the wait for a standby was
// given up ("committed locally"), and yet the statement succeeds. Its text is in the server's
// language, so any warning then makes the outcome an open one.
struct Warnings final : pqxx::errorhandler {
  explicit Warnings(pqxx::connection_base& db) : pqxx::errorhandler(db) {}
  bool operator()(const char[]) noexcept override {
    ++count;
    return false;  // no other handler: stderr is not for it
  }
  std::uint64_t count = 0;
};

namespace {

// The server's side of with_defaults(): a session whose client is gone, or stands still in the
// middle of a transaction, must not keep its locks.
constexpr const char* kLetGo =
    "SET idle_in_transaction_session_timeout='10s'; SET tcp_keepalives_idle=10;"
    "SET tcp_keepalives_interval=5; SET tcp_keepalives_count=3; SET tcp_user_timeout=15000;";

constexpr std::string_view kReadOnly = "POSTGRES_READ_ONLY", kFull = "POSTGRES_FULL",
                           kSessionLost = "POSTGRES_SESSION_LOST";

struct Rule {
  std::string_view state;  // SQLSTATE, or its class
  ErrorKind kind;
  std::string_view reason;
  std::string_view advice;
};
// The first that fits.
constexpr Rule kRules[] = {
    {"22012", ErrorKind::kBug, "ROW_MISSING", "a change set names a row that is not there"},
    {"23", ErrorKind::kBug, "ROW_REFUSED", "a row breaks a constraint of the schema"},
    {"25006", ErrorKind::kRetryLater, kReadOnly,
     "the server takes no writes: it is a standby, or is set read-only"},
    {"25P03", ErrorKind::kUnknownOutcome, "POSTGRES_GONE", "the server ended the session"},
    {"26", ErrorKind::kRetryLater, kSessionLost,
     "the session does not know the gateway's statements: a pooler has to pool by session"},
    {"28", ErrorKind::kConfig, "POSTGRES_REFUSED", "the server does not accept this user"},
    {"3D", ErrorKind::kConfig, "POSTGRES_NO_DATABASE", "there is no such database: create it"},
    {"40003", ErrorKind::kUnknownOutcome, "POSTGRES_UNKNOWN", ""},
    {"40", ErrorKind::kRetryLater, "POSTGRES_CONFLICT", ""},
    {"42501", ErrorKind::kConfig, "POSTGRES_NO_RIGHT",
     "the gateway's user may not do this: make it the owner of its database"},
    {"53", ErrorKind::kRetryLater, kFull,
     "the server is out of disk, memory or connections: make room"},
    {"55P03", ErrorKind::kRetryLater, kLocked, "another session holds a lock"},
    {"57014", ErrorKind::kRetryLater, "POSTGRES_TIMEOUT", "a statement took too long"},
    {"57", ErrorKind::kUnknownOutcome, "POSTGRES_GONE", "the server ended the session"},
    {"58", ErrorKind::kRetryLater, "POSTGRES_IO", "the server cannot read or write its files"},
    {"08", ErrorKind::kUnknownOutcome, "POSTGRES_GONE", "the connection was lost"},
    {"XX001", ErrorKind::kCorrupt, "POSTGRES_DAMAGED", "data are damaged: restore a backup"},
    {"XX002", ErrorKind::kCorrupt, "POSTGRES_DAMAGED", "an index is damaged: REINDEX it"},
};

Error error_of(const std::string& state) {
  for (const auto& rule : kRules)
    if (state.starts_with(rule.state))
      return {rule.kind, rule.reason, std::string(rule.advice) + " (SQLSTATE " + state + ")", {}};
  return {ErrorKind::kBug, "POSTGRES_ERROR", "SQLSTATE " + state, {}};
}

// Before there is a session there is no SQLSTATE, only libpq's text; it may quote the connection
// string, so nothing of it goes further. The server's refusals are told apart by their words in
// English.
Error unreachable(std::string_view text) {
  auto says = [&](std::string_view words) { return text.find(words) != std::string_view::npos; };
  if (says("authentication failed") || says("no password supplied") || says("pg_hba.conf"))
    return error_of("28000");
  if (says("database") && says("does not exist")) return error_of("3D000");
  if (says("role") && says("does not exist")) return error_of("28000");
  if (says("read-only") || says("in recovery") || says("hot standby")) return error_of("25006");
  return {ErrorKind::kRetryLater,
          "POSTGRES_UNREACHABLE",
          "no session with PostgreSQL: is it running, and is store.uri right?",
          {}};
}

}  // namespace

// Their texts are left out: they may quote what was bound.
Error caught() {
  try {
    throw;
  } catch (const pqxx::in_doubt_error&) {
    return {ErrorKind::kUnknownOutcome, "POSTGRES_UNKNOWN", {}, {}};
  } catch (const pqxx::broken_connection&) {
    return {ErrorKind::kUnknownOutcome, "POSTGRES_GONE", "the connection was lost", {}};
  } catch (const pqxx::statement_completion_unknown&) {
    return error_of("40003");
  } catch (const pqxx::transaction_rollback&) {
    return error_of("40001");
  } catch (const pqxx::insufficient_privilege&) {
    return error_of("42501");  // the one whose state libpqxx 6.4 leaves out
  } catch (const pqxx::sql_error& e) {
    return error_of(e.sqlstate());
  } catch (const pqxx::conversion_error&) {
    return {ErrorKind::kCorrupt, "POSTGRES_DAMAGED", "a value does not have its column's form", {}};
  } catch (const pqxx::internal_error&) {
    return {ErrorKind::kUnknownOutcome, "POSTGRES_UNKNOWN", {}, {}};
  } catch (const std::logic_error&) {
    return {ErrorKind::kBug, "POSTGRES_ERROR", "libpqxx refused the call", {}};
  } catch (const std::exception&) {
    // No answer of the server, or one that could not be taken in: the statement may have been done.
    return {ErrorKind::kUnknownOutcome, "POSTGRES_UNKNOWN", {}, {}};
  }
}

Error Troubles::not_now(Error error) {
  const bool config = error.kind == ErrorKind::kConfig;
  if ((config || error.reason == kFull) && error.reason != told_) {
    told_ = error.reason;
    if (tell_) tell_(error);
  }
  if (config) error.kind = ErrorKind::kRetryLater;
  return error;
}

Bytes octets(const pqxx::field& field) {
  if (field.is_null()) return {};
  pqxx::binarystring value(field);
  return Bytes(value.data(), value.data() + value.size());
}

Result<void> Transaction::run(const std::string& sql) {
  GW_TRY(rows(sql));
  return {};
}

Result<pqxx::result> Transaction::rows(const std::string& sql) {
  deadline_.again();
  try {
    return tx_.exec(sql);
  } catch (...) {
    return fail(caught());
  }
}

Result<pqxx::result> Transaction::statement(const std::string& name, const Parameters& parameters) {
  deadline_.again();
  try {
    return tx_.exec_prepared(name, pqxx::prepare::make_dynamic_params(parameters));
  } catch (...) {
    return fail(caught());
  }
}

// A dead peer is noticed within half a minute; of several hosts the one that takes writes is taken.
std::string with_defaults(std::string uri) {
  const bool is_uri = uri.starts_with("postgresql://") || uri.starts_with("postgres://");
  for (std::string_view setting :
       {"target_session_attrs=read-write", "connect_timeout=5", "tcp_user_timeout=15000",
        "keepalives_idle=10", "keepalives_interval=5", "keepalives_count=3",
        "application_name=interop-gateway"}) {
    if (uri.find(setting.substr(0, setting.find('=') + 1)) != std::string::npos) continue;
    if (is_uri)
      uri += uri.find('?') == std::string::npos ? '?' : '&';
    else
      uri += ' ';
    uri += setting;
  }
  return uri;
}

Result<Connection> Connection::open(const std::string& uri, const std::string& settings,
                                    Millis answer_timeout) {
  Connection made;
  try {
    made.db_ = std::make_unique<pqxx::connection>(with_defaults(uri));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    made.db_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
    made.warnings_ = std::make_unique<Warnings>(*made.db_);
    made.deadline_ = std::make_unique<Deadline>(made.db_->sock(), answer_timeout);
    auto waiting = made.deadline_->wait();
    pqxx::nontransaction(*made.db_).exec(kLetGo + settings);
  } catch (const pqxx::broken_connection& e) {
    return fail(unreachable(e.what()));
  } catch (...) {
    Error error = caught();
    // Nothing was under way yet.
    if (error.kind == ErrorKind::kUnknownOutcome) error.kind = ErrorKind::kRetryLater;
    return fail(std::move(error));
  }
  return made;
}

Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

bool Connection::spent() const { return spent_ || !db_->is_open(); }

Error Connection::noted(Error error) {
  if (error.kind == ErrorKind::kUnknownOutcome || error.reason == kReadOnly ||
      error.reason == kSessionLost)
    spent_ = true;
  return error;
}

Result<void> Connection::transaction(const std::function<Result<void>(Transaction&)>& work) {
  std::uint64_t before = 0;
  bool committing = false;
  auto waiting = deadline_->wait();
  try {
    pqxx::work tx(*db_);
    Transaction wrapped(tx, *deadline_);
    if (auto done = work(wrapped); !done) {
      Error error = noted(std::move(done).error());
      if (error.kind == ErrorKind::kUnknownOutcome) error.kind = ErrorKind::kRetryLater;
      return fail(std::move(error));
    }
    before = warnings_->count;
    committing = true;
    deadline_->again();
    tx.commit();
  } catch (...) {
    Error error = noted(caught());
    // Before the commit was asked for, whatever became of the session, nothing was committed.
    if (!committing && error.kind == ErrorKind::kUnknownOutcome)
      error.kind = ErrorKind::kRetryLater;
    return fail(std::move(error));
  }
  if (warnings_->count != before) return fail(noted(error_of("40003")));
  return {};
}

Result<pqxx::result> Connection::statement(const std::string& name, const Parameters& parameters) {
  const auto before = warnings_->count;
  auto waiting = deadline_->wait();
  try {
    pqxx::nontransaction tx(*db_);
    auto result = tx.exec_prepared(name, pqxx::prepare::make_dynamic_params(parameters));
    if (warnings_->count != before) return fail(noted(error_of("40003")));
    return result;
  } catch (...) {
    return fail(noted(caught()));
  }
}

void Connection::prepare(const std::string& name, const std::string& sql) {
  auto waiting = deadline_->wait();
  db_->prepare(name, sql);
}

}  // namespace gw::store::postgres
