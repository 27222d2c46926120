#include "settings_reader.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>

#include "base/encoding.h"

namespace gw::settings {
namespace {

std::string_view kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a section";
  if (node.IsSequence()) return "a list";
  if (node.IsNull()) return "nothing";
  return "a single value";
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
std::optional<std::uint64_t> parse_with_unit(std::string_view text,
                                             std::initializer_list<Unit> units) {
  auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  auto value = parse_number(text.substr(0, digits));
  std::uint64_t product = 0;
  for (const auto& unit : units)
    if (value && text.substr(digits) == unit.name) {
      if (__builtin_mul_overflow(*value, unit.factor, &product) || product > INT64_MAX)
        return std::nullopt;
      return product;
    }
  return std::nullopt;
}

std::string duration_text(Millis value) {
  auto ms = value.count();
  for (auto [name, factor] :
       {std::pair{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}})
    if (ms % factor == 0) return std::to_string(ms / factor) + name;
  return std::to_string(ms) + "ms";
}

std::string size_text(std::uint64_t value) {
  for (auto [name, shift] : {std::pair{"GiB", 30}, {"MiB", 20}, {"KiB", 10}})
    if (value >> shift << shift == value) return std::to_string(value >> shift) + name;
  return std::to_string(value) + "B";
}

std::optional<Address> parse_address(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto port = parse_number(text.substr(colon + 1));
  if (!port || *port > 65535) return std::nullopt;
  std::string host(text.substr(0, colon));
  std::array<std::uint8_t, 16> parsed{};
  bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (v6) host = host.substr(1, host.size() - 2);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), parsed.data()) != 1) return std::nullopt;
  return Address{host, static_cast<std::uint16_t>(*port)};
}

// Something in `words` that the writer may have meant.
std::string suggestion(std::string_view key, const std::vector<std::string_view>& words) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, std::min<std::size_t>(3, key.size() / 3)) + 1;
  for (auto word : words) {
    bool abbreviated = key.size() >= 3 && word.starts_with(key);
    if (auto distance = abbreviated ? 1 : edit_distance(key, word); distance < least) {
      best = word;
      least = distance;
    }
  }
  return best.empty() ? "" : "; did you mean \"" + std::string(best) + "\"?";
}

}  // namespace

void Reading::problem(const YAML::Mark& at, const std::string& key, std::string message) const {
  if (full()) return;
  if (problems.size() + 1 == kMostProblems) {
    problems.push_back({file, 0, 0, "", "has more problems than are shown"});
    return;
  }
  bool known = at.line >= 0 && at.column >= 0;
  problems.push_back(
      {file, known ? at.line + 1 : 0, known ? at.column + 1 : 0, key, std::move(message)});
}

Section::Section(Reading& reading, YAML::Node node, std::string path, YAML::Mark at)
    : reading_(reading), node_(std::move(node)), path_(std::move(path)), at_(at) {
  if (!node_.IsDefined()) return;
  if (!node_.IsMap()) {
    reading_.problem(node_.IsNull() ? at_ : node_.Mark(), path_,
                     "expected a section, found " + std::string(kind_of(node_)));
    return;
  }
  if (node_.size() > kMostKeys) {
    reading_.problem(node_.Mark(), path_, "has too many keys");
    node_.reset(YAML::Node(YAML::NodeType::Undefined));  // so that none is called missing
    return;
  }
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar()) {
      reading_.problem(pair.first.Mark(), path_, "expected a word as key");
      continue;
    }
    const auto& key = pair.first.Scalar();
    if (find(key))
      reading_.problem(pair.first.Mark(), path_of(key), "is given twice");
    else
      entries_.push_back({key, pair.first.Mark(), pair.second});
  }
}

Section::~Section() {
  for (const auto& entry : entries_)
    if (!reading_.full() && std::find(asked_.begin(), asked_.end(), entry.key) == asked_.end())
      reading_.problem(entry.at, path_of(entry.key),
                       "is no setting" + suggestion(entry.key, asked_));
}

