#pragma once

#include <string>

#include "store/private_postgres.h"

namespace gw::bench {

// A message's rows in SQLite, by bare statements on a copy (`file`, removed again) of the gateway's
// database; microseconds of CPU a message.
double outbound_commit_us(const std::string& gateways, const std::string& file);
double inbound_commit_us(const std::string& gateways, const std::string& file);

// The same in PostgreSQL: bare statements over binary arrays, 100 messages each, on copies of the
// gateway's tables in a schema of their own (removed again) in its database. CPU of this process
// and of the server.
double outbound_commit_us(store::test::PrivatePostgres& server, const std::string& database);
double inbound_commit_us(store::test::PrivatePostgres& server, const std::string& database);

}  // namespace gw::bench
