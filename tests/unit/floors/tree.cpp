#include "unit/floors/tree.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

namespace gw::floors {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCode[] = {".h",  ".cpp", ".cc", ".c",   ".proto", ".cmake", ".mjs",
                                      ".js", ".ts",  ".py", ".lua", ".sql",   ".sh"};

bool skipped_folder(const fs::path& path) {
  const std::string name = path.filename().string();
  return (name.starts_with(".") && name != ".ci") || name == "build" || name == "var" ||
         name == "node_modules" || name == "corpus";
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_code(const fs::path& path, const std::string& text) {
  const std::string name = path.filename().string();
  if (name == "CMakeLists.txt" || name == "Dockerfile") return true;
  if (!path.has_extension()) return text.starts_with("#!");
  return std::find(std::begin(kCode), std::end(kCode), path.extension().string()) !=
         std::end(kCode);
}

std::vector<Include> includes_of(const std::string& text) {
  static const std::regex include(R"re(^\s*#\s*include\s*[<"]([^>"]+)[>"])re");
  std::vector<Include> found;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::smatch match;
    if (std::regex_search(line, match, include)) found.push_back({number, match[1]});
  }
  return found;
}

// What follows the call's opening bracket, up to the closing one, as words; comments left out.
std::optional<std::vector<std::string>> call_words(const std::string& cmake,
                                                   const std::string& function,
                                                   const std::string& name) {
  const std::string bare = std::regex_replace(cmake, std::regex("#[^\n]*"), "");
  const std::regex call(function + R"(\s*\(\s*)" + name + R"(\b([^)]*)\))");
  std::smatch match;
  if (!std::regex_search(bare, match, call)) return std::nullopt;
  std::istringstream in(match[1].str());
  return std::vector<std::string>(std::istream_iterator<std::string>(in), {});
}

// The targets gw_adapter_native and gw_adapters, without gw_, are no room's name as it stands.
std::string room_of_target(const std::string& target) {
  if (target == "adapters") return "adapters/registry";
  return target.starts_with("adapter_") ? "adapters/" + target.substr(8) : target;
}

}  // namespace

std::vector<File> read_tree(const fs::path& root) {
  std::vector<File> files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::end(it); ++it) {
    if (it->is_directory() && skipped_folder(it->path())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && !it->is_symlink()) {
      // An extension outside the list is data: not even read.
      if (it->path().has_extension() && !is_code(it->path(), "")) continue;
      std::string text = text_of(it->path());
      if (!is_code(it->path(), text)) continue;
      File file{fs::relative(it->path(), root).generic_string(), std::move(text), 0, {}};
      file.lines = static_cast<int>(std::count(file.text.begin(), file.text.end(), '\n'));
      if (file.path.ends_with(".h") || file.path.ends_with(".cpp")) {
        file.includes = includes_of(file.text);
      }
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

std::string room_of(const std::string& path, const Table& table) {
  static const std::regex place(R"(^(gateway|adapters|tests)/([^/]+?)(/.*|\.[a-z]+)$)");
  std::smatch match;
  if (!std::regex_match(path, match, place)) return {};
  const std::string top = match[1];
  std::string name = match[2];
  const bool folder = match[3].str().starts_with("/");
  if (top == "tests") return folder && name == "whatsapp_sim" ? "tests/whatsapp_sim" : "";
  if (name == "CMakeLists" || name == "README") return {};
  if (top == "adapters") return folder ? "adapters/" + name : "adapters/registry";
  if (folder || table.find(name) != nullptr) return name;
  // A file beside the rooms whose name begins with one of them: settings_yaml.cpp.
  for (const auto& room : table.rooms()) {
    if (name.starts_with(room.name + "_")) return room.name;
  }
  return name;
}

std::optional<std::string> resolve(const fs::path& root, const std::string& from,
                                   const std::string& include) {
  if (include.ends_with(".pb.h")) {
    static const std::regex part(R"(^(?:interop/|google/)?([a-z_]+)/.*)");
    std::smatch match;
    const fs::path proto =
        root / "proto" / std::regex_replace(include, std::regex(R"((\.grpc)?\.pb\.h$)"), ".proto");
    if (!fs::exists(proto) || !std::regex_match(include, match, part)) return std::nullopt;
    return "proto_" + match[1].str();
  }
  const std::array<fs::path, 5> bases = {root / "gateway", (root / from).parent_path(),
                                         root / "adapters", root / "tests", root};
  for (const auto& base : bases) {
    const fs::path path = (base / include).lexically_normal();
    if (fs::is_regular_file(path)) return fs::relative(path, root).generic_string();
  }
  return std::nullopt;
}

std::optional<Names> cmake_depends(const std::string& cmake, const std::string& name) {
  const auto words = call_words(cmake, "gw_room", name);
  if (!words) return std::nullopt;
  Names depends;
  bool inside = false;
  for (const auto& word : *words) {
    if (word == "DEPENDS") {
      inside = true;
    } else if (word == "LIBS" || word == "PCH") {
      inside = false;
    } else if (inside) {
      depends.insert(room_of_target(word));
    }
  }
  return depends;
}

Names cmake_targets(const std::string& cmake) {
  static const std::regex target(R"(\bgw_([a-z_]+)\b(?!\s*\())");
  const std::string bare = std::regex_replace(cmake, std::regex("#[^\n]*"), "");
  Names names;
  for (std::sregex_iterator it(bare.begin(), bare.end(), target), end; it != end; ++it) {
    names.insert(room_of_target((*it)[1]));
  }
  return names;
}

}  // namespace gw::floors
