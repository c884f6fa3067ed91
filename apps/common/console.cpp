#include "common/console.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "emshap/core/error.h"

namespace emshap::app {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

constexpr auto live_interval = std::chrono::milliseconds(100);
constexpr auto plain_interval = std::chrono::seconds(10);
constexpr auto rate_interval = std::chrono::seconds(10);

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}h {:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m {:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

Console::Console(std::string app, bool quiet, const std::string& level)
    : app_(std::move(app)), quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {
  const auto wanted = level == "debug"     ? spdlog::level::debug
                      : level == "warning" ? spdlog::level::warn
                      : level == "error"   ? spdlog::level::err
                                           : spdlog::level::info;
  console_ = std::make_shared<spdlog::logger>(app_, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  console_->set_pattern("%H:%M:%S %l: %v");
  console_->set_level(quiet ? std::max(wanted, spdlog::level::warn) : wanted);
  files_ = std::make_shared<spdlog::logger>(app_);
  files_->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l: %v");
  files_->set_level(std::min(wanted, spdlog::level::info));
  files_->flush_on(spdlog::level::info);
  files_->set_error_handler([](const std::string&) {});  // a full disk is reported by what matters: results
}

Console::~Console() {
  clear_line();
}

void Console::progress(const Progress& p) {
  const auto now = std::chrono::steady_clock::now();
  const bool fresh = p.stage != stage_;
  if (fresh) {
    stage_ = p.stage;
    stage_start_ = now;
    stage_first_ = p.done;
    last_shown_ = now - plain_interval;
    earlier_ = later_ = {now, p.done};
  }
  if (now - later_.time >= rate_interval) earlier_ = std::exchange(later_, Mark{now, p.done});
  if (quiet_) return;
  const bool complete = p.total > 0 && p.done >= p.total;
  if (complete && complete_ && !fresh) return;  // said already
  complete_ = complete;
  if (terminal_) {
    if (!fresh && !complete && now - last_shown_ < live_interval) return;
  } else if (now - last_shown_ < plain_interval && !complete) {
    return;
  }
  if (fresh && !terminal_ && !complete) {  // the first plain line comes after the interval
    last_shown_ = now;
    return;
  }
  last_shown_ = now;
  const Mark since = p.total > 0 ? Mark{stage_start_, stage_first_} : earlier_;
  const std::string text =
      progress_line(p, std::chrono::duration<double>(now - since.time).count(), since.done);
  if (terminal_) {
    std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
    std::fflush(stderr);
    line_shown_ = true;
    if (complete) clear_line();
  } else {
    console_->info(text);
  }
}

std::string Console::progress_line(const Progress& p, double elapsed, std::int64_t first) const {
  std::string text = p.stage + " " + p.unit + fmt::format(" {}", p.done);
  if (p.total > 0) text += fmt::format("/{}", p.total);
  for (const auto& [name, value] : p.values) text += fmt::format("  {} {:.5g}", name, value);
  const double done = static_cast<double>(p.done - first);
  if (done > 0 && elapsed > 0) {
    const double rate = done / elapsed;
    text += fmt::format("  {:.{}f} {}/s", rate, rate < 10 ? 1 : 0, p.unit);
    if (p.total > p.done) text += "  ETA " + duration_text(static_cast<double>(p.total - p.done) / rate);
  }
  return text;
}

void Console::clear_line() {
  if (!line_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  line_shown_ = false;
}

void Console::log(LogLevel level, const std::string& text) {
  clear_line();
  console_->log(level_of(level), text);
  files_->log(level_of(level), text);
}

void Console::add_file(const std::filesystem::path& file) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l: %v");
    files_->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& e) {
    throw IoError(fmt::format("{}: cannot write the log file: {}", file.string(), e.what()),
                  ErrorKind::environment);
  }
}

void Console::print(const std::string& text) {
  if (quiet_) return;
  clear_line();
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw IoError(fmt::format("results could not be written to stdout: {}", std::strerror(errno)),
                  ErrorKind::environment);
}

void Console::error(const std::string& text) {
  clear_line();
  std::fprintf(stderr, "%s: %s\n", app_.c_str(), text.c_str());
  files_->error(text);
}

}  // namespace emshap::app
