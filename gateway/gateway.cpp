#include "gateway.h"

#include <condition_variable>
#include <fstream>
#include <mutex>
#include <sstream>

#include "adapters/registry.h"
#include "api/server.h"
#include "gateway_metrics.h"
#include "operator/operator.h"
#include "ownership/single.h"
#include "runtime/loop.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "user/directory.h"

namespace gw {
namespace {

using telemetry::field;
using telemetry::Level;
using telemetry::log;
using telemetry::OperatorText;

Result<std::string> read_file(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(ErrorKind::kConfig, "FILE_UNREADABLE", name + " cannot be read");
  return std::move(text).str();
}

user::Limits user_limits(const settings::Settings& settings) {
  const auto& from = settings.limits;
  user::Limits limits;
  limits.waiting_timeout = from.waiting_timeout;
  limits.resend_window = from.resend_window;
  limits.attach_grace = from.attach_grace;
  limits.events_pending = from.events_per_user;
  limits.retention = from.retention;
  limits.reconnect_first = settings.whatsapp.reconnect_first;
  limits.reconnect_most = settings.whatsapp.reconnect_most;
  return limits;
}

link::Options link_options(const settings::WhatsApp& from) {
  link::Options options;
  options.host = from.host;
  options.port = from.port;
  options.root = from.root_key;
  options.connect_timeout = from.connect_timeout;
  options.keepalive_interval = from.keepalive_interval;
  options.keepalive_deadline = from.keepalive_deadline;
  options.settled = from.reconnect_settled;
  return options;
}

link::Admission::Options admission_options(const settings::WhatsApp& from) {
  link::Admission::Options options;
  options.failures = from.outage_failures;
  options.probe_first = from.probe_first;
  options.probe_most = from.probe_most;
  options.first = from.openings_first;
  options.most = from.openings_most;
  return options;
}

std::map<TenantId, whatsapp::Dialect> dialects(const std::vector<settings::Provider>& providers) {
  std::map<TenantId, whatsapp::Dialect> out;
  for (const auto& p : providers)
    out[p.integrator] = {p.integrator, p.interop_jid_server ? stanza::InteropForm::kWithServer
                                                            : stanza::InteropForm::kWithoutServer};
  return out;
}

class Running final : public Gateway {
 public:
  explicit Running(const settings::Settings& settings)
      : limits_(user_limits(settings)),
        link_options_(link_options(settings.whatsapp)),
        drain_timeout_(settings.limits.drain_timeout),
        loops_(settings.loops),
        endpoint_(loops_.at(0), link_options_, admission_options(settings.whatsapp), clock_,
                  link_probe_, endpoint_probe_),
        operator_loop_("operator") {}

  ~Running() override { stop(); }

  Result<void> open(const settings::Settings& settings, const WrapBackend& wrap) {
    GW_ASSIGN(auto backend, open_backend(settings.store));
    if (wrap) backend = wrap(std::move(backend));
    store::StoreOptions options;
    options.max_pending_bytes = settings.limits.store_pending;
    GW_ASSIGN(store_, store::Store::open(std::move(backend), settings.keys.key_encryption_key.get(),
                                         options, clock_));
    shared_ = std::make_unique<user::Shared>(user::Shared{
        *store_, clock_, limits_, endpoint_, user_probe_, dialects(settings.providers)});
    users_ = user::make_users(*shared_, loops_);
    GW_TRY(open_api(settings));
    register_store_metrics(metrics_, store_->probe());
    register_link_metrics(metrics_, link_probe_);
    register_endpoint_metrics(metrics_, endpoint_probe_);
    register_user_metrics(metrics_, user_probe_);
    register_api_metrics(metrics_, api_probe_);
    telemetry::register_process_metrics(metrics_);
    GW_TRY(metrics_.check());
    return open_operator(settings);
  }

  int api_port() const override { return api_->port(); }
  int operator_port() const override { return operator_->port(); }

  void drain() override {
    log(Level::kInfo, "gateway", "draining");
    draining_ = true;
    api_->drain(drain_timeout_);
    auto done = std::make_shared<std::pair<std::mutex, std::condition_variable>>();
    auto settled = std::make_shared<bool>(false);
    users_->drain([done, settled] {
      std::lock_guard lock(done->first);
      *settled = true;
      done->second.notify_all();
    });
    std::unique_lock lock(done->first);
    bool all = done->second.wait_for(lock, drain_timeout_, [&] { return *settled; });
    log(all ? Level::kInfo : Level::kWarning, "gateway", "drained", {field("all", all)});
  }

