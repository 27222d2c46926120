#pragma once

#include "adapter/descriptor.h"

namespace gw::adapters::native {

// Our protobuf: decode takes an OutgoingMessage, encode makes an Event.
const adapter::AdapterDescriptor& descriptor();

}  // namespace gw::adapters::native
