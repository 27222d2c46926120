#pragma once

#include <gtest/gtest.h>

#include "adapters/native/native.h"
#include "api/server.h"
#include "unit/api/fake_users.h"
#include "unit/api/provider_client.h"

namespace gw::api {

using test::ConnectStream;
using test::Details;
using test::FakeUsers;
using test::kPatience;
using test::Pem;
namespace v1 = test::v1;

// The real server on loopback with mTLS; providers "acme" (tenant 7) and "zeta" (tenant 8).
class ServerTest : public testing::Test {
 protected:
  static const test::Authority& authority() {
    static const test::Authority made;
    return made;
  }
  static const Pem& certificate_of(const std::string& provider) {
    static std::map<std::string, Pem> made;
    auto it = made.find(provider);
    if (it == made.end())
      it = made.emplace(provider, authority().issue({"URI:interop:provider:" + provider})).first;
    return it->second;
  }

  void SetUp() override {
    users_.add(7, "alice");
    users_.add(7, "bob");
    users_.add(8, "zoe");
  }
  // Before the first use of server().
  Limits limits_;

  Options options() {
    static const Pem own = authority().issue({"DNS:localhost", "IP:127.0.0.1"});
    Options options;
    options.listen = "127.0.0.1:0";
    options.certificate_pem = own.certificate;
    options.key_pem = own.key;
    options.client_ca_pem = authority().pem();
    options.providers["acme"] = {7, &adapters::native::descriptor()};
    options.providers["zeta"] = {8, &adapters::native::descriptor()};
    options.limits = limits_;
    return options;
  }
  Server& server() {
    if (!server_) {
      auto started = Server::start(options(), users_, probe_);
      if (!started) throw std::runtime_error(started.error().message);
      server_ = *std::move(started);
    }
    return *server_;
  }
  std::shared_ptr<grpc::Channel> channel(const std::string& provider = "acme") {
    return test::connect(server().port(), authority().pem(), certificate_of(provider));
  }
  std::unique_ptr<v1::GatewayService::Stub> stub(const std::string& provider = "acme") {
    return v1::GatewayService::NewStub(channel(provider));
  }

  static v1::OutgoingMessage message(const std::string& user_id, const std::string& request_id,
                                     const std::string& body = "hello") {
    v1::OutgoingMessage out;
    out.set_user_id(user_id);
    out.set_request_id(request_id);
    out.mutable_to()->set_e164("+4915112345678");
    out.mutable_content()->mutable_text()->set_body(body);
    return out;
  }
  // Results in any order, by request id.
  static std::map<std::string, v1::SubmitResult> results(ConnectStream& stream, std::size_t count) {
    std::map<std::string, v1::SubmitResult> out;
    while (out.size() < count) {
      auto frame = stream.next(v1::ConnectResponse::kSubmitResults);
      if (!frame) break;
      for (const auto& one : frame->submit_results().results()) out[one.request_id()] = one;
    }
    return out;
  }
  static std::vector<v1::Event> events(ConnectStream& stream, std::size_t count) {
    std::vector<v1::Event> out;
    while (out.size() < count) {
      auto frame = stream.next(v1::ConnectResponse::kEvents);
      if (!frame) break;
      for (const auto& one : frame->events().events()) out.push_back(one);
    }
    return out;
  }

  FakeUsers users_;
  ApiProbe probe_;
  std::unique_ptr<Server> server_;  // ends first
};

inline void expect_error(const grpc::Status& status, grpc::StatusCode code,
                         const std::string& reason) {
  Details details = test::details(status);
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_TRUE(details.parsed) << status.error_message();
  EXPECT_EQ(details.reason, reason);
  EXPECT_EQ(details.domain, "gateway.interop");
}

}  // namespace gw::api
