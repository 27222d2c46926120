#include "gwctl/connection.h"

namespace gw::gwctl {
namespace {

struct Options {
  ConnectionOptions connection;
  std::string user;
};

std::pair<CLI::App*, std::shared_ptr<Options>> add(CLI::App& program, const char* name,
                                                   const char* help, const char* footer) {
  auto options = std::make_shared<Options>();
  auto* command = program.add_subcommand(name, help);
  command->add_option("user", options->user, "the user's id: 1 to 64 of A-Z a-z 0-9 _ = -")
      ->required();
  options->connection.add_to(*command);
  command->footer(footer);
  return {command, options};
}

template <class Request>
Request of_user(const Options& options) {
  Request request;
  request.set_user_id(options.user);
  return request;
}

}  // namespace

void add_users(CLI::App& program, Outcome& outcome) {
  using Stub = v1::GatewayService::Stub;
  auto [enlist, e] = add(program, "enlist", "make a user's keys, so that it can be attached",
                         "Repeating it changes nothing.\nExample:\n  gwctl enlist alice");
  enlist->callback([e = e, &outcome] {
    outcome = call(e->connection, of_user<v1::EnlistRequest>(*e), &Stub::Enlist);
  });
  auto [withdraw, w] = add(program, "withdraw", "end a user: destroys its keys",
                           "Repeating it is no error.\nExample:\n  gwctl withdraw alice");
  withdraw->callback([w = w, &outcome] {
    outcome = call(w->connection, of_user<v1::WithdrawRequest>(*w), &Stub::Withdraw);
  });
  auto [update, s] = add(program, "update", "change a user's settings; without options: show them",
                         "Example:\n  gwctl update alice --read-receipts off");
  auto wanted = std::make_shared<std::string>();
  update->add_option("--read-receipts", *wanted, "on or off: contacts are told what the user read")
      ->check(CLI::IsMember({"on", "off"}));
  update->callback([s = s, wanted, &outcome] {
    auto request = of_user<v1::UpdateUserRequest>(*s);
    if (!wanted->empty()) request.set_read_receipts(*wanted == "on");
    outcome = call(s->connection, request, &Stub::UpdateUser);
  });
  auto [user, u] =
      add(program, "user", "what the gateway knows of a user", "Example:\n  gwctl user alice");
  user->callback([u = u, &outcome] {
    outcome = call(u->connection, of_user<v1::GetUserRequest>(*u), &Stub::GetUser);
  });
}

}  // namespace gw::gwctl
