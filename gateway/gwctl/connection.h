#pragma once

// The way to a gateway: mTLS, and what its errors say.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <memory>
#include <string>

#include "gwctl/command.h"
#include "interop/gateway/v1/gateway.grpc.pb.h"

namespace gw::gwctl {

namespace v1 = interop::gateway::v1;

struct ConnectionOptions {
  std::string target = "localhost:7443", certificate, key, ca, server_name, timeout = "10s";

  void add_to(CLI::App& command);
};

struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::GatewayService::Stub> stub;
  std::chrono::milliseconds timeout{};
};
Result<Connection> connect(const ConnectionOptions& options);

// One JSON line on standard output.
void print(const google::protobuf::Message& message);
// "gwctl: REASON (CODE): message", fields at fault and when to try again, for people.
std::string describe(const grpc::Status& status);
// Prints describe() on standard error.
Exit report(const grpc::Status& status);

// "lid:" and digits: a LID; all else is for the gateway to take as E.164 or to refuse.
v1::Contact contact_from(const std::string& text);

// One unary call: `gwctl NAME` prints the response.
template <class Request, class Response>
Exit call(const ConnectionOptions& options, const Request& request,
          grpc::Status (v1::GatewayService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*)) {
  auto connection = connect(options);
  if (!connection) return report(connection.error());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + connection->timeout);
  Response response;
  auto status = (connection->stub.get()->*method)(&context, request, &response);
  if (!status.ok()) return report(status);
  print(response);
  return Exit::kDone;
}

}  // namespace gw::gwctl
