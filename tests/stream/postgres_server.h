#pragma once
// A PostgreSQL server of its own for a test: a new cluster under /tmp, reached by a Unix socket, without
// password. It ends with the test, also when the test is killed.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace emshap::test {

class PostgresServer {
 public:
  /// Empty where PostgreSQL is not installed, with a MESSAGE. `fsync`: as in production, for tests of
  /// durability; without it commits are faster.
  static std::unique_ptr<PostgresServer> start(bool fsync = false) {
    const std::filesystem::path programs = find_programs();
    if (programs.empty()) {
      MESSAGE("PostgreSQL is not installed: not tested with it");
      return nullptr;
    }
    return std::unique_ptr<PostgresServer>(new PostgresServer(programs, fsync));
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer() {
    if (getpid() != owner_) return;  // a forked child of the test
    stop(SIGQUIT);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  /// The location of a store in a new, empty schema.
  std::string new_store() {
    const std::string schema = "s" + std::to_string(++schemas_);
    if (psql("CREATE SCHEMA " + schema) != 0) throw std::runtime_error("cannot make a schema");
    return url() + "&options=-csearch_path%3D" + schema;
  }
  /// Of the cluster's only database; the user is its superuser.
  std::string url() const { return "postgresql:///postgres?host=" + folder_.string() + "&user=emshap"; }
  /// Runs statements; returns psql's exit code.
  int psql(const std::string& sql) const {
    const pid_t child = as_server(
        {(programs_ / "psql").string(), "-qX", "-v", "ON_ERROR_STOP=1", "-c", sql, url()}, log().string());
    return wait_for(child);
  }

  /// SIGQUIT: at once, as after a crash (the next start recovers); SIGINT: connections are ended in order.
  void stop(int signal = SIGQUIT) {
    if (server_ <= 0) return;
    kill(server_, signal);
    wait_for(server_);
    server_ = -1;
  }
  /// After stop(): the same data again. The constructor calls it, too.
  void run() {
    server_ = as_server({(programs_ / "postgres").string(), "-D", data().string(), "-k", folder_.string(),
                         "-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "max_connections=30",
                         "-c", fsync_ ? "fsync=on" : "fsync=off"},
                        log().string());
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (psql("SELECT 1") != 0) {
      if (std::chrono::steady_clock::now() > give_up || waitpid(server_, nullptr, WNOHANG) != 0)
        throw std::runtime_error("the PostgreSQL server does not answer, see " + log().string());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

 private:
  PostgresServer(std::filesystem::path programs, bool fsync) : programs_(std::move(programs)), fsync_(fsync) {
    char name[] = "/tmp/emshap_pg_XXXXXX";  // a socket's path has at most 107 bytes
    if (mkdtemp(name) == nullptr) throw std::runtime_error("cannot make a folder in /tmp");
    folder_ = name;
    if (getuid() == 0) {  // the server refuses to run as root
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) user = getpwnam("nobody");
      if (user == nullptr || chown(name, user->pw_uid, user->pw_gid) != 0)
        throw std::runtime_error("no user to run PostgreSQL");
      uid_ = user->pw_uid;
      gid_ = user->pw_gid;
    }
    const pid_t child = as_server({(programs_ / "initdb").string(), "-D", data().string(), "-U", "emshap",
                                   "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"},
                                  log().string());
    if (wait_for(child) != 0) throw std::runtime_error("initdb failed, see " + log().string());
    run();
  }

  static std::filesystem::path find_programs() {
    namespace fs = std::filesystem;
    std::vector<fs::path> folders;
    if (const char* named = std::getenv("EMSHAP_POSTGRESQL_BIN")) folders.emplace_back(named);
    std::error_code none;
    for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
      folders.push_back(version.path() / "bin");
    folders.insert(folders.end(), {"/usr/local/pgsql/bin", "/usr/bin", "/usr/local/bin"});
    for (const fs::path& folder : folders)
      if (access((folder / "postgres").c_str(), X_OK) == 0 &&
          access((folder / "initdb").c_str(), X_OK) == 0 && access((folder / "psql").c_str(), X_OK) == 0)
        return folder;
    return {};
  }

  std::filesystem::path data() const { return folder_ / "data"; }
  std::filesystem::path log() const { return folder_ / "log"; }

  pid_t as_server(std::vector<std::string> command, const std::string& log) const {
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = getpid(), child = fork();
    if (child != 0) return child;
    if (uid_ != 0 && (setgroups(0, nullptr) != 0 || setgid(gid_) != 0 || setuid(uid_) != 0)) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent || chdir("/tmp") != 0) _exit(126);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
    execv(argv[0], argv.data());
    _exit(127);
  }
  static int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::filesystem::path programs_, folder_;
  bool fsync_ = false;
  pid_t server_ = -1, owner_ = getpid();
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  int schemas_ = 0;
};

}  // namespace emshap::test
