#pragma once

// A program that the benchmark starts, and what the kernel says it cost.

#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gw::bench {

class Process {
 public:
  // Starts it with its errors in `log`, waits for the JSON line that it prints when it is ready.
  // Throws when it does not come within 20 s.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const std::string& log);
  ~Process();  // SIGTERM, and SIGKILL after 30 s
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const nlohmann::json& ready() const { return ready_; }
  pid_t pid() const { return pid_; }
  double cpu_us() const;  // of all its threads since its start, in steps of 10 ms
  std::size_t resident_kib() const;

 private:
  void read_ready(int pipe, const std::string& program);

  pid_t pid_ = -1;
  int output_ = -1;
  nlohmann::json ready_;
};

// Runs to its end; throws when that is not 0.
void run(const std::string& program, const std::vector<std::string>& arguments,
         const std::string& log);

}  // namespace gw::bench
