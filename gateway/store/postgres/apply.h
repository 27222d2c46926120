#pragma once

// A batch of change sets as one statement: parameters from rows, outcomes from the answer.

#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/backend.h"
#include "store/postgres/connection.h"

namespace gw::store::postgres {

inline constexpr const char* kApply = "apply";
inline constexpr std::string_view kUserMissing = "USER_MISSING";
const std::string& apply_sql();

// The buckets that the batch's rows go to: their partitions have to be there.
std::set<std::int32_t> buckets_of(const std::vector<const ChangeSet*>& batch);

Parameters apply_parameters(const std::vector<const ChangeSet*>& batch);
// (tenant, uid, term, version) of those that erase keys.
Parameters erase_parameters(const std::vector<const ChangeSet*>& batch);
// BUG USER_MISSING when a user has no row: nothing was applied then.
Result<std::vector<Outcome>> apply_outcomes(const std::vector<const ChangeSet*>& batch,
                                            const pqxx::result& answer);

}  // namespace gw::store::postgres