const Section::Entry* Section::find(std::string_view key) const {
  auto at = std::find_if(entries_.begin(), entries_.end(),
                         [&](const Entry& entry) { return entry.key == key; });
  return at == entries_.end() ? nullptr : &*at;
}

std::string Section::path_of(std::string_view key) const {
  return (path_.empty() ? "" : path_ + ".") + shown(key);
}

void Section::problem(std::string_view key, std::string message) const {
  const auto* entry = find(key);
  reading_.problem(!entry                  ? at_
                   : entry->value.IsNull() ? entry->at
                                           : entry->value.Mark(),
                   path_of(key), std::move(message));
}

YAML::Node Section::raw(std::string_view key, Need need) {
  asked_.push_back(key);
  if (const auto* entry = find(key)) return entry->value;
  if (need == Need::kRequired && there()) problem(key, "is missing");
  return YAML::Node(YAML::NodeType::Undefined);
}

Section Section::section(std::string_view key, Need need) {
  auto node = raw(key, need);
  const auto* entry = find(key);
  return {reading_, node, path_of(key), entry ? entry->at : at_};
}

std::optional<std::string> Section::scalar(std::string_view key, bool required,
                                           std::string_view expected) {
  asked_.push_back(key);
  const auto* entry = find(key);
  if (!entry) {
    if (required && there()) problem(key, "is missing: expected " + std::string(expected));
    return std::nullopt;
  }
  if (!entry->value.IsScalar()) {
    problem(key,
            "expected " + std::string(expected) + ", found " + std::string(kind_of(entry->value)));
    return std::nullopt;
  }
  return entry->value.Scalar();
}

std::string Section::text(std::string_view key, std::optional<std::string> fallback,
                          std::string_view expected, Accept accept) {
  auto value = scalar(key, !fallback, expected);
  if (!value) return fallback.value_or("");
  if (accept(*value)) return *value;
  problem(key, "expected " + std::string(expected));
  return fallback.value_or("");
}

bool Section::boolean(std::string_view key, bool fallback) {
  auto value = scalar(key, false, "true or false");
  if (!value) return fallback;
  if (*value == "true") return true;
  if (*value != "false") problem(key, "expected true or false, found \"" + shown(*value) + "\"");
  return *value == "false" ? false : fallback;
}

std::uint64_t Section::number(std::string_view key, std::optional<std::uint64_t> fallback,
                              std::uint64_t least, std::uint64_t most) {
  auto expected = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  auto text = scalar(key, !fallback, expected);
  if (!text) return fallback.value_or(least);
  // Quoted, it is a text and not a number.
  auto value = find(key)->value.Tag() == "!" ? std::nullopt : parse_number(*text);
  if (value && *value >= least && *value <= most) return *value;
  problem(key, "expected " + expected + ", found \"" + shown(*text) + "\"");
  return fallback.value_or(least);
}

Millis Section::duration(std::string_view key, Millis fallback, Millis least, Millis most) {
  auto expected = "a duration from " + duration_text(least) + " to " + duration_text(most) +
                  " with its unit (ms, s, m, h, d), such as " + duration_text(fallback);
  auto text = scalar(key, false, expected);
  if (!text) return fallback;
  auto value = parse_duration(*text);
  if (value && *value >= least && *value <= most) return *value;
  problem(key, "expected " + expected + ", found \"" + shown(*text) + "\"");
  return fallback;
}

std::uint64_t Section::size(std::string_view key, std::uint64_t fallback, std::uint64_t least,
                            std::uint64_t most) {
  auto expected = "a size from " + size_text(least) + " to " + size_text(most) +
                  " with its unit (B, KiB, MiB, GiB), such as " + size_text(fallback);
  auto text = scalar(key, false, expected);
  if (!text) return fallback;
  auto value = parse_size(*text);
  if (value && *value >= least && *value <= most) return *value;
  problem(key, "expected " + expected + ", found \"" + shown(*text) + "\"");
  return fallback;
}

