// A small backend: reads lines "user number text" and sends the texts, prints what it is told, a
// line each:
//   submit USER ID               a line of standard input got this request id
//   answer USER ID OUTCOME WHAT  ACCEPTED and the message id; REFUSED or UNKNOWN and the reason
//   event USER JSON              an Event; a real backend would store it before it says that it is
//   done status USER STATE WHAT       ATTACHED and where, WAITING or ENDED and why, LINK and its
//   state
// A line with a user alone attaches it. At the end of the input it waits for the answers and ends.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <google/protobuf/util/json_util.h>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "backend_client.h"

namespace {

using namespace gw::backend;

void print(const std::string& line) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  std::cout << line << std::endl;
}

// What a command prints for a user, without the line's end; a provider signs the token itself. The
// user's id holds nothing that a shell would take for its own: attach has checked it.
std::string token_from(const std::string& command, const std::string& user) {
  std::string token;
  FILE* pipe = ::popen((command + " " + user).c_str(), "r");
  if (pipe == nullptr) return token;
  for (int c; (c = std::fgetc(pipe)) != EOF;)
    if (c != '\n') token.push_back(static_cast<char>(c));
  return ::pclose(pipe) == 0 ? token : "";
}

void print_status(const std::string& user, const Status& status) {
  static const std::map<Status::Kind, std::string> kNames = {{Status::Kind::kAttached, "ATTACHED"},
                                                             {Status::Kind::kWaiting, "WAITING"},
                                                             {Status::Kind::kEnded, "ENDED"},
                                                             {Status::Kind::kLink, "LINK"}};
  std::string what = status.kind == Status::Kind::kAttached ? status.endpoint
                     : status.kind == Status::Kind::kLink   ? v1::LinkState_Name(status.link)
                                                            : status.reason;
  print("status " + user + " " + kNames.at(status.kind) + " " + what);
}

void print_event(const std::string& user, const v1::Event& event, const Done& done) {
  std::string json;
  bool ok = google::protobuf::util::MessageToJsonString(event, &json).ok();
  if (ok) print("event " + user + " " + json);
  done(ok);
}

std::string text_of(const Answer& answer) {
  if (answer.outcome == Answer::Outcome::kAccepted) return "ACCEPTED " + answer.message_id;
  return (answer.outcome == Answer::Outcome::kRefused ? "REFUSED " : "UNKNOWN ") + answer.reason;
}

struct Settings {
  Options options;
  std::string token_command, client_address = "192.0.2.1";

  void add_to(CLI::App& program) {
    auto& tls = options.tls;
    program.add_option("--endpoint", options.endpoints, "host:port of each gateway")->required();
    program.add_option("--ca", tls.ca)->required();
    program.add_option("--certificate", tls.certificate)->required();
    program.add_option("--key", tls.key)->required();
    program.add_option("--server-name", tls.server_name, "in the gateways' certificate");
    program.add_option("--instance", options.instance_id)->required();
    program
        .add_option("--token-command", token_command,
                    "prints a token for its last argument, a user")
        ->required();
    program.add_option("--client-address", client_address)->capture_default_str();
    options.on_event = print_event;
    options.on_status = print_status;
  }
};

class Example {
 public:
  explicit Example(Settings settings)
      : settings_(std::move(settings)), backend_(settings_.options) {}

  void take(const std::string& line) {
    std::istringstream words(line);
    std::string user, number, text;
    words >> user >> number >> std::ws;
    std::getline(words, text);
    if (!attach(user)) {
      std::cerr << "no user, or no address: " << user << '\n';
    } else if (!text.empty()) {
      submit(user, number, text);
    }
  }
  void wait_for_answers() {
    for (auto& answer : answers_) answer.wait();
  }

 private:
  bool attach(const std::string& user) {
    if (users_.contains(user)) return true;
    auto token = [command = settings_.token_command, user] { return token_from(command, user); };
    if (!backend_.attach(user, {.client_address = settings_.client_address, .token = token}))
      return false;
    users_.insert(user);
    return true;
  }

  void submit(const std::string& user, const std::string& number, const std::string& text) {
    const std::string id = settings_.options.instance_id + "-" + std::to_string(++count_);
    v1::OutgoingMessage message;
    message.set_user_id(user);
    message.set_request_id(id);
    message.mutable_to()->set_e164(number);
    message.mutable_content()->mutable_text()->set_body(text);
    const std::string whose = user + " " + id;
    print("submit " + whose);
    auto answered = std::make_shared<std::promise<void>>();
    answers_.push_back(answered->get_future());
    backend_.submit(std::move(message), [whose, answered](const Answer& answer) {
      print("answer " + whose + " " + text_of(answer));
      answered->set_value();
    });
  }

  const Settings settings_;
  std::set<std::string> users_;
  std::vector<std::future<void>> answers_;
  std::size_t count_ = 0;
  BackendClient backend_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("plays a small backend beside several gateways");
  Settings settings;
  settings.add_to(program);
  CLI11_PARSE(program, argc, argv);
  Example example(std::move(settings));
  for (std::string line; std::getline(std::cin, line);) example.take(line);
  example.wait_for_answers();
  return 0;
}
