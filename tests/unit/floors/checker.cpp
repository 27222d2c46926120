#include "unit/floors/checker.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>

#include "unit/floors/tree.h"

namespace gw::floors {
namespace fs = std::filesystem;
namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "nothing" : text;
}

std::string place(const File& file, const Include& include) {
  return file.path + ":" + std::to_string(include.line) + ": ";
}

class Checker {
 public:
  explicit Checker(const fs::path& root)
      : root_(root),
        table_(Table::parse(read(root / "gateway/README.md"), problems_)),
        files_(read_tree(root)) {}

  Problems run() {
    for (const auto& file : files_) {
      check_length(file);
      check_includes(file);
      if (file.path.starts_with("gateway/")) check_knows_no_tests(file);
      if (file.path.ends_with("CMakeLists.txt")) check_cmake(file);
    }
    check_include_cycles();
    check_rooms_and_rows();
    return std::move(problems_);
  }

 private:
  void report(std::string problem) { problems_.push_back(std::move(problem)); }

  void check_length(const File& file) {
    if (file.lines <= kMaxCodeLines) return;
    report(file.path + ": " + std::to_string(file.lines) + " lines, more than " +
           std::to_string(kMaxCodeLines));
  }

  void check_includes(const File& file) {
    const std::string room = room_of(file.path, table_);
    const Room* row = room.empty() ? nullptr : table_.find(room);
    if (!room.empty()) seen_rooms_.insert(room);
    for (const auto& include : file.includes) {
      const auto target = resolve(root_, file.path, include.path);
      if (!target) {
        if (row != nullptr && row->pure) check_pure(file, include);
        continue;
      }
      if (!is_proto(*target)) edges_[file.path].push_back(*target);
      if (row == nullptr) continue;
      const std::string used = is_proto(*target) ? *target : room_of(*target, table_);
      if (used == room || allowed(*row, used)) continue;
      report(place(file, include) + row->name + " may not include " + include.path + " of " +
             (used.empty() ? "no room" : used) + "; it may use " + listed(table_.reach(*row)));
    }
  }

  bool allowed(const Room& row, const std::string& used) const {
    const Names reach = table_.reach(row);
    return reach.contains(used) || (used.starts_with("adapters/") && reach.contains("adapters/*"));
  }

  // Headers that mean I/O, threads, clocks or logs.
  void check_pure(const File& file, const Include& include) {
    static const std::regex impure(
        "(fstream|iostream|filesystem|thread|mutex|shared_mutex|condition_variable|future|"
        "unistd\\.h|fcntl\\.h|time\\.h|ctime|poll\\.h|netdb\\.h|sqlite3\\.h|"
        "(sys|netinet|arpa|boost|curl|grpcpp|grpc|spdlog|prometheus)/.*)");
    if (std::regex_match(include.path, impure)) {
      report(place(file, include) + "a pure room may not include " + include.path);
    }
  }

  void check_knows_no_tests(const File& file) {
    static const std::regex mention("whatsapp_sim|simulator", std::regex::icase);
    std::smatch match;
    if (std::regex_search(file.text, match, mention)) {
      report(file.path + ": mentions '" + match.str() + "'; gateway/ knows nothing of the tests");
    }
  }

  // gw_room's DEPENDS say what the row says (base and telemetry, open to all, aside); every other
  // CMake file links what its room may use.
  void check_cmake(const File& file) {
    const std::string room = room_of(file.path, table_);
    const Room* row = room.empty() ? nullptr : table_.find(room);
    if (row == nullptr) return;
    if (auto depends = cmake_depends(file.text, room); depends && row->name == room) {
      Names uses = row->uses;
      for (const char* open : {"base", "telemetry"}) {
        if (row->pure && std::string_view(open) == "telemetry") continue;
        uses.erase(open);
        depends->erase(open);
      }
      if (uses != *depends) {
        report(file.path + ": DEPENDS " + listed(*depends) +
               ", but the row in gateway/README.md says " + listed(uses));
      }
      return;
    }
    for (const auto& target : cmake_targets(file.text)) {
      if (target == room || !(is_proto(target) || table_.find(target) != nullptr)) continue;
      if (!allowed(*row, target)) report(joined({file.path, ": ", room, " may not use ", target}));
    }
  }

  void check_include_cycles() {
    std::map<std::string, int> state;  // 0 new, 1 on the path, 2 done
    std::vector<std::string> path;
    for (const auto& file : files_) walk(file.path, state, path);
  }

  void walk(const std::string& file, std::map<std::string, int>& state,
            std::vector<std::string>& path) {
    if (state[file] == 2) return;
    path.push_back(file);
    if (state[file] == 1) {
      std::string cycle;
      for (auto it = std::find(path.begin(), path.end(), file); it != path.end(); ++it) {
        cycle += (cycle.empty() ? "" : " -> ") + *it;
      }
      report("include cycle: " + cycle);
    } else {
      state[file] = 1;
      for (const auto& next : edges_[file]) walk(next, state, path);
      state[file] = 2;
    }
    path.pop_back();
  }

  // Every room has a row and a README, every row a room.
  void check_rooms_and_rows() {
    for (const auto& room : seen_rooms_) {
      if (table_.find(room) == nullptr) report("gateway/README.md: no row for the room " + room);
      check_readme(room);
    }
    for (const auto& row : table_.rooms()) {
      if (!row.name.ends_with("/*") && !seen_rooms_.contains(row.name)) {
        report("gateway/README.md, row " + row.name + ": there is no such room");
      }
    }
  }

  void check_readme(const std::string& room) {
    const fs::path folder =
        root_ / (room.find('/') == std::string::npos ? "gateway/" + room : room);
    if (!fs::is_directory(folder)) return;  // a file beside the rooms
    const std::string text = read(folder / "README.md");
    const auto lines = std::count(text.begin(), text.end(), '\n');
    const std::string name = fs::relative(folder / "README.md", root_).generic_string();
    if (text.empty()) report(name + ": missing or empty");
    if (lines > kMaxReadmeLines) {
      report(name + ": " + std::to_string(lines) + " lines, more than " +
             std::to_string(kMaxReadmeLines));
    }
  }

  fs::path root_;
  Problems problems_;
  Table table_;
  std::vector<File> files_;
  std::map<std::string, std::vector<std::string>> edges_;  // file -> files it includes
  Names seen_rooms_;
};

}  // namespace

Problems check(const fs::path& root) { return Checker(root).run(); }

}  // namespace gw::floors
