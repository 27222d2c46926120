#include "gwctl/connection.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <iostream>
#include <sstream>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "identity/certificates.h"
#include "settings.h"

namespace gw::gwctl {
namespace {

std::string_view name_of(grpc::StatusCode code) {
  constexpr std::string_view kNames[] = {"OK",
                                         "CANCELLED",
                                         "UNKNOWN",
                                         "INVALID_ARGUMENT",
                                         "DEADLINE_EXCEEDED",
                                         "NOT_FOUND",
                                         "ALREADY_EXISTS",
                                         "PERMISSION_DENIED",
                                         "RESOURCE_EXHAUSTED",
                                         "FAILED_PRECONDITION",
                                         "ABORTED",
                                         "OUT_OF_RANGE",
                                         "UNIMPLEMENTED",
                                         "INTERNAL",
                                         "UNAVAILABLE",
                                         "DATA_LOSS",
                                         "UNAUTHENTICATED"};
  auto at = static_cast<std::size_t>(code);
  return at < std::size(kNames) ? kNames[at] : "UNKNOWN";
}

struct Details {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  google::rpc::RetryInfo retry;
};

Details details_of(const grpc::Status& status) {
  Details out;
  google::rpc::Status whole;
  if (!whole.ParseFromString(status.error_details())) return out;
  for (const auto& any : whole.details())
    if (!any.UnpackTo(&out.info) && !any.UnpackTo(&out.bad)) any.UnpackTo(&out.retry);
  return out;
}

}  // namespace

void ConnectionOptions::add_to(CLI::App& command) {
  auto add = [&](const char* name, std::string& value, const char* help, const char* variable) {
    return command.add_option(name, value, help)->envname(variable)->group("Connection");
  };
  add("--target", target, "host:port of the gateway", "GWCTL_TARGET")->capture_default_str();
  add("--certificate", certificate, "the provider's client certificate, PEM", "GWCTL_CERTIFICATE")
      ->required();
  add("--key", key, "its private key, PEM", "GWCTL_KEY")->required();
  add("--ca", ca, "the authority of the gateway's certificate, PEM", "GWCTL_CA")->required();
  add("--server-name", server_name, "the name in the gateway's certificate, if not the target's",
      "GWCTL_SERVER_NAME");
  add("--timeout", timeout, "how long to wait for an answer", "GWCTL_TIMEOUT")
      ->capture_default_str();
}

namespace {

Result<void> check_target(const std::string& target) {
  const auto colon = target.rfind(':');
  const auto port = colon == std::string::npos ? "" : target.substr(colon + 1);
  const bool number = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos;
  if (colon == 0 || !number || std::stoi(port) < 1 || std::stoi(port) > 65535 ||
      target.find("//") != std::string::npos)
    return fail(ErrorKind::kRejected, "TARGET_INVALID",
                "--target: expected host:port, such as localhost:7443");
  return {};
}

// gRPC only says that it cannot connect.
Result<void> check_files(const ConnectionOptions& options, const grpc::SslCredentialsOptions& tls) {
  if (auto pair = identity::check_pair(tls.pem_cert_chain, tls.pem_private_key); !pair)
    return fail(ErrorKind::kRejected, pair.error().reason,
                "--certificate " + options.certificate + ", --key " + options.key + ": " +
                    pair.error().message);
  if (auto ca = identity::validity_of(tls.pem_root_certs); !ca)
    return fail(ErrorKind::kRejected, ca.error().reason,
                "--ca " + options.ca + ": " + ca.error().message);
  return {};
}

}  // namespace

Result<Connection> connect(const ConnectionOptions& options) {
  Connection out;
  auto timeout = settings::parse_duration(options.timeout);
  if (!timeout || timeout->count() == 0)
    return fail(ErrorKind::kRejected, "TIMEOUT_INVALID",
                "--timeout: expected a duration such as 10s");
  out.timeout = *timeout;
  GW_TRY(check_target(options.target));
  grpc::SslCredentialsOptions tls;
  GW_ASSIGN(tls.pem_root_certs, read_file(options.ca));
  GW_ASSIGN(tls.pem_private_key, read_file(options.key));
  GW_ASSIGN(tls.pem_cert_chain, read_file(options.certificate));
  GW_TRY(check_files(options, tls));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  out.channel = grpc::CreateCustomChannel(options.target, grpc::SslCredentials(tls), arguments);
  out.stub = v1::GatewayService::NewStub(out.channel);
  return out;
}

void print(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  auto ok = google::protobuf::util::MessageToJsonString(message, &text, options);
  std::cout << (ok.ok() ? text : "{}") << std::endl;
}

std::string describe(const grpc::Status& status) {
  auto details = details_of(status);
  std::ostringstream out;
  out << "gwctl: ";
  if (!details.info.reason().empty())
    out << details.info.reason() << " (" << name_of(status.error_code()) << ")";
  else
    out << name_of(status.error_code());
  if (!status.error_message().empty()) out << ": " << status.error_message();
  for (const auto& violation : details.bad.field_violations())
    if (violation.description() != status.error_message())
      out << "\n  " << violation.field() << ": " << violation.description();
  if (details.retry.has_retry_delay()) {
    const auto& delay = details.retry.retry_delay();
    out << "\n  try again in " << delay.seconds() * 1000 + delay.nanos() / 1'000'000 << " ms";
  }
  return out.str();
}

Exit report(const grpc::Status& status) {
  std::cerr << describe(status) << "\n";
  // The gateway itself always gives a reason; what has none comes from the way to it.
  bool from_gateway = !details_of(status).info.reason().empty();
  bool lost = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
              status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  return lost && !from_gateway ? Exit::kUnreachable : Exit::kRefused;
}

v1::Contact contact_from(const std::string& text) {
  constexpr std::string_view kLid = "lid:";
  v1::Contact contact;
  if (text.starts_with(kLid))
    contact.set_lid(text.substr(kLid.size()));
  else
    contact.set_e164(text);
  return contact;
}

}  // namespace gw::gwctl
