#include "store/private_postgres.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <grp.h>
#include <iterator>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pwd.h>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gw::store::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kParents = "GW_TEST_POSTGRES";

// Debian keeps the server's programs out of PATH, a folder a version.
std::string program(const std::string& name) {
  std::string newest;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", none)) {
    auto path = entry.path() / "bin" / name;
    if (fs::exists(path)) newest = std::max(newest, path.string());
  }
  if (newest.empty())
    throw std::runtime_error("no PostgreSQL here: deploy/install-packages postgres");
  return newest;
}

// PostgreSQL refuses to run as root, so root becomes Debian's user for it.
const passwd* other_user() {
  if (getuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  if (user == nullptr) throw std::runtime_error("root, and there is no user postgres");
  return user;
}

// The program's process; it ends with ours. Its output goes to a file in the folder.
pid_t spawn(const std::string& folder, const std::vector<std::string>& command) {
  const passwd* user = other_user();
  const auto log = folder + "/log";
  const pid_t parent = getpid();
  pid_t child = fork();
  if (child != 0) return child;
  if (user != nullptr && (initgroups(user->pw_name, user->pw_gid) != 0 ||
                          setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
    _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent || chdir(folder.c_str()) != 0) _exit(126);
  if (!freopen(log.c_str(), "a", stdout) || !freopen(log.c_str(), "a", stderr)) _exit(126);
  // Ctrl-C is the tests' to handle.
  setpgid(0, 0);
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

std::string tail_of_log(const std::string& folder) {
  std::ifstream in(folder + "/log");
  std::string all((std::istreambuf_iterator<char>(in)), {});
  return all.size() > 2000 ? all.substr(all.size() - 2000) : all;
}

}  // namespace

PrivatePostgres& PrivatePostgres::shared() {
  const char* parents = std::getenv(kParents);
  static PrivatePostgres server =
      parents != nullptr ? PrivatePostgres(std::string(parents)) : PrivatePostgres();
  setenv(kParents, server.folder_.c_str(), 1);
  return server;
}

PrivatePostgres::PrivatePostgres(const std::vector<std::string>& settings) : ours_(true) {
  // In /tmp whatever TMPDIR says: another user has to reach it, and a socket's path is short.
  std::string name = "/tmp/gw-postgres-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder in /tmp");
  folder_ = name;
  if (const passwd* user = other_user())
    if (chown(name.c_str(), user->pw_uid, user->pw_gid) != 0) throw std::runtime_error("chown");
  pid_t child =
      spawn(folder_, {program("initdb"), "--no-sync", "--auth=trust", "--username=gateway",
                      "--encoding=UTF8", "--locale=C", "--pgdata=" + folder_ + "/data"});
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error("initdb: " + tail_of_log(folder_));
  std::ofstream conf(folder_ + "/data/postgresql.auto.conf", std::ios::app);
  conf << "listen_addresses=''\nunix_socket_directories='" << folder_
       << "'\nmax_connections=100\nshared_buffers=64MB\nlog_min_messages=warning\n";
  for (const auto& line : settings) conf << line << "\n";
  conf.close();
  start();
}

PrivatePostgres::~PrivatePostgres() {
  if (!ours_) return;
  if (pid_ != 0) stop(SIGQUIT);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void PrivatePostgres::start() {
  pid_ = spawn(folder_, {program("postgres"), "-D", folder_ + "/data"});
  // It answers as soon as it listens; a refusal comes at once, so this is a poll without a sleep
  // that anything depends on.
  for (int tries = 0; tries < 3000; ++tries) {
    try {
      pqxx::connection db(uri_of("postgres"));
      return;
    } catch (const pqxx::broken_connection&) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        break;
      }
      usleep(10'000);
    }
  }
  throw std::runtime_error("PostgreSQL does not start: " + tail_of_log(folder_));
}

void PrivatePostgres::stop(int signal) {
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

double PrivatePostgres::cpu_us() const {
  double ticks = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos)
      continue;
    std::ifstream in(entry.path() / "stat");
    std::string all((std::istreambuf_iterator<char>(in)), {});
    if (all.empty()) continue;
    // Behind the name in brackets: state, parent, ...; own times are fields 14 and 15, those of
    // children that ended 16 and 17.
    std::istringstream fields(all.substr(all.rfind(')') + 1));
    std::vector<std::string> words((std::istream_iterator<std::string>(fields)), {});
    const bool server = entry.path().filename() == std::to_string(pid_);
    if (words.size() < 15 || (!server && words[1] != std::to_string(pid_))) continue;
    for (std::size_t field : {11u, 12u}) ticks += std::stod(words[field]);
    if (server)
      for (std::size_t field : {13u, 14u}) ticks += std::stod(words[field]);
  }
  return ticks * 1e6 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string PrivatePostgres::uri_of(const std::string& database) const {
  return "host=" + folder_ + " user=gateway dbname=" + database;
}

std::string PrivatePostgres::uri(const std::string& database) {
  if (value("postgres", "SELECT count(*) FROM pg_database WHERE datname='" + database + "'") == "0")
    run("postgres", "CREATE DATABASE \"" + database + "\"");
  return uri_of(database);
}

void PrivatePostgres::run(const std::string& database, const std::string& sql) {
  pqxx::connection db(uri_of(database));
  pqxx::nontransaction(db).exec(sql);
}

std::string PrivatePostgres::value(const std::string& database, const std::string& sql) {
  pqxx::connection db(uri_of(database));
  auto rows = pqxx::nontransaction(db).exec(sql);
  return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].as<std::string>();
}

}  // namespace gw::store::test