std::size_t Section::choice(std::string_view key, std::optional<std::size_t> fallback,
                            std::initializer_list<std::string_view> words) {
  std::string expected;
  for (auto word : words) expected += (expected.empty() ? "" : ", ") + std::string(word);
  if (words.size() > 1) expected = "one of " + expected;
  auto text = scalar(key, !fallback, expected);
  if (!text) return fallback.value_or(0);
  auto at = std::find(words.begin(), words.end(), *text);
  if (at != words.end()) return static_cast<std::size_t>(at - words.begin());
  problem(key, "expected " + expected + ", found \"" + shown(*text) + "\"" +
                   suggestion(*text, {words.begin(), words.end()}));
  return fallback.value_or(0);
}

Address Section::address(std::string_view key, std::optional<Address> fallback) {
  constexpr std::string_view kExpected =
      "an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464";
  auto text = scalar(key, !fallback, kExpected);
  if (!text) return fallback.value_or(Address{});
  if (auto parsed = parse_address(*text)) return *parsed;
  problem(key, "expected " + std::string(kExpected) + ", found \"" + shown(*text) + "\"");
  return fallback.value_or(Address{});
}

crypto::Key32 Section::hex_key(std::string_view key, std::string_view fallback) {
  auto text = scalar(key, false, "64 hex digits").value_or(std::string(fallback));
  auto octets = from_hex(text);
  crypto::Key32 out{};
  if (octets && octets->size() == out.size())
    std::copy(octets->begin(), octets->end(), out.begin());
  else
    problem(key, "expected 64 hex digits, found " + std::to_string(text.size()) + " characters");
  return out;
}

std::string Section::resolve(const std::string& name) const {
  return name.starts_with('/') ? name : reading_.folder + name;
}

std::pair<std::string, std::string> Section::file(std::string_view key, FileKind kind) {
  auto given = scalar(key, true, "the name of a file");
  if (!given) return {};
  if (given->empty()) return problem(key, "expected the name of a file"), std::pair{*given, *given};
  // Somebody who puts the key itself here must not see it repeated in an error.
  if (kind != FileKind::kCertificates &&
      (parse_key32(*given) || given->find("-----BEGIN") != std::string::npos)) {
    problem(key, "expected the name of a file that holds the key, found a key");
    return {};
  }
  auto name = resolve(*given);
  auto content = reading_.files.read(name);
  using Status = FileContent::Status;
  switch (content.status) {
    case Status::kRead:
      break;
    case Status::kMissing:
      problem(key, "there is no file " + shown(name));
      return {};
    case Status::kUnreadable:
      problem(key, "the file " + shown(name) + " cannot be read: check owner and permissions");
      return {};
    case Status::kNotAFile:
      problem(key, shown(name) + " is not a regular file");
      return {};
    case Status::kTooLarge:
      problem(key, "the file " + shown(name) + " is too large");
      return {};
  }
  if (kind != FileKind::kCertificates && (content.mode & 077) != 0)
    problem(key, "others may read the file " + shown(name) + ": chmod 600 it");
  std::string_view mark = kind == FileKind::kCertificates ? "-----BEGIN CERTIFICATE-----"
                          : kind == FileKind::kPrivateKey ? "PRIVATE KEY-----"
                                                          : "";
  if (content.text.find(mark) == std::string::npos)
    problem(key, "the file " + shown(name) + " holds no PEM " +
                     (kind == FileKind::kPrivateKey ? "private key" : "certificate"));
  return {std::move(name), std::move(content.text)};
}

std::optional<Millis> parse_duration(std::string_view text) {
  auto value = parse_with_unit(
      text, {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}});
  if (!value) return std::nullopt;
  return Millis(static_cast<std::int64_t>(*value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, {{"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}});
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 200;
  std::string out;
  for (char c : text.substr(0, kMost)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return text.size() > kMost ? out + "..." : out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t kMost = 64;
  a = a.substr(0, kMost);
  b = b.substr(0, kMost);
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t differs = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + differs});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::optional<crypto::Key32> parse_key32(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(kBlank) - first + 1);
  auto octets = text.size() == 64 ? from_hex(text) : from_base64(text);
  if (!octets || octets->size() != 32) return std::nullopt;
  crypto::Key32 key;
  std::copy(octets->begin(), octets->end(), key.begin());
  crypto::wipe(*octets);
  return key;
}

}  // namespace gw::settings
