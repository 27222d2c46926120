// Starts the provider's door on a free port with scripted users, for provider "acme". Writes
// ca.pem, client.pem and client.key into the folder given, then a line of JSON with the target to
// stdout. Ends when stdin does.
#include <cstdio>
#include <fstream>
#include <iostream>

#include "adapters/native/native.h"
#include "api/server.h"
#include "unit/api/certificates.h"
#include "unit/api/fake_users.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: api_test_server FOLDER\n";
    return 2;
  }
  std::string folder = argv[1];
  auto write = [&](const char* name, const std::string& text) {
    std::ofstream out(folder + "/" + name);
    out << text;
    return static_cast<bool>(out.flush());
  };
  gw::test::Authority authority;
  gw::test::Pem own = authority.issue({"DNS:localhost", "IP:127.0.0.1"});
  gw::test::Pem client = authority.issue({"URI:interop:provider:acme"});
  if (!write("ca.pem", authority.pem()) || !write("client.pem", client.certificate) ||
      !write("client.key", client.key)) {
    std::cerr << "cannot write into " << folder << "\n";
    return 1;
  }
  gw::test::FakeUsers users;
  gw::api::ApiProbe probe;
  gw::api::Options options;
  options.listen = "127.0.0.1:0";
  options.certificate_pem = own.certificate;
  options.key_pem = own.key;
  options.client_ca_pem = authority.pem();
  options.providers["acme"] = {7, &gw::adapters::native::descriptor()};
  auto server = gw::api::Server::start(std::move(options), users, probe);
  if (!server) {
    std::cerr << server.error().message << "\n";
    return 1;
  }
  std::cout << "{\"target\":\"localhost:" << (*server)->port() << "\"}" << std::endl;
  while (std::getchar() != EOF) {
  }
  return 0;
}
