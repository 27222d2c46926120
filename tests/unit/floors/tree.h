#pragma once

// Reading a source tree: its code files, their includes, and which room a path belongs to.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "unit/floors/table.h"

namespace gw::floors {

struct Include {
  int line = 0;
  std::string path;  // as written between the quotes or brackets
};

struct File {
  std::string path;  // from the root, with '/'
  std::string text;
  int lines = 0;
  std::vector<Include> includes;  // of C++ files
};

// Code only: data, generated and lock files, corpora, build output and installed packages are left
// out. In order of path.
std::vector<File> read_tree(const std::filesystem::path& root);

// The room of a path: "crypto" for gateway/crypto/*, "settings" for gateway/settings*.cpp,
// "adapters/native", "tests/whatsapp_sim". Empty for all the rest of the tree.
std::string room_of(const std::string& path, const Table& table);

// The file of this tree that an include means, or the part of proto/ it was generated from, as
// "proto_<part>". Nothing for a library's header.
std::optional<std::string> resolve(const std::filesystem::path& root, const std::string& from,
                                   const std::string& include);

// The rooms of DEPENDS in the gw_room(NAME ...) call of a CMake text. Nothing when there is no such
// call.
std::optional<Names> cmake_depends(const std::string& cmake, const std::string& name);

// The rooms of the gw_... targets that a CMake text mentions, and other names behind a gw_.
Names cmake_targets(const std::string& cmake);

}  // namespace gw::floors
