// gwctl attach: plays a provider's backend with some clients, over one Connect stream.

#include <atomic>
#include <csignal>
#include <iostream>
#include <map>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "gwctl/attach_line.h"
#include "gwctl/connection.h"
#include "gwctl/tokens.h"

namespace gw::gwctl {
namespace {

struct Options {
  ConnectionOptions connection;
  TokenOptions token;
  std::vector<std::string> users;
  std::string client_address = "192.0.2.1", instance;
  std::uint64_t resume = 0;
  bool no_ack = false, exit_at_eof = false;
};

std::string random_id() {
  std::array<std::uint8_t, 16> random;
  crypto::random_bytes(random);
  return to_hex(random);
}

// One stream. Frames come in on a thread of their own; any thread may write.
class Stream {
 public:
  Stream(const Options& options, const TokenSigner& signer, Connection connection)
      : options_(options),
        signer_(signer),
        connection_(std::move(connection)),
        stream_(connection_.stub->Connect(&context_)) {}

  bool write(const v1::ConnectRequest& frame) {
    std::lock_guard lock(writing_);
    return !finished_ && stream_->Write(frame);
  }
  // No more frames; the gateway ends the stream when it has answered all.
  void finish() {
    std::lock_guard lock(writing_);
    if (!std::exchange(finished_, true)) stream_->WritesDone();
  }
  void cancel() { context_.TryCancel(); }

  void hello() {
    v1::ConnectRequest frame;
    frame.mutable_hello()->set_instance_id(
        options_.instance.empty() ? "gwctl-" + random_id().substr(0, 8) : options_.instance);
    write(frame);
  }
  void attach(const std::string& user) {
    auto token = signer_.sign(user, SystemClock().wall());
    if (!token) return void(report(token.error()));
    v1::ConnectRequest frame;
    auto& attach = *frame.mutable_attach();
    attach.set_user_id(user);
    attach.set_client_address(options_.client_address);
    attach.set_token(*token);
    attach.set_resume_seq(options_.resume);
    write(frame);
  }
  void detach(const std::string& user) {
    v1::ConnectRequest frame;
    frame.mutable_detach()->set_user_id(user);
    write(frame);
  }
  void submit(const SendLine& line) {
    v1::ConnectRequest frame;
    auto& message = *frame.mutable_submit()->add_messages();
    message.set_user_id(line.user);
    message.set_request_id(random_id());
    *message.mutable_to() = contact_from(line.contact);
    message.mutable_content()->mutable_text()->set_body(line.text);
    write(frame);
  }

  // Prints and answers frames until the stream ends; says how it ended.
  grpc::Status read_all() {
    for (v1::ConnectResponse frame; stream_->Read(&frame);) {
      print(frame);
      if (frame.has_events() && !options_.no_ack) acknowledge(frame.events());
      if (frame.has_token_wanted()) fresh_token(frame.token_wanted().user_id());
    }
    return stream_->Finish();
  }

 private:
  void acknowledge(const v1::Events& events) {
    std::map<std::string, std::uint64_t> last;
    for (const auto& event : events.events()) last[event.user_id()] = event.seq();
    for (const auto& [user, seq] : last) {
      v1::ConnectRequest frame;
      frame.mutable_acknowledge()->set_user_id(user);
      frame.mutable_acknowledge()->set_seq(seq);
      write(frame);
    }
  }
  void fresh_token(const std::string& user) {
    auto token = signer_.sign(user, SystemClock().wall());
    if (!token) return void(report(token.error()));
    v1::ConnectRequest frame;
    frame.mutable_fresh_token()->set_user_id(user);
    frame.mutable_fresh_token()->set_token(*token);
    write(frame);
  }

