#include "adapter/identity.h"

#include "message/message.h"

namespace gw::adapter {

Result<std::string> SameIds::to_ours(std::string_view native) const {
  GW_TRY(message::validate_user_id(native));
  return std::string(native);
}

std::string SameIds::to_native(std::string_view ours) const { return std::string(ours); }

}  // namespace gw::adapter
