#include "signal/record.h"

#include <session_record.h>
#include <vector>

#include "signal/handles.h"

namespace gw::signal {

int trim_record(Bytes& record, std::size_t bound, signal_context* context) {
  if (record.size() <= bound) return SG_SUCCESS;
  Ref<session_record> parsed;
  int rc = session_record_deserialize(parsed.out(), record.data(), record.size(), context);
  if (rc < 0) return rc;
  std::vector<session_record_state_node*> archived;  // newest first
  for (auto* node = session_record_get_previous_states_head(parsed.get()); node;
       node = session_record_get_previous_states_next(node))
    archived.push_back(node);

  Bytes trimmed = record;
  while (trimmed.size() > bound && !archived.empty()) {
    for (std::size_t half = (archived.size() + 1) / 2; half > 0; --half) {
      session_record_get_previous_states_remove(parsed.get(), archived.back());
      archived.pop_back();
    }
    signal_buffer* octets = nullptr;
    rc = session_record_serialize(&octets, parsed.get());
    if (rc < 0) return rc;
    const Buffer owned(octets);
    crypto::wipe(trimmed);
    trimmed = to_bytes(view(octets));
  }
  crypto::wipe(record);
  record = std::move(trimmed);
  return SG_SUCCESS;
}

}  // namespace gw::signal
