#include "gwctl/completion.h"

#include <iostream>
#include <sstream>

namespace gw::gwctl {
namespace {

// One case of the script for a command, and those of its subcommands.
void cases(const CLI::App& command, const std::string& path, std::ostream& out) {
  std::string words;
  for (const auto* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    words += sub->get_name() + " ";
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) words += "--" + name + " ";
  out << "    \"" << path << "\") words=\"" << words << "\" ;;\n";
  for (const auto* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    cases(*sub, path + " " + sub->get_name(), out);
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
  std::ostringstream out;
  out << "# bash completion for gwctl: source <(gwctl completion bash)\n"
         "_gwctl() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=gwctl words=\"\" word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$path $word\" in\n";
  std::ostringstream paths;
  cases(program, "gwctl", paths);
  // The paths that exist, so that arguments of a command do not end the search.
  std::istringstream in(paths.str());
  for (std::string line; std::getline(in, line);) {
    auto path = line.substr(0, line.find(')'));
    if (path != "    \"gwctl\"") out << "  " << path << ") path=\"$path $word\" ;;\n";
  }
  out << "    esac\n"
         "  done\n"
         "  case \"$path\" in\n"
      << paths.str()
      << "  esac\n"
         "  if [[ $current == -* || $COMP_CWORD -eq 1 || $path == \"gwctl dev\" ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "  else\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "  fi\n"
         "}\n"
         "complete -F _gwctl gwctl\n";
  return out.str();
}

void add_completion(CLI::App& program, Outcome&) {
  auto* command = program.add_subcommand("completion", "a script that completes commands");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  command->footer("Example, in ~/.bashrc:\n  source <(gwctl completion bash)");
  // The option writes to `shell`, so it must live as long.
  command->callback([shell, &program] { std::cout << bash_completion(program); });
}

}  // namespace gw::gwctl
