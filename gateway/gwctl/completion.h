#pragma once

#include <string>

#include "gwctl/command.h"

namespace gw::gwctl {

std::string bash_completion(const CLI::App& program);

}  // namespace gw::gwctl
