#include "end_to_end/scene.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace gw::bench {
namespace {

std::size_t collect(char* data, std::size_t size, std::size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

}  // namespace

Scene::Scene(const std::string& build, const std::string& folder, bool postgres) : folder_(folder) {
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directories(folder_);
  curl_ = curl_easy_init();
  if (curl_ == nullptr) throw std::runtime_error("no libcurl");
  const std::string gwctl = build + "/gateway/gwctl/gwctl", log = file("setup.log");
  run(gwctl, {"dev", "keys", "--out", file("keys")}, log);
  run(gwctl, {"dev", "certs", "--out", file("certificates"), "--provider", kProvider}, log);
  simulator_ = std::make_unique<Process>(
      build + "/tests/whatsapp_sim/whatsapp_sim",
      std::vector<std::string>{
          "--provider", std::to_string(kIntegrator) + "=" + kIssuer + "=" + file("keys/jwks.json")},
      file("simulator.log"));
  // As large as a machine of this size would give it; the checkpoint is not what is measured.
  if (postgres)
    postgres_ = std::make_unique<store::test::PrivatePostgres>(std::vector<std::string>{
        "shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min"});
  write_settings();
  gateway_ = std::make_unique<Process>(build + "/gateway/interop-gateway",
                                       std::vector<std::string>{"--config", file("gateway.yaml")},
                                       file("gateway.log"));
}

Scene::~Scene() {
  gateway_.reset();
  simulator_.reset();
  postgres_.reset();
  curl_easy_cleanup(curl_);
}

void Scene::write_settings() const {
  std::ofstream out(file("gateway.yaml"));
  out << "listen:\n  api: 127.0.0.1:0\n  tls:\n    certificate: certificates/server.pem\n"
         "    key: certificates/server.key\n    client_ca: certificates/ca.pem\n"
         "operator:\n  listen: 127.0.0.1:0\n"
         "store:\n"
      << (postgres_ ? "  kind: postgres\n  uri: " + postgres_->uri("gateway") + "\n"
                    : "  kind: sqlite\n  path: gateway.db\n")
      << "keys:\n  key_encryption_key_file: keys/key_encryption_key\n"
         "whatsapp:\n  host: 127.0.0.1\n  port: "
      << simulator_->ready().at("tcp_port")
      << "\n  root_key: " << simulator_->ready().at("root_key").get<std::string>()
      << "\nproviders:\n  - id: " << kProvider << "\n    integrator: " << kIntegrator
      << "\n    issuer: " << kIssuer
      << "\n    trust_level: IN_GATEWAY\n    adapter: native\n"
         "log:\n  level: warning\n";
}

std::vector<std::string> Scene::add_phones(std::size_t count) {
  std::vector<std::string> numbers;
  nlohmann::json accounts = nlohmann::json::array();
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(std::to_string(4915100000000 + static_cast<long long>(i)));
    accounts.push_back({{"number", numbers.back()},
                        {"opted_in", true},
                        {"simulated", true},
                        {"auto_delivered", true}});
  }
  control("POST", "/accounts", accounts);
  return numbers;
}

std::string Scene::http(const std::string& method, const std::string& url,
                        const std::string& body) {
  std::string got;
  curl_easy_reset(curl_);
  curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (!body.empty()) curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &got);
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT, 60L);
  long status = 0;
  if (curl_easy_perform(curl_) == CURLE_OK)
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 != 2)
    throw std::runtime_error(method + " " + url + " was answered " + std::to_string(status) + " " +
                             got.substr(0, 300));
  return got;
}

nlohmann::json Scene::control(const std::string& method, const std::string& path,
                              const nlohmann::json& body) {
  const int port = simulator_->ready().at("http_port");
  return nlohmann::json::parse(http(method, "http://127.0.0.1:" + std::to_string(port) + path,
                                    body.is_null() ? "" : body.dump()),
                               nullptr, false);
}

std::map<std::string, double> Scene::metrics() {
  const std::string at = gateway_->ready().at("operator");
  std::istringstream lines(http("GET", "http://" + at + "/metrics", ""));
  std::map<std::string, double> out;
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.rfind(' ');
    if (!line.starts_with('#') && space != std::string::npos)
      out[line.substr(0, space)] = std::strtod(line.c_str() + space, nullptr);
  }
  return out;
}

}  // namespace gw::bench
