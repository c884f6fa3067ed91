#include "report/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::report {
namespace {

constexpr const char* output_name = "child-output.txt";

/// What a drawing program needs of our environment; the locale is fixed, so that numbers and UTF-8 are read
/// alike everywhere.
std::vector<std::string> child_environment() {
  std::vector<std::string> out{"LC_ALL=C.UTF-8"};
  for (const char* name :
       {"PATH", "HOME", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "FONTCONFIG_FILE", "FONTCONFIG_PATH"})
    if (const char* value = std::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

struct SpawnSettings {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  explicit SpawnSettings(const std::filesystem::path& folder) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, (folder / output_name).c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawnattr_init(&attributes);
    // A group of its own: the time limit reaches grandchildren, and Ctrl-C at the terminal leaves a
    // half-drawn file to us.
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none, standard;
    sigemptyset(&none);
    sigemptyset(&standard);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGCHLD}) sigaddset(&standard, signal);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &standard);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
};

/// Waits for the child; false when the time is up and it has been killed.
bool wait_for(pid_t child, double time_limit, int& status) {
  using clock = std::chrono::steady_clock;
  const auto end =
      clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(time_limit));
  auto pause = std::chrono::milliseconds(1);
  for (;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) return true;
    if (done < 0 && errno != EINTR) {  // a host program that ignores SIGCHLD has no status for us
      status = 0;
      return true;
    }
    if (clock::now() >= end) break;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
  ::kill(-child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return false;
}

std::string head_of(const std::filesystem::path& file) {
  std::array<char, 4096> buffer{};
  std::ifstream in(file, std::ios::binary);
  in.read(buffer.data(), buffer.size());
  return {buffer.data(), static_cast<std::size_t>(in.gcount())};
}

}  // namespace

ChildResult run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                      const std::filesystem::path& folder, double time_limit) {
  std::vector<std::string> argv{program.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = child_environment();
  ChildResult result;
  const SpawnSettings settings(folder);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, program.c_str(), &settings.actions, &settings.attributes,
                                  pointers(argv).data(), pointers(environment).data());
  if (error != 0) {
    result.output = std::strerror(error);
    return result;
  }
  result.started = true;
  int status = 0;
  result.timed_out = !wait_for(child, time_limit, status);
  result.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  result.output = head_of(folder / output_name);
  return result;
}

std::filesystem::path find_program(const std::filesystem::path& name) {
  const auto usable = [](const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
  };
  if (name.empty()) return {};
  if (name.has_parent_path()) return usable(name) ? std::filesystem::absolute(name) : std::filesystem::path();
  const char* folders = std::getenv("PATH");
  std::string_view rest = folders != nullptr ? folders : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const std::filesystem::path folder(rest.substr(0, colon));
    // An empty or relative entry would make the program depend on the current folder.
    if (folder.is_absolute() && usable(folder / name)) return folder / name;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const auto base = std::filesystem::temp_directory_path(error);
  std::string name = ((error ? std::filesystem::path("/tmp") : base) / "emshap-plot-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw IoError(fmt::format("temporary folder {} could not be created: {}", name, std::strerror(errno)),
                  ErrorKind::environment);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace emshap::report
