#include "end_to_end/process.h"

#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gw::bench {
namespace {

pid_t start(const std::string& program, const std::vector<std::string>& arguments,
            const std::string& log, int* output) {
  int ends[2] = {-1, -1};
  if (output != nullptr && pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing outlives the benchmark
    const int errors = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(errors, STDERR_FILENO);
    dup2(output != nullptr ? ends[1] : errors, STDOUT_FILENO);
    execvp(program.c_str(), argv.data());
    _exit(127);
  }
  if (pid < 0) throw std::runtime_error("cannot start " + program);
  if (output != nullptr) {
    close(ends[1]);
    *output = ends[0];
  }
  return pid;
}

std::string first_number(const std::string& line) {
  const auto at = line.find_first_of("0123456789");
  return at == std::string::npos ? "0" : line.substr(at);
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& arguments,
                 const std::string& log) {
  pid_ = start(program, arguments, log, &output_);
  try {
    read_ready(output_, program + " (its errors: " + log + ")");
  } catch (...) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(output_);
    throw;
  }
}

void Process::read_ready(int pipe, const std::string& program) {
  std::string line;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (line.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wait{pipe, POLLIN, 0};
    char part[512];
    ssize_t got = 0;
    if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) <= 0 ||
        (got = read(pipe, part, sizeof part)) <= 0)
      throw std::runtime_error("did not become ready: " + program);
    line.append(part, static_cast<std::size_t>(got));
  }
  ready_ = nlohmann::json::parse(line.substr(0, line.find('\n')));
}

Process::~Process() {
  kill(pid_, SIGTERM);
  bool gone = false;
  for (int i = 0; i < 3000 && !gone; ++i) {
    gone = waitpid(pid_, nullptr, WNOHANG) == pid_;
    if (!gone) usleep(10'000);
  }
  if (!gone) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(output_);
}

double Process::cpu_us() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
  std::string all((std::istreambuf_iterator<char>(in)), {});
  // Behind the name in brackets: state is field 3, user and system time are 14 and 15.
  std::istringstream fields(all.substr(all.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) * 1e6 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::size_t Process::resident_kib() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(first_number(line));
  return 0;
}

void run(const std::string& program, const std::vector<std::string>& arguments,
         const std::string& log) {
  const pid_t pid = start(program, arguments, log, nullptr);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error(program + " failed, see " + log);
}

}  // namespace gw::bench
