#pragma once

// What the subcommands share. Each is one function that adds itself to the program; it writes its
// result to standard output, one JSON object a line, and everything else to standard error.

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gw::gwctl {

enum class Exit : int {
  kDone = 0,
  kRefused = 1,      // the gateway answered, and the answer is no
  kUsage = 2,        // arguments, files or settings are at fault; nothing was asked
  kUnreachable = 3,  // no gateway answered; whether something took place is not known
};

// Set by the subcommand that ran.
using Outcome = Exit;

void add_dev(CLI::App& program, Outcome& outcome);
void add_token(CLI::App& program, Outcome& outcome);
void add_check_settings(CLI::App& program, Outcome& outcome);
void add_users(CLI::App& program, Outcome& outcome);     // enlist, withdraw, user
void add_messages(CLI::App& program, Outcome& outcome);  // send, message, contact, events
void add_attach(CLI::App& program, Outcome& outcome);
void add_completion(CLI::App& program, Outcome& outcome);
// All of them, with help, examples and exit codes.
void build(CLI::App& program, Outcome& outcome);

// "REASON: message" on standard error; kUsage.
Exit report(const Error& error);

// ---- files ----
Result<std::string> read_file(const std::string& name);
// Whole or not at all; 0600 for a secret, else 0644.
Result<void> write_file(const std::string& name, std::string_view text, bool secret);
Result<void> make_folder(const std::string& name);
bool exists(const std::string& name);

}  // namespace gw::gwctl
