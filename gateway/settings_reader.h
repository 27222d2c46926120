#pragma once

// Reads one map of a YAML file key by key. The keys that are asked for are the keys that exist: the
// rest is reported when the section ends. A getter that finds something wrong notes it and returns
// the fallback, so that reading goes on and all problems show at once.

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "settings.h"

namespace gw::settings {

// No settings need more; a file that is something else altogether is not reported at length.
inline constexpr std::size_t kMostProblems = 100, kMostKeys = 100, kMostProviders = 1000;

// A file that is being read, and what is wrong with it so far.
struct Reading {
  std::string file;    // as problems name it
  std::string folder;  // where relative names start; ends in '/' or is empty
  const Files& files;
  std::vector<Problem>& problems;

  void problem(const YAML::Mark& at, const std::string& key, std::string message) const;
  bool full() const { return problems.size() >= kMostProblems; }
};

enum class FileKind : std::uint8_t { kCertificates, kPrivateKey, kSecret };

class Section {
 public:
  // `node` may be anything; if it is no map that is a problem. `at`: where to report missing keys.
  Section(Reading& reading, YAML::Node node, std::string path, YAML::Mark at);
  ~Section();  // reports unknown keys
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  enum class Need : bool { kOptional, kRequired };
  Section section(std::string_view key, Need need);
  // The raw value; undefined when it is not there.
  YAML::Node raw(std::string_view key, Need need);

  // Without a fallback the key is required.
  using Accept = bool (*)(std::string_view);
  std::string text(std::string_view key, std::optional<std::string> fallback,
                   std::string_view expected, Accept accept);
  bool boolean(std::string_view key, bool fallback);
  std::uint64_t number(std::string_view key, std::optional<std::uint64_t> fallback,
                       std::uint64_t least, std::uint64_t most);
  Millis duration(std::string_view key, Millis fallback, Millis least, Millis most);
  std::uint64_t size(std::string_view key, std::uint64_t fallback, std::uint64_t least,
                     std::uint64_t most);
  // The index of the chosen word.
  std::size_t choice(std::string_view key, std::optional<std::size_t> fallback,
                     std::initializer_list<std::string_view> words);
  Address address(std::string_view key, std::optional<Address> fallback);
  crypto::Key32 hex_key(std::string_view key, std::string_view fallback);
  // A file that has to be there. Returns its name and content.
  std::pair<std::string, std::string> file(std::string_view key, FileKind kind);

  void problem(std::string_view key, std::string message) const;
  bool there() const { return node_.IsDefined() && node_.IsMap(); }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::string resolve(const std::string& name) const;

 private:
  struct Entry {
    std::string key;
    YAML::Mark at;
    YAML::Node value;
    bool known = false;
  };
  const Entry* find(std::string_view key) const;
  std::string path_of(std::string_view key) const;
  // The scalar of a key, or nothing: then it was reported when it had to be.
  std::optional<std::string> scalar(std::string_view key, bool required, std::string_view expected);

  Reading& reading_;
  YAML::Node node_;
  std::string path_;
  YAML::Mark at_;
  std::vector<Entry> entries_;
  std::vector<std::string_view> asked_;  // literals
};

std::optional<std::uint64_t> parse_size(std::string_view text);
// Shown in messages: short, printable.
std::string shown(std::string_view text);
// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);
// 32 octets in hex or base64, with white space around them.
std::optional<crypto::Key32> parse_key32(std::string_view text);

}  // namespace gw::settings
