#pragma once
// A program that runs beside the test: commands on its input, signals, its output in files. It never outlives
// the test.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "emshap/core/atomic_file.h"

namespace emshap::test {

using Clock = std::chrono::steady_clock;

inline void sleep_ms(std::int64_t milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

class Child {
 public:
  /// Output goes to <folder>/<name>.out and .err. `most_file_bytes` (0: no limit) bounds every file that the
  /// child writes.
  Child(const std::string& name, const std::vector<std::string>& command, const std::filesystem::path& folder,
        std::uint64_t most_file_bytes = 0)
      : out_(folder / (name + ".out")), err_(folder / (name + ".err")) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    int input[2];
    if (pipe2(input, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    const int o = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int e = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    // A signal must find the child with the default actions, not with those of the test.
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    process_ = fork();
    if (process_ == 0) {
      for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) ::signal(number, SIG_DFL);
      sigprocmask(SIG_SETMASK, &before, nullptr);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(input[0], 0);
      dup2(o, 1);
      dup2(e, 2);
      if (most_file_bytes > 0) {
        const rlimit limit{most_file_bytes, most_file_bytes};
        setrlimit(RLIMIT_FSIZE, &limit);
      }
      if (chdir(folder.c_str()) == 0) execv(argv[0], argv.data());
      _exit(127);
    }
    sigprocmask(SIG_SETMASK, &before, nullptr);
    close(input[0]);
    close(o);
    close(e);
    input_ = input[1];
  }
  ~Child() {
    signal(SIGKILL);
    wait(10);
    if (input_ >= 0) close(input_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void write(const std::string& text) const {
    if (::write(input_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw std::runtime_error("the child does not take input");
  }
  void signal(int number) {
    if (running()) kill(process_, number);
  }
  bool running() {
    int status = 0;
    rusage usage{};
    if (code_ < 0 && wait4(process_, &status, WNOHANG, &usage) == process_) {
      peak_mib_ = usage.ru_maxrss >> 10;
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return code_ < 0;
  }
  /// Exit code, or 128 + signal; -1 when it still runs after so many seconds.
  int wait(double seconds) {
    const auto give_up = Clock::now() + std::chrono::duration<double>(seconds);
    while (running() && Clock::now() < give_up) sleep_ms(2);
    return code_;
  }
  /// Largest resident memory, once it has ended.
  std::int64_t peak_mib() const { return peak_mib_; }
  std::string out() const { return read_file(out_); }
  std::string err() const { return read_file(err_); }

 private:
  std::filesystem::path out_, err_;
  pid_t process_ = -1;
  int input_ = -1, code_ = -1;
  std::int64_t peak_mib_ = 0;
};

inline std::string app_path(const std::string& name) {
  return std::filesystem::path(EMSHAP_BINARY_DIR) / "bin" / name;
}

}  // namespace emshap::test