  const Options& options_;
  const TokenSigner& signer_;
  Connection connection_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ConnectRequest, v1::ConnectResponse>> stream_;
  std::mutex writing_;
  bool finished_ = false;  // under writing_
};

// Lines of standard input, as they come.
class Input {
 public:
  bool open() const { return open_; }
  template <class F>
  void read(F&& each) {
    char buffer[4096];
    auto n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n <= 0) {
      open_ = false;
      if (!rest_.empty()) each(std::exchange(rest_, ""));
      return;
    }
    rest_.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1))
      each(rest_.substr(0, end));
  }

 private:
  bool open_ = true;
  std::string rest_;
};

// False: time to go.
bool obey(Stream& stream, std::vector<std::string>& users, const std::string& text) {
  auto line = parse_line(text, users);
  if (!line) return report(line.error()), true;
  if (std::holds_alternative<QuitLine>(*line)) return false;
  if (auto* send = std::get_if<SendLine>(&*line)) stream.submit(*send);
  if (auto* detach = std::get_if<DetachLine>(&*line)) stream.detach(detach->user);
  if (auto* attach = std::get_if<AttachLine>(&*line)) {
    stream.attach(attach->user);
    users.push_back(attach->user);
  }
  return true;
}

// Until the person, a signal, or the gateway ends it.
void serve_input(Stream& stream, const Options& options, int ended, int signals) {
  auto users = options.users;
  Input input;
  for (bool going = true; going;) {
    pollfd watched[] = {{ended, POLLIN, 0}, {signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (::poll(watched, input.open() ? 3 : 2, -1) < 0) continue;
    if (watched[0].revents != 0 || watched[1].revents != 0) return;
    input.read([&](const std::string& text) { going = going && obey(stream, users, text); });
    if (!input.open() && options.exit_at_eof) return;
  }
}

Exit run(const Options& options) {
  auto signer = TokenSigner::make(options.token);
  if (!signer) return report(signer.error());
  // Before gRPC starts threads, so that the signals come to us alone.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  int signals = ::signalfd(-1, &set, SFD_CLOEXEC), ended = ::eventfd(0, EFD_CLOEXEC);
  auto connection = connect(options.connection);
  if (!connection) return report(connection.error());
  auto timeout = connection->timeout;

  Stream stream(options, *signer, std::move(*connection));
  grpc::Status status;
  std::thread reader([&] {
    status = stream.read_all();
    std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(ended, &one, sizeof one);
  });
  stream.hello();
  for (const auto& user : options.users) stream.attach(user);
  serve_input(stream, options, ended, signals);
  stream.finish();
  pollfd wait{ended, POLLIN, 0};
  bool in_time = ::poll(&wait, 1, static_cast<int>(timeout.count())) > 0;
  if (!in_time) stream.cancel();
  reader.join();
  ::close(signals);
  ::close(ended);
  return status.ok() ? Exit::kDone : report(status);
}

}  // namespace

void add_attach(CLI::App& program, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  auto* command = program.add_subcommand(
      "attach", "play a backend: attach users, print every frame, send what is typed");
  command->add_option("users", options->users, "ids of enlisted users")->required();
  command
      ->add_option("--client-address", options->client_address,
                   "IP address of the users' clients; WhatsApp is told it")
      ->capture_default_str();
  command->add_option(
      "--instance", options->instance,
      "name of this backend instance; a stream of the same name is taken over. Default: one of "
      "its own");
  command->add_option("--resume", options->resume, "events up to this number are stored already");
  command->add_flag("--no-ack", options->no_ack, "acknowledge no events: they come again");
  command->add_flag("--exit-at-eof", options->exit_at_eof, "end when standard input ends");
  options->token.add_to(*command, "--signing-key");
  options->connection.add_to(*command);
  command->footer(
      "Prints each frame of the gateway as one line of JSON. Reads lines from standard input:\n"
      "  send [USER] CONTACT TEXT   for example: send +4915112345678 Good morning\n"
      "  attach USER, detach USER, quit\n"
      "Ends with quit, Ctrl-C or SIGTERM; results that are due are waited for.\n"
      "Example:\n"
      "  gwctl attach alice --signing-key keys/signing_key.pem --issuer https://id.example.com");
  command->callback([options, &outcome] { outcome = run(*options); });
}

}  // namespace gw::gwctl
