#pragma once

// Ownership for one replica: whoever holds the lock beside the database owns all users.

#include <memory>
#include <string>

#include "base/error.h"

namespace gw::ownership {

// An exclusive lock on a file, held until this object or the process goes, however it ends.
// The file stays and is empty but for the holder's process number; deleting it while a gateway runs
// lets a second one in.
class SingleOwner {
 public:
  // CONFIG: "ANOTHER_GATEWAY_RUNS", "LOCK_FILE_CANNOT_OPEN".
  static Result<std::unique_ptr<SingleOwner>> take(const std::string& lock_path);
  ~SingleOwner();
  SingleOwner(const SingleOwner&) = delete;
  SingleOwner& operator=(const SingleOwner&) = delete;

 private:
  explicit SingleOwner(int file) : file_(file) {}
  const int file_;
};

}  // namespace gw::ownership
