#pragma once

// A hostile peer can make a record grow: 2,000 skipped keys (180 KB) in each of 40 archived
// ratchets, and each message reads and writes it all. Archived ratchets go, oldest first, while the
// record is above the bound; the current one always stays.

#include <signal_protocol.h>

#include "base/bytes.h"

namespace gw::signal {

inline constexpr std::size_t kRecordBound = std::size_t{256} << 10;

// SG_SUCCESS, or the library's error with the record as it was.
int trim_record(Bytes& record, std::size_t bound, signal_context* context);

}  // namespace gw::signal
