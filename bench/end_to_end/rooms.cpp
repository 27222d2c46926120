#include "end_to_end/rooms.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gw::bench {
namespace {

constexpr std::array<std::string_view, 3> kGround = {"crypto", "base", "runtime"};

bool is_ground(std::string_view room) {
  for (auto ground : kGround)
    if (room == ground) return true;
  return false;
}

// "gw::user::Strand::pump" -> "user"; empty: no code of ours.
std::string room_of(std::string_view symbol) {
  for (auto at = symbol.find("gw::"); at != std::string_view::npos;
       at = symbol.find("gw::", at + 4)) {
    auto name = symbol.substr(at + 4);
    auto end = name.find("::");
    if (end == std::string_view::npos) continue;
    std::string room(name.substr(0, end));
    if (room.empty() || room.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos)
      continue;
    if (room == "adapters") return "adapter";
    return room == "operators" ? "operator" : room;
  }
  // Our own protobufs, by what they are for.
  if (symbol.find("interop::gateway::") != std::string_view::npos) return "api";
  if (symbol.find("interop::rows::") != std::string_view::npos) return "user";
  return {};
}

// For a stack without code of ours: the kernel's part of gRPC's threads, and the like.
std::string library_of(std::string_view object) {
  for (std::string_view name : {"grpc", "gpr", "protobuf", "absl", "ssl"})
    if (object.find(name) != std::string_view::npos) return "api";
  if (object.find("sqlite") != std::string_view::npos) return "store";
  return {};
}

// Decides samples of `perf script -F comm,ip,sym,dso` one line at a time.
class Attribution {
 public:
  void line(std::string_view text) {
    if (text.find_first_not_of(" \t\n") == std::string_view::npos) return end();
    if (text.front() != ' ' && text.front() != '\t') {
      end();
      open_ = true;
      thread_ = text.substr(0, text.find_first_of(" \t\n"));
      return;
    }
    if (!open_) return;
    if (room_.empty()) {
      auto found = room_of(text);
      if (is_ground(found)) {
        if (ground_.empty()) ground_ = found;
      } else {
        room_ = std::move(found);
      }
    }
    if (library_.empty()) library_ = library_of(text);
  }
  void end() {
    if (!open_) return;
    open_ = false;
    std::string room = !room_.empty() ? room_ : !library_.empty() ? library_ : ground_;
    if (room.empty()) room = thread_.starts_with("loop") ? "runtime" : "elsewhere";
    ++samples_[room];
    ++all_;
    room_.clear();
    ground_.clear();
    library_.clear();
  }
  std::map<std::string, double> shares() const {
    std::map<std::string, double> out;
    for (const auto& [room, n] : samples_) out[room] = double(n) / double(all_);
    return out;
  }

 private:
  bool open_ = false;
  std::string thread_, room_, ground_, library_;
  std::map<std::string, std::uint64_t> samples_;
  std::uint64_t all_ = 0;
};

}  // namespace

RoomsProfile::RoomsProfile(pid_t pid, std::string file) : file_(std::move(file)) {
  const std::string target = std::to_string(pid);
  perf_ = fork();
  if (perf_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  // Stacks by unwinding: Debian's libraries have no frame pointers.
  execlp("perf", "perf", "record", "--event=cpu-clock", "--freq=299", "--call-graph=dwarf,16384",
         "--output", file_.c_str(), "--pid", target.c_str(), nullptr);
  _exit(127);
}

RoomsProfile::~RoomsProfile() { finish(); }

std::map<std::string, double> RoomsProfile::finish() {
  if (perf_ <= 0) return {};
  kill(perf_, SIGINT);
  waitpid(perf_, nullptr, 0);
  perf_ = -1;
  const std::string script =
      "perf script --no-inline -F comm,ip,sym,dso -i '" + file_ + "' 2>/dev/null";
  FILE* out = popen(script.c_str(), "r");
  if (out == nullptr) return {};
  Attribution attribution;
  char* line = nullptr;
  std::size_t size = 0;
  while (getline(&line, &size, out) >= 0) attribution.line(line);
  free(line);
  attribution.end();
  pclose(out);
  unlink(file_.c_str());
  return attribution.shares();
}

}  // namespace gw::bench
