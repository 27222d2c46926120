#include "api/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <mutex>

#include "api/service.h"
#include "api/streams.h"
#include "api/tls.h"
#include "grpc/health/v1/health.pb.h"

namespace gw::api {
namespace {

std::string service_name() { return raw::Full::service_full_name(); }

// What holds for the process: gRPC keeps it so.
void prepare_process() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    // Reflection names the health service; without this its descriptor is not linked, and clients
    // that ask for it fail.
    grpc::health::v1::HealthCheckRequest::descriptor();
    // It would write about every malformed frame to stderr.
    google::protobuf::SetLogHandler(nullptr);
  });
}

std::shared_ptr<grpc::ServerCredentials> credentials(const Options& options) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = options.client_ca_pem;
  tls.pem_key_cert_pairs.push_back({options.key_pem, options.certificate_pem});
  return grpc::SslServerCredentials(tls);
}

void configure(grpc::ServerBuilder& builder, const Limits& limits) {
  auto ms = [](Millis time) { return static_cast<int>(time.count()); };
  // Two gateways on one port would share its connections without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             ms(limits.min_ping_interval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ms(limits.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(limits.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.streams_per_connection);
  // Up to twice the limit we answer by ourselves, with details; above it gRPC does, without.
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits.max_frame * 2));
  builder.SetMaxSendMessageSize(-1);
  // Only reflection is synchronous.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

class Running final : public Server {
 public:
  Running(Options options, user::Users& users, ApiProbe& probe)
      : context_(std::make_shared<Context>(std::move(options), users, probe)),
        streams_(std::make_shared<Streams>(context_)),
        service_(context_, streams_) {}
  ~Running() override { stop(Millis{2000}); }

  Result<void> listen() {
    grpc::ServerBuilder builder;
    configure(builder, context_->limits());
    builder.AddListeningPort(context_->options.listen, credentials(context_->options), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0)
      return fail(ErrorKind::kConfig, "LISTEN_FAILED",
                  "cannot listen for providers on " + context_->options.listen);
    server_->GetHealthCheckService()->SetServingStatus(service_name(), true);
    return {};
  }

  int port() const override { return port_; }

  void drain(Millis grace) override {
    context_->draining.store(true);
    if (server_) server_->GetHealthCheckService()->SetServingStatus(false);
    streams_->drain(grace);
  }

  void stop(Millis grace) override {
    std::call_once(stopped_, [&] {
      context_->draining.store(true);
      streams_->close();
      if (!server_) return;
      server_->Shutdown(std::chrono::system_clock::now() + grace);
      server_->Wait();
    });
  }

 private:
  const std::shared_ptr<Context> context_;
  const std::shared_ptr<Streams> streams_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::once_flag stopped_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Options options, user::Users& users,
                                              ApiProbe& probe) {
  GW_TRY(check_tls(options.certificate_pem, options.key_pem, options.client_ca_pem));
  for (const auto& [id, provider] : options.providers) {
    if (id.empty() || provider.adapter == nullptr || provider.adapter->codec == nullptr ||
        provider.adapter->identity == nullptr)
      return fail(ErrorKind::kConfig, "PROVIDER_INVALID", "a provider without an id or adapter");
  }
  prepare_process();
  auto server = std::make_unique<Running>(std::move(options), users, probe);
  GW_TRY(server->listen());
  return server;
}

}  // namespace gw::api
