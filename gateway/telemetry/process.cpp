#include <dirent.h>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "telemetry/metrics.h"

namespace gw::telemetry {
namespace {

// Field `n` (from 1) of /proc/self/stat. The second one, the name in brackets, may hold blanks.
double stat_field(int n) {
  std::ifstream in("/proc/self/stat");
  std::string text;
  std::getline(in, text);
  auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream rest(text.substr(end_of_name + 1));
  std::string word;
  for (int i = 3; i <= n; ++i)
    if (!(rest >> word)) return 0;
  return std::strtod(word.c_str(), nullptr);
}

double boot_time() {
  std::ifstream in("/proc/stat");
  for (std::string word; in >> word;) {
    double seconds = 0;
    if (word == "btime" && in >> seconds) return seconds;
  }
  return 0;
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double open_fds() {
  DIR* folder = opendir("/proc/self/fd");
  if (!folder) return 0;
  int entries = 0;
  while (readdir(folder)) ++entries;  // NOLINT(concurrency-mt-unsafe): a stream of our own
  closedir(folder);
  return entries - 3;  // ".", ".." and the folder itself
}

double most_fds() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

void register_process_metrics(Metrics& metrics) {
  auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  auto started = boot_time() + stat_field(22) / static_cast<double>(sysconf(_SC_CLK_TCK));
  metrics.counter("process_cpu_seconds_total", "CPU time used, user and system.", {}, cpu_seconds);
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", {},
                [page] { return stat_field(24) * page; });
  metrics.gauge("process_virtual_memory_bytes", "Virtual memory.", {},
                [] { return stat_field(23); });
  metrics.gauge("process_threads", "Threads.", {}, [] { return stat_field(20); });
  metrics.gauge("process_open_fds", "Open file descriptors.", {}, open_fds);
  metrics.gauge("process_max_fds", "File descriptors that may be open.", {}, most_fds);
  metrics.gauge("process_start_time_seconds", "When the process started, Unix time.", {},
                [started] { return started; });
}

}  // namespace gw::telemetry
