#pragma once

// A PostgreSQL server of this process's own: its data in a folder of its own, reached over a socket
// in it by nobody else, ended with the process. Every test gets a database.

#include <string>
#include <sys/types.h>
#include <vector>

namespace gw::store::test {

class PrivatePostgres {
 public:
  // The one that the tests of a process share, started by the first call. A child process uses its
  // parent's. Throws with the reason when it cannot be started.
  static PrivatePostgres& shared();

  // `settings` as in postgresql.conf.
  explicit PrivatePostgres(const std::vector<std::string>& settings = {});
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;

  // Makes the database if it is not there.
  std::string uri(const std::string& database);
  std::string uri_of(const std::string& database) const;
  void run(const std::string& database, const std::string& sql);
  std::string value(const std::string& database, const std::string& sql);

  void start();
  void stop(int signal);  // SIGINT: fast, SIGQUIT: as in a crash
  pid_t pid() const { return pid_; }
  // Of all of the server's processes since its start, in steps of 10 ms each; microseconds.
  double cpu_us() const;
  const std::string& folder() const { return folder_; }

 private:
  explicit PrivatePostgres(std::string folder) : folder_(std::move(folder)) {}  // a parent's

  std::string folder_;
  pid_t pid_ = 0;  // 0: not ours, or stopped
  bool ours_ = false;
};

}  // namespace gw::store::test
