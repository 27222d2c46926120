#include <iostream>

#include "gwctl/command.h"

int main(int argc, char** argv) {
  using gw::gwctl::Exit;
  CLI::App program;
  Exit outcome = Exit::kDone;
  gw::gwctl::build(program, outcome);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version end here as well, with 0.
    return program.exit(error) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  } catch (const std::exception& error) {
    std::cerr << "gwctl: " << error.what() << "\n";
    return static_cast<int>(Exit::kUsage);
  }
  return static_cast<int>(outcome);
}
