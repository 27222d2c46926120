#pragma once

// Simulator, gateway and their files, as one deployment for one benchmark run.

#include <curl/curl.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "end_to_end/process.h"
#include "floors/floors.h"

namespace gw::bench {

inline constexpr int kIntegrator = 1001;
inline constexpr const char* kProvider = "bench";
inline constexpr const char* kIssuer = "https://id.example.com";

class Scene {
 public:
  // `build`: the release build's folder; `folder`: made anew, holds everything of this run but the
  // data of a PostgreSQL server, which is started for it (`postgres`), in a folder of its own.
  Scene(const std::string& build, const std::string& folder, bool postgres);
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  Process& gateway() { return *gateway_; }
  Process& simulator() { return *simulator_; }
  const std::string& folder() const { return folder_; }
  Database database() const { return {file("gateway.db"), postgres_.get(), "gateway"}; }
  double database_cpu_us() const { return postgres_ ? postgres_->cpu_us() : 0; }
  std::string target() const { return gateway_->ready().at("api"); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

  // Simulated phones that confirm what they decrypt; E.164 without '+'.
  std::vector<std::string> add_phones(std::size_t count);
  // The gateway's metrics as of now, by name with labels.
  std::map<std::string, double> metrics();
  // The simulator's control API; throws unless it answers 2xx.
  nlohmann::json control(const std::string& method, const std::string& path,
                         const nlohmann::json& body = nullptr);

 private:
  void write_settings() const;
  std::string http(const std::string& method, const std::string& url, const std::string& body);

  std::string folder_;
  CURL* curl_ = nullptr;
  std::unique_ptr<store::test::PrivatePostgres> postgres_;
  std::unique_ptr<Process> simulator_, gateway_;
};

}  // namespace gw::bench
