// gwctl dev: what a developer needs to start a gateway: keys and certificates.

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "gwctl/command.h"
#include "identity/certificates.h"
#include "identity/token.h"

namespace gw::gwctl {
namespace {

using nlohmann::json;

// A key that exists stays: nothing could open what is stored under a lost one.
Result<json> make_keys(const std::string& folder) {
  GW_TRY(make_folder(folder));
  json out;
  auto note = [&](const char* what, const std::string& file, bool made) {
    out[what] = {{"file", file}, {"made", made}};
  };
  const auto kek = folder + "/key_encryption_key", signing = folder + "/signing_key.pem",
             jwks = folder + "/jwks.json";
  bool kek_missing = !exists(kek), signing_missing = !exists(signing);
  if (kek_missing) {
    crypto::Secret32 key;
    crypto::random_bytes(key.get());
    GW_TRY(write_file(kek, to_hex(key.get()) + "\n", true));
  }
  note("key_encryption_key", kek, kek_missing);
  if (signing_missing) {
    GW_ASSIGN(auto key, identity::SigningKey::generate());
    GW_TRY(write_file(signing, key.to_pem(), true));
  }
  note("signing_key", signing, signing_missing);
  GW_ASSIGN(auto pem, read_file(signing));
  GW_ASSIGN(auto key, identity::SigningKey::from_pem(pem));
  GW_TRY(write_file(jwks, key.jwks(), false));
  note("jwks", jwks, true);
  out["kid"] = key.kid();
  return out;
}

struct CertificateOptions {
  std::string folder = "certificates";
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"}, providers;
  int days = 30;
};

Result<identity::DevAuthority> authority(const CertificateOptions& options, WallTime now,
                                         const std::string& stem, bool& made) {
  std::chrono::days live(options.days);
  made = !exists(stem + ".pem") && !exists(stem + ".key");
  if (made) return identity::DevAuthority::make(now, live);
  GW_ASSIGN(auto certificate, read_file(stem + ".pem"));
  GW_ASSIGN(auto key, read_file(stem + ".key"));
  GW_ASSIGN(auto validity, identity::validity_of(certificate));
  if (validity.until < now + live)
    return fail(ErrorKind::kConfig, "AUTHORITY_EXPIRES",
                stem + ".pem ends before the certificates would: remove it and its key");
  return identity::DevAuthority::load({std::move(certificate), std::move(key)}, now, live);
}

Result<json> make_certificates(const CertificateOptions& options) {
  auto now = SystemClock().wall();
  GW_TRY(make_folder(options.folder));
  json out;
  auto save = [&](const std::string& name, const identity::Issued& issued) -> Result<void> {
    auto stem = options.folder + "/" + name;
    GW_TRY(write_file(stem + ".key", issued.key, true));
    GW_TRY(write_file(stem + ".pem", issued.certificate, false));
    out[name] = {{"certificate", stem + ".pem"}, {"key", stem + ".key"}};
    return {};
  };
  bool made = false;
  GW_ASSIGN(auto ca, authority(options, now, options.folder + "/ca", made));
  // All is issued before anything is written, so that a wrong name leaves the files as they were.
  GW_ASSIGN(auto server, ca.server(options.names));
  std::vector<identity::Issued> clients;
  for (const auto& provider : options.providers) {
    if (provider == "ca" || provider == "server")
      return fail(ErrorKind::kRejected, "PROVIDER_ID_INVALID",
                  "this name is taken by the file of the authority or the server");
    GW_ASSIGN(auto client, ca.client(provider));
    clients.push_back(std::move(client));
  }
  if (made) GW_TRY(save("ca", ca.self()));
  GW_TRY(save("server", server));
  for (std::size_t i = 0; i < clients.size(); ++i) GW_TRY(save(options.providers[i], clients[i]));
  out["ca"] = {{"certificate", options.folder + "/ca.pem"}, {"key", options.folder + "/ca.key"}};
  return out;
}

void finish(const Result<json>& made, Outcome& outcome) {
  if (!made)
    outcome = report(made.error());
  else
    std::cout << made->dump() << "\n";
}

}  // namespace

void add_dev(CLI::App& program, Outcome& outcome) {
  auto* dev = program.add_subcommand("dev", "keys and certificates for development");
  dev->require_subcommand(1);

  auto folder = std::make_shared<std::string>("keys");
  auto* keys = dev->add_subcommand("keys", "key-encryption key, token signing key and its JWKS");
  keys->add_option("--out", *folder, "folder to write to")->capture_default_str();
  keys->footer(
      "Writes key_encryption_key and signing_key.pem (mode 0600) and jwks.json. Keys that exist\n"
      "are kept.\nExample:\n  gwctl dev keys --out config/keys");
  keys->callback([folder, &outcome] { finish(make_keys(*folder), outcome); });

  auto options = std::make_shared<CertificateOptions>();
  auto* certs =
      dev->add_subcommand("certs", "an authority, a server's and providers' certificates");
  certs->add_option("--out", options->folder, "folder to write to")->capture_default_str();
  certs->add_option("--provider", options->providers, "id of a provider; may come again")
      ->required();
  certs->add_option("--server-name", options->names, "host name or IP address; may come again")
      ->capture_default_str();
  certs->add_option("--days", options->days, "how long they are valid")
      ->check(CLI::Range(1, 3000))
      ->capture_default_str();
  certs->footer(
      "Writes ca, server and one <provider> each as .pem and .key (keys with mode 0600). An\n"
      "authority that exists is used again; the others are issued anew.\n"
      "Example:\n  gwctl dev certs --out config/certificates --provider example");
  certs->callback([options, &outcome] { finish(make_certificates(*options), outcome); });
}

}  // namespace gw::gwctl
