#pragma once

// A batch of change sets as one statement: parameters from rows, outcomes from the answer.

#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/backend.h"
#include "store/postgres/connection.h"

namespace gw::store::postgres {

inline constexpr std::string_view kUserMissing = "USER_MISSING";

// Which of the statements' parts a batch needs: two statements for each that occurs, of 64.
unsigned parts_of(const std::vector<const ChangeSet*>& batch);
// Applies the whole batch, or fails with BUG and applies nothing.
std::string apply_all_sql(unsigned parts);
// Applies what applies, and answers for apply_outcomes().
std::string apply_each_sql(unsigned parts);

// The buckets that the batch's rows go to: their partitions have to be there.
std::set<std::int32_t> buckets_of(const std::vector<const ChangeSet*>& batch);

Parameters apply_parameters(const std::vector<const ChangeSet*>& batch, unsigned parts);
// (tenant, uid, term, version) of those that erase keys.
Parameters erase_parameters(const std::vector<const ChangeSet*>& batch);
// BUG USER_MISSING when a user has no row: nothing was applied then.
Result<std::vector<Outcome>> apply_outcomes(const std::vector<const ChangeSet*>& batch,
                                            const pqxx::result& answer);

}  // namespace gw::store::postgres
