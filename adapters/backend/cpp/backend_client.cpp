#include "backend_client.h"

#include <algorithm>
#include <fstream>
#include <grpcpp/grpcpp.h>
#include <iterator>
#include <string_view>

#include "core.h"

namespace gw::backend {
namespace {

constexpr int kMaxFrame = 64 << 20;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A channel of its own for each try: an old one may hold a connection to nobody.
Dial dialer(const Tls& tls) {
  return [tls](const std::string& endpoint) {
    grpc::SslCredentialsOptions files{read(tls.ca), read(tls.key), read(tls.certificate)};
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(kMaxFrame);
    if (!tls.server_name.empty()) arguments.SetSslTargetNameOverride(tls.server_name);
    return grpc::CreateCustomChannel(endpoint, grpc::SslCredentials(files), arguments);
  };
}

bool is_user_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '=' || c == '-';
  });
}

bool is_address(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == '.' ||
           c == ':';
  });
}

}  // namespace

BackendClient::BackendClient(Options options) : deadline_(options.deadline) {
  Dial dial = dialer(options.tls);
  core_ = std::make_unique<Core>(std::move(options), std::move(dial));
}

BackendClient::~BackendClient() = default;

void BackendClient::set_endpoints(std::vector<std::string> endpoints) {
  core_->set_endpoints(std::move(endpoints));
}

bool BackendClient::attach(const std::string& user, Attachment client) {
  if (!is_user_id(user) || !is_address(client.client_address)) return false;
  core_->attach(user, std::move(client));
  return true;
}

void BackendClient::detach(const std::string& user) { core_->detach(user); }

void BackendClient::submit(v1::OutgoingMessage message, std::function<void(Answer)> done,
                           milliseconds deadline) {
  core_->submit(std::move(message), std::move(done), deadline);
}

void BackendClient::submit(v1::OutgoingMessage message, std::function<void(Answer)> done) {
  core_->submit(std::move(message), std::move(done), deadline_);
}

std::future<Answer> BackendClient::submit(v1::OutgoingMessage message) {
  auto promise = std::make_shared<std::promise<Answer>>();
  auto future = promise->get_future();
  submit(std::move(message), [promise](Answer answer) { promise->set_value(std::move(answer)); });
  return future;
}

}  // namespace gw::backend
