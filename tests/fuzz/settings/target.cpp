// Settings of any octets: loaded or refused with problems that have a place, never a crash. The
// disk is one in memory on which every file can be read.

#include <cstdlib>

#include "base/bytes.h"
#include "settings.h"

using gw::settings::FileContent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string fuzzed(gw::as_text({data, size}));
  gw::settings::Files files{
      [&](const std::string& name) -> FileContent {
        if (name == "gateway.yaml" || name.ends_with("/p.yaml"))
          return {FileContent::Status::kRead, 0600, fuzzed};
        if (name == "kek") return {FileContent::Status::kRead, 0600, std::string(64, 'a')};
        return {FileContent::Status::kRead, 0600,
                "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"};
      },
      [](const std::string& folder) -> std::optional<std::vector<std::string>> {
        if (folder != "providers/") return std::nullopt;
        return std::vector<std::string>{"p.yaml"};
      }};
  auto loaded = gw::settings::load("gateway.yaml", files);
  if (loaded) {
    if (loaded->providers.empty() || loaded->loops == 0) std::abort();
    return 0;
  }
  if (loaded.error().empty()) std::abort();
  for (const auto& problem : loaded.error()) {
    if (problem.message.empty() || problem.line < 0) std::abort();
    for (unsigned char c : problem.text())
      if (c < 0x20 || c >= 0x7f) std::abort();
  }
  return 0;
}
