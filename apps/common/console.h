#pragma once
// Logging and progress of the apps: spdlog to stderr and files, a live progress line on a terminal.
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "emshap/core/progress.h"

namespace spdlog {
class logger;
}

namespace emshap::app {

/// "1h 02m", "3m 20s", "12s"
std::string duration_text(double seconds);

class Console : public ProgressSink {
 public:
  /// `level`: debug, info, warning or error.
  Console(std::string app, bool quiet, const std::string& level);
  ~Console() override;
  void progress(const Progress& progress) override;
  void log(LogLevel level, const std::string& text) override;
  /// Log lines also go to this file from now on. Throws IoError (environment) when it cannot be opened.
  void add_file(const std::filesystem::path& file);
  /// Results on stdout; nothing when quiet.
  void print(const std::string& text);
  /// "app: text" on stderr, always, and in the log files.
  void error(const std::string& text);

 private:
  std::string progress_line(const Progress& progress, double elapsed, std::int64_t first) const;
  void clear_line();
  std::string app_;
  bool quiet_, terminal_, line_shown_ = false, complete_ = false;
  std::shared_ptr<spdlog::logger> console_, files_;
  std::string stage_;
  std::chrono::steady_clock::time_point stage_start_, last_shown_;
  std::int64_t stage_first_ = 0;
  struct Mark {
    std::chrono::steady_clock::time_point time;
    std::int64_t done = 0;
  };
  Mark earlier_, later_;  // of work without an end, whose rate is that of the last 10 to 20 s
};

}  // namespace emshap::app
