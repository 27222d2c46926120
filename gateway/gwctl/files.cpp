#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "gwctl/command.h"

namespace gw::gwctl {
namespace {

tl::unexpected<Error> file_error(std::string_view reason, const std::string& name) {
  return fail(ErrorKind::kConfig, reason, name + ": " + std::strerror(errno));
}

}  // namespace

Exit report(const Error& error) {
  std::cerr << "gwctl: " << error.reason << (error.message.empty() ? "" : ": ") << error.message
            << "\n";
  return Exit::kUsage;
}

Result<std::string> read_file(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) return file_error("FILE_CANNOT_READ", name);
  return std::move(text).str();
}

Result<void> write_file(const std::string& name, std::string_view text, bool secret) {
  auto fresh = name + ".new";
  ::unlink(fresh.c_str());
  int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secret ? 0600 : 0644);
  if (fd < 0) return file_error("FILE_CANNOT_WRITE", fresh);
  bool ok = true;
  while (ok && !text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    ok = n > 0;
    if (ok) text.remove_prefix(static_cast<std::size_t>(n));
  }
  ok = ok && ::fsync(fd) == 0;
  ok = ::close(fd) == 0 && ok;
  if (!ok || ::rename(fresh.c_str(), name.c_str()) != 0)
    return file_error("FILE_CANNOT_WRITE", name);
  return {};
}

Result<void> make_folder(const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(name, error);
  if (error) return fail(ErrorKind::kConfig, "FOLDER_CANNOT_MAKE", name + ": " + error.message());
  return {};
}

bool exists(const std::string& name) { return ::access(name.c_str(), F_OK) == 0; }

}  // namespace gw::gwctl