  void stop() override {
    if (std::exchange(stopped_, true)) return;
    operator_.reset();
    operator_loop_.stop();
    if (api_) api_->stop(Millis{2000});
    if (store_) store_->close();
    loops_.stop();
    users_.reset();
    api_.reset();
  }

 private:
  Result<std::unique_ptr<store::Backend>> open_backend(const settings::Store& settings) {
    if (settings.kind == settings::Store::Kind::kPostgres) {
      store::PostgresOptions options;
      options.uri = settings.uri;
      options.found = [](const std::string& durability) {
        log(Level::kInfo, "gateway", "database",
            {field("found", telemetry::OperatorText(durability))});
      };
      options.trouble = [](const Error& error) {
        log(Level::kError, "gateway", "database_trouble", {field("error", error)});
      };
      return store::open_postgres(std::move(options));
    }
    GW_ASSIGN(lock_, ownership::SingleOwner::take(settings.path + ".lock"));
    return store::open_sqlite(settings.path);
  }

  Result<void> open_api(const settings::Settings& settings) {
    api::Options options;
    options.listen = settings.listen.api.text();
    GW_ASSIGN(options.certificate_pem, read_file(settings.listen.tls.certificate));
    GW_ASSIGN(options.key_pem, read_file(settings.listen.tls.key));
    GW_ASSIGN(options.client_ca_pem, read_file(settings.listen.tls.client_ca));
    options.limits.max_frame = settings.limits.max_frame;
    options.limits.submit_window = settings.limits.submit_window;
    for (const auto& p : settings.providers) {
      const auto* adapter = adapters::find(p.adapter);
      if (adapter == nullptr)
        return fail(ErrorKind::kConfig, "ADAPTER_UNKNOWN",
                    "provider " + p.id + ": there is no adapter \"" + p.adapter + "\"");
      options.providers[p.id] = {p.integrator, adapter};
    }
    GW_ASSIGN(api_, api::Server::start(std::move(options), *users_, api_probe_));
    return {};
  }

  Result<void> open_operator(const settings::Settings& settings) {
    operators::Sources sources;
    sources.metrics = [this] { return metrics_.text(); };
    for (std::size_t i = 0; i < loops_.size(); ++i) sources.loops.push_back(&loops_.at(i));
    sources.checks.push_back({"draining", [this](auto answer) {
                                answer(draining_ ? operators::CheckResult{false, "DRAINING"}
                                                 : operators::CheckResult{true, ""});
                              }});
    sources.checks.push_back({"store", [this](auto answer) {
                                store_->pending_users(0, 0, 1, [answer](const auto& read) {
                                  answer(read ? operators::CheckResult{true, ""}
                                              : operators::CheckResult{false, "STORE_FAILED"});
                                });
                              }});
    GW_ASSIGN(operator_, operators::listen(operator_loop_, settings.operators.listen.host,
                                           settings.operators.listen.port, std::move(sources)));
    return {};
  }

  SystemClock clock_;
  user::Limits limits_;
  link::Options link_options_;
  Millis drain_timeout_;
  link::LinkProbe link_probe_;
  link::EndpointProbe endpoint_probe_;
  user::UserProbe user_probe_;
  api::ApiProbe api_probe_;
  telemetry::Metrics metrics_;
  std::unique_ptr<ownership::SingleOwner> lock_;  // of a SQLite file
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<user::Shared> shared_;
  runtime::LoopPool loops_;
  link::Endpoint endpoint_;
  runtime::Loop operator_loop_;
  std::unique_ptr<user::Users> users_;
  std::unique_ptr<api::Server> api_;
  std::unique_ptr<http::Server> operator_;
  std::atomic<bool> draining_{false};
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::start(const settings::Settings& settings,
                                                const WrapBackend& wrap) {
  auto running = std::make_unique<Running>(settings);
  GW_TRY(running->open(settings, wrap));
  auto api = settings.listen.api;
  api.port = static_cast<std::uint16_t>(running->api_port());
  auto address = api.text();
  log(Level::kInfo, "gateway", "serving",
      {field("api", OperatorText(address)), field("operator_port", running->operator_port()),
       field("loops", settings.loops), field("version", telemetry::Literal(GW_VERSION))});
  return std::unique_ptr<Gateway>(std::move(running));
}

}  // namespace gw
