#pragma once
// Starts an app, may send it a signal, and keeps its two outputs apart.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "emshap/core/atomic_file.h"

namespace emshap::test {

struct Finished {
  int exit_code = -1;  ///< 128 + signal when killed
  std::string out, err;
};

/// Runs `command` (program and arguments) in `folder`; once `ready` holds, sends `signal`.
inline Finished run_process(const std::vector<std::string>& command, const std::filesystem::path& folder,
                            int signal = 0, const std::function<bool()>& ready = {}) {
  const auto out = folder / ".stdout", err = folder / ".stderr";
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int o = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int e = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(o, 1);
    dup2(e, 2);
    if (chdir(folder.c_str()) == 0) execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  if (signal != 0) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (!ready() && waitpid(child, &status, WNOHANG) == 0 && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kill(child, signal);
  }
  waitpid(child, &status, 0);
  Finished f;
  f.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  f.out = read_file(out);
  f.err = read_file(err);
  return f;
}

}  // namespace emshap::test
