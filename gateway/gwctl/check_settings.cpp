#include <iostream>

#include "gwctl/command.h"
#include "identity/certificates.h"
#include "settings.h"

namespace gw::gwctl {
namespace {

constexpr std::chrono::days kSoon{14};

Result<void> check_validity(const std::string& file) {
  GW_ASSIGN(auto pem, read_file(file));
  auto validity = identity::validity_of(pem);
  if (!validity)
    return fail(ErrorKind::kConfig, validity.error().reason,
                file + ": " + validity.error().message);
  auto now = SystemClock().wall();
  if (validity->until <= now || validity->from > now)
    return fail(ErrorKind::kConfig, "CERTIFICATE_NOT_VALID_NOW",
                file + ": the certificate is not valid today; issue a new one");
  if (validity->until < now + kSoon)
    std::cerr << "gwctl: warning: the certificate in " << file << " ends within 14 days\n";
  return {};
}

Result<void> check_tls(const settings::Tls& tls) {
  GW_ASSIGN(auto certificate, read_file(tls.certificate));
  GW_ASSIGN(auto key, read_file(tls.key));
  if (auto pair = identity::check_pair(certificate, key); !pair)
    return fail(ErrorKind::kConfig, pair.error().reason,
                tls.certificate + " and " + tls.key + ": " + pair.error().message);
  GW_TRY(check_validity(tls.certificate));
  return check_validity(tls.client_ca);
}

Exit check(const std::string& file) {
  auto loaded = settings::load(file);
  if (!loaded) {
    for (const auto& problem : loaded.error()) std::cerr << problem.text() << "\n";
    std::cerr << loaded.error().size()
              << (loaded.error().size() == 1 ? " problem\n" : " problems\n");
    return Exit::kUsage;
  }
  if (auto tls = check_tls(loaded->listen.tls); !tls) return report(tls.error());
  std::cout << file << ": the settings are in order\n";
  return Exit::kDone;
}

}  // namespace

void add_check_settings(CLI::App& program, Outcome& outcome) {
  auto file = std::make_shared<std::string>();
  auto* command = program.add_subcommand(
      "check-settings", "say everything that is wrong with a settings file, and what it refers to");
  command->add_option("file", *file, "the settings, YAML")->required();
  command->footer(
      "One problem a line: FILE:LINE:COLUMN: key: what is expected.\n"
      "Example:\n  gwctl check-settings config/gateway.yaml");
  command->callback([file, &outcome] { outcome = check(*file); });
}

}  // namespace gw::gwctl
