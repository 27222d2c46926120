#include "gwctl/command.h"

namespace gw::gwctl {

namespace {

// CLI11 only says that a command is required where there is one that it does not know.
std::string failure(const CLI::App* program, const CLI::Error& error) {
  const auto left = program->remaining();
  if (program->get_subcommands().empty() && !left.empty() && !left.front().starts_with('-'))
    return "there is no command \"" + left.front() + "\"\nRun with --help for more information.\n";
  return CLI::FailureMessage::simple(program, error);
}

}  // namespace

void build(CLI::App& program, Outcome& outcome) {
  program.name("gwctl");
  program.description("Talks to an interop gateway, and makes what a developer needs to run one.");
  program.set_version_flag("--version", GW_VERSION);
  program.require_subcommand(1);
  program.failure_message(failure);
  add_dev(program, outcome);
  add_token(program, outcome);
  add_check_settings(program, outcome);
  add_users(program, outcome);
  add_messages(program, outcome);
  add_attach(program, outcome);
  add_completion(program, outcome);
  program.footer(
      "A gateway wants a client certificate of the provider. To not give it each time:\n"
      "  export GWCTL_TARGET=localhost:7443 GWCTL_CA=certificates/ca.pem\n"
      "  export GWCTL_CERTIFICATE=certificates/example.pem GWCTL_KEY=certificates/example.key\n"
      "Results go to standard output, one JSON object a line; errors to standard error.\n"
      "Exit codes: 0 done, 1 refused by the gateway, 2 wrong arguments or files, 3 no gateway\n"
      "answered.\n"
      "`gwctl COMMAND --help` shows a command's options and an example.");
}

}  // namespace gw::gwctl
