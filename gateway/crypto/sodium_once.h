#pragma once

namespace gw::crypto {

// libsodium chooses its implementations once for the process; cheap after the first call.
void ensure_sodium();

}  // namespace gw::crypto
