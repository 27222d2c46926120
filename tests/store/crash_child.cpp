// Commits without end, for a fixed set of users, and says on standard output what was applied:
// lines "uid version". crash_test kills it. Arguments: folder, backend's name.

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <unistd.h>

#include "store/crash_workload.h"

using namespace gw::store::test;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  gw::SystemClock clock;
  for (auto& kind : backends()) {
    if (kind.name != argv[2]) continue;
    auto backend = kind.open(argv[1]);
    if (!backend) return 3;
    auto store = gw::store::Store::open(*std::move(backend), test_kek(), {}, clock);
    if (!store) return 4;
    CrashWorkload workload(**store, [](std::int64_t uid, std::int64_t version) {
      // One write, one line: a pipe keeps it whole.
      char line[64];
      int size = std::snprintf(line, sizeof line, "%lld %lld\n", static_cast<long long>(uid),
                               static_cast<long long>(version));
      if (write(STDOUT_FILENO, line, static_cast<std::size_t>(size)) != size) _exit(5);
    });
    workload.run_for_ever();
  }
  return 2;
}
