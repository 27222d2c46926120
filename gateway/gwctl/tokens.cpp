#include "gwctl/tokens.h"

#include <iostream>

#include "settings.h"

namespace gw::gwctl {

void TokenOptions::add_to(CLI::App& command, const char* key_option) {
  command.add_option(key_option, key, "the signing key, PEM (gwctl dev keys)")
      ->envname("GWCTL_SIGNING_KEY")
      ->required();
  command.add_option("--issuer", issuer, "`iss`: as the provider's settings have it")
      ->envname("GWCTL_ISSUER")
      ->required();
  command.add_option("--audience", audience, "`aud`")->capture_default_str();
  command.add_option("--lifetime", lifetime, "how long a token is valid: 30s, 10m, 1h")
      ->capture_default_str();
}

Result<TokenSigner> TokenSigner::make(const TokenOptions& options) {
  auto lifetime = settings::parse_duration(options.lifetime);
  if (!lifetime || lifetime->count() < 1000)
    return fail(ErrorKind::kRejected, "LIFETIME_INVALID",
                "--lifetime: expected a duration such as 10m");
  GW_ASSIGN(auto pem, read_file(options.key));
  GW_ASSIGN(auto key, identity::SigningKey::from_pem(pem));
  return TokenSigner(std::move(key), options, *lifetime);
}

Result<std::string> TokenSigner::sign(const std::string& user, WallTime now) const {
  return key_.sign({options_.issuer, user, options_.audience, now, now + lifetime_, {}});
}

void add_token(CLI::App& program, Outcome& outcome) {
  struct Options {
    TokenOptions token;
    std::string user;
  };
  auto options = std::make_shared<Options>();
  auto* command = program.add_subcommand("token", "sign a user's token with the development key");
  options->token.add_to(*command, "--key,--signing-key");
  command->add_option("--user", options->user, "`sub`: the user")->required();
  command->footer(
      "Prints the token alone. In production the provider's own identity service signs.\n"
      "Example:\n"
      "  gwctl token --key keys/signing_key.pem --issuer https://id.example.com --user alice");
  command->callback([options, &outcome] {
    auto signer = TokenSigner::make(options->token);
    auto token = signer ? signer->sign(options->user, SystemClock().wall())
                        : Result<std::string>(tl::unexpected(signer.error()));
    if (!token) {
      outcome = report(token.error());
      return;
    }
    std::cout << *token << "\n";
  });
}

}  // namespace gw::gwctl
