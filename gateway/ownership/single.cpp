#include "ownership/single.h"

#include <algorithm>
#include <cctype>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gw::ownership {
namespace {

// The number that the holder wrote; empty when it has not got so far.
std::string holder(int file) {
  char text[24] = {};
  ssize_t size = pread(file, text, sizeof text - 1, 0);
  std::string digits(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  digits.erase(std::find_if(digits.begin(), digits.end(),
                            [](unsigned char c) { return std::isdigit(c) == 0; }),
               digits.end());
  return digits;
}

tl::unexpected<Error> taken(int file) {
  std::string by = holder(file);
  return fail(ErrorKind::kConfig, "ANOTHER_GATEWAY_RUNS",
              "another gateway" + (by.empty() ? std::string() : " (process " + by + ")") +
                  " works on this database: stop it first, or give this one a database of its "
                  "own; several gateways on one database need PostgreSQL");
}

tl::unexpected<Error> cannot_open() {
  return fail(ErrorKind::kConfig, "LOCK_FILE_CANNOT_OPEN",
              "the lock file beside the database cannot be opened: the folder must exist and the "
              "gateway's user must be able to write in it");
}

// Whether the path still leads to the file that was locked.
bool is_same_file(int file, const std::string& path) {
  struct stat locked {
  }, named{};
  return fstat(file, &locked) == 0 && stat(path.c_str(), &named) == 0 &&
         locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

}  // namespace

Result<std::unique_ptr<SingleOwner>> SingleOwner::take(const std::string& lock_path) {
  // Between opening and locking, somebody may have replaced the file: then the lock is worthless.
  for (int tries = 0; tries < 10; ++tries) {
    int file = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return cannot_open();
    std::unique_ptr<SingleOwner> owner(new SingleOwner(file));
    int locked = 0;
    do locked = flock(file, LOCK_EX | LOCK_NB);
    while (locked != 0 && errno == EINTR);
    if (locked != 0) return errno == EWOULDBLOCK ? taken(file) : cannot_open();
    if (!is_same_file(file, lock_path)) continue;
    std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(file, 0) != 0 || pwrite(file, pid.data(), pid.size(), 0) < 0) {
      // Only a help for whoever reads the error of the second gateway.
    }
    return owner;
  }
  return cannot_open();
}

SingleOwner::~SingleOwner() { close(file_); }

}  // namespace gw::ownership
