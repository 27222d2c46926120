#pragma once

// A provider's backend for tests: octets on the wire, a deadline on every wait.

#include <chrono>
#include <deque>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "interop/gateway/v1/gateway.grpc.pb.h"
#include "unit/api/certificates.h"

namespace gw::test {

namespace v1 = ::interop::gateway::v1;

inline constexpr std::chrono::seconds kPatience{20};
inline const std::string kMethods = "/interop.gateway.v1.GatewayService/";

inline grpc::ByteBuffer octets(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return {&slice, 1};
}
inline std::string text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return out;
  for (const auto& slice : slices)
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

// What the details of an error say.
struct Details {
  std::string reason, domain;
  std::optional<std::int64_t> retry_ms;
  std::map<std::string, std::string> fields;
  bool parsed = false;
};
inline Details details(const grpc::Status& status) {
  Details out;
  google::rpc::Status rpc;
  if (status.error_details().empty() || !rpc.ParseFromString(status.error_details())) return out;
  out.parsed = rpc.code() == status.error_code() && rpc.message() == status.error_message();
  for (const auto& any : rpc.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    google::rpc::BadRequest bad;
    if (any.UnpackTo(&info)) {
      out.reason = info.reason();
      out.domain = info.domain();
    } else if (any.UnpackTo(&retry)) {
      out.retry_ms = retry.retry_delay().seconds() * 1000 + retry.retry_delay().nanos() / 1'000'000;
    } else if (any.UnpackTo(&bad)) {
      for (const auto& one : bad.field_violations()) out.fields[one.field()] = one.description();
    } else {
      out.parsed = false;
    }
  }
  return out;
}

inline std::shared_ptr<grpc::Channel> connect(int port, const std::string& ca_pem,
                                              const std::optional<Pem>& own) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ca_pem;
  if (own) {
    tls.pem_private_key = own->key;
    tls.pem_cert_chain = own->certificate;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection of its own
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::SslCredentials(tls),
                                   arguments);
}

// One Connect stream.
class ConnectStream {
 public:
  explicit ConnectStream(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    call_ = stub_.PrepareCall(&context_, kMethods + "Connect", &queue_);
    call_->StartCall(tag(kStart));
    await(kStart);
    call_->Finish(&status_, tag(kFinish));
  }
  ~ConnectStream() {
    context_.TryCancel();
    queue_.Shutdown();
    void* got;
    bool ok;
    while (queue_.Next(&got, &ok)) {
    }
  }

  bool send(const v1::ConnectRequest& frame) { return send_octets(frame.SerializeAsString()); }
  bool send_octets(const std::string& bytes) {
    out_ = octets(bytes);
    call_->Write(out_, tag(kWrite));
    return await(kWrite);
  }
  void half_close() {
    call_->WritesDone(tag(kWritesDone));
    await(kWritesDone);
  }
  // The next frame; nullopt: the stream ended, or nothing came within `patience`.
  std::optional<v1::ConnectResponse> next(std::chrono::milliseconds patience = kPatience) {
    if (ended_) return std::nullopt;
    if (!reading_) {
      reading_ = true;
      call_->Read(&in_, tag(kRead));
    }
    auto ok = await_for(kRead, patience);
    if (!ok) return std::nullopt;
    reading_ = false;
    if (!*ok) {
      ended_ = true;
      return std::nullopt;
    }
    std::string bytes = text(in_);
    octets_read_ += bytes.size();
    v1::ConnectResponse frame;
    if (!frame.ParseFromString(bytes)) ADD_FAILURE() << "a frame that does not parse";
    return frame;
  }
  // Goes on until a frame of this kind comes; what came before it is kept in skipped().
  std::optional<v1::ConnectResponse> next(v1::ConnectResponse::FrameCase kind) {
    while (auto frame = next()) {
      if (frame->frame_case() == kind) return frame;
      skipped_.push_back(*std::move(frame));
    }
    return std::nullopt;
  }
  std::deque<v1::ConnectResponse>& skipped() { return skipped_; }
  std::size_t octets_read() const { return octets_read_; }

  // How the stream ended. Reads what is still to come.
  grpc::Status status() {
    while (auto frame = next()) skipped_.push_back(*std::move(frame));
    if (!finished_ && !await_for(kFinish, kPatience))
      return {grpc::StatusCode::UNKNOWN, "did not end"};
    finished_ = true;
    return status_;
  }
  void cancel() { context_.TryCancel(); }

  // Hello with its Welcome.
  bool greet(const std::string& instance_id, std::uint32_t event_window = 0) {
    v1::ConnectRequest frame;
    frame.mutable_hello()->set_instance_id(instance_id);
    frame.mutable_hello()->set_event_window(event_window);
    if (!send(frame)) return false;
    auto welcome = next();
    if (!welcome || !welcome->has_welcome()) return false;
    welcome_ = welcome->welcome();
    return true;
  }
  const v1::Welcome& welcome() const { return welcome_; }
  bool attach(const std::string& user_id, std::uint64_t resume = 0) {
    v1::ConnectRequest frame;
    auto& attach = *frame.mutable_attach();
    attach.set_user_id(user_id);
    attach.set_client_address("192.0.2.1");
    attach.set_token("token-" + user_id);
    attach.set_resume_seq(resume);
    return send(frame);
  }
  bool attach_and_wait(const std::string& user_id, std::uint64_t resume = 0) {
    if (!attach(user_id, resume)) return false;
    auto frame = next(v1::ConnectResponse::kAttached);
    return frame && frame->attached().user_id() == user_id;
  }
  bool acknowledge(const std::string& user_id, std::uint64_t seq) {
    v1::ConnectRequest frame;
    frame.mutable_acknowledge()->set_user_id(user_id);
    frame.mutable_acknowledge()->set_seq(seq);
    return send(frame);
  }
  bool detach(const std::string& user_id) {
    v1::ConnectRequest frame;
    frame.mutable_detach()->set_user_id(user_id);
    return send(frame);
  }

 private:
  enum Tag : int { kStart = 1, kWrite, kRead, kWritesDone, kFinish, kTags };
  static void* tag(Tag t) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(t)); }

  std::optional<bool> await_for(Tag wanted, std::chrono::milliseconds patience) {
    auto deadline = std::chrono::system_clock::now() + patience;
    while (!results_[wanted]) {
      void* got = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&got, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT)
        return std::nullopt;
      results_[static_cast<int>(reinterpret_cast<std::intptr_t>(got))] = ok;
    }
    return std::exchange(results_[wanted], std::nullopt);
  }
  bool await(Tag wanted) { return await_for(wanted, kPatience).value_or(false); }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::Status status_;
  grpc::ByteBuffer in_, out_;
  bool reading_ = false, ended_ = false, finished_ = false;
  std::size_t octets_read_ = 0;
  std::optional<bool> results_[kTags];
  std::deque<v1::ConnectResponse> skipped_;
  v1::Welcome welcome_;
};

// A unary call with octets as they are.
inline grpc::Status call_octets(const std::shared_ptr<grpc::Channel>& channel,
                                const std::string& method, const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::ByteBuffer in = octets(request), out;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, kMethods + method, in, &queue);
  call->StartCall();
  call->Finish(&out, &status, nullptr);
  void* got;
  bool ok;
  queue.Next(&got, &ok);
  return status;
}

}  // namespace gw::test
