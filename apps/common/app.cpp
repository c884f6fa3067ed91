#include "common/app.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "common/console.h"
#include "emshap/core/cuda.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"

namespace emshap::app {
namespace {

void refuse_gpu(const std::string& device) {
  if (device == "auto" || parse_device(device).kind == DeviceKind::cpu) return;
  throw DeviceError("this command has no part for a GPU; use --device cpu");
}

StopToken stop_token;  // what the signal handler reaches

extern "C" void handle_stop_signal(int) {
  stop_token.request_stop();
}

/// The first signal asks for a stop; a second one ends the process at once.
void install_signal_handler() {
  struct sigaction action = {};
  action.sa_handler = handle_stop_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error to report, not one to die of
}

class RunningSession final : public Session {
 public:
  RunningSession(const CommonOptions& common, Console& console, std::string config)
      : common_(common), console_(console), config_(std::move(config)) {}
  const CommonOptions& common() const override { return common_; }
  ProgressSink& sink() override { return console_; }
  const StopToken& stop() const override { return stop_token; }
  std::string config_toml() const override { return config_; }
  void log_to(const std::filesystem::path& file) override { console_.add_file(file); }
  void print(const std::string& text) override { console_.print(text); }

 private:
  const CommonOptions& common_;
  Console& console_;
  std::string config_;
};

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '.')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

void add_common_settings(Settings& settings, CommonOptions& o) {
  settings.add("common", "config", o.config, "Settings file (TOML); the command line has precedence").saved =
      false;
  settings.add("common", "seed", o.seed, "Seed of all random numbers; the same seed gives the same result");
  settings.add("common", "threads", o.threads, "Threads, 0 for all processors; does not change results",
               between(0, 4096));
  settings.add("common", "device", o.device, "cpu, cuda, cuda:N or auto");
  settings.add("common", "quiet", o.quiet, "Print warnings and errors only");
  settings.add("common", "log-level", o.log_level, "debug, info, warning or error",
               one_of({"debug", "info", "warning", "error"}));
  settings.add("common", "log-file", o.log_file, "Also append log lines to this file");
}

int Session::threads() const {
  if (common().threads > 0) return static_cast<int>(common().threads);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}
Device Session::device() {
  const Device device = parse_device(common().device);
  if (common().device == "auto" && device.kind == DeviceKind::cpu)
    sink().log(LogLevel::info, fmt::format("device auto: running on the CPU, because no GPU can be used: {}",
                                           why_not_cuda()));
  return device;
}
void Session::log_device(Device device) {
  if (device.kind != DeviceKind::cuda) return;
  sink().log(LogLevel::info, "running on " + to_string(device));
  if (cuda_tf32())
    sink().log(LogLevel::warning, "EMSHAP_TF32=1: products round their factors to TF32, results will differ");
}

App::App(std::string name, std::string description)
    : name_(std::move(name)), description_(std::move(description)) {}
App::~App() = default;

Command& App::command(const std::string& name, const std::string& description, const std::string& examples) {
  Command& c = commands_.emplace_back();
  c.name = name;
  c.description = description;
  c.examples = examples;
  return c;
}

int App::run(int argc, char** argv) {
  std::optional<Console> console;
  const auto fail = [&](int code, const std::string& text) {
    const std::string sentence = one_line(text);
    if (console)
      console->error(sentence);
    else
      std::fprintf(stderr, "%s: %s\n", name_.c_str(), sentence.c_str());
    return code;
  };
  try {
    CLI::App cli(description_, name_);
    cli.set_version_flag("--version", fmt::format("{} {} ({})", name_, version(), build_configuration()));
    const bool lone =
        std::any_of(commands_.begin(), commands_.end(), [](const Command& c) { return c.name.empty(); });
    cli.require_subcommand(lone ? 0 : 1, 1);
    std::vector<CLI::App*> parsers;
    const auto chosen = [&](std::size_t i) {
      return commands_[i].name.empty() ? cli.get_subcommands().empty() : parsers[i]->parsed();
    };
    for (Command& c : commands_) {
      CLI::App* parser = c.name.empty() ? &cli : cli.add_subcommand(c.name, c.description);
      parser->footer("\nExamples:\n" + c.examples);
      add_common_settings(c.settings, common_);
      c.settings.bind(*parser);
      parsers.push_back(parser);
    }
    try {
      cli.parse(argc, argv);
    } catch (const CLI::Success& e) {  // --help, --version
      return cli.exit(e);
    } catch (const CLI::ParseError& e) {
      std::string text = e.what();
      for (std::size_t i = 0; i < parsers.size(); ++i) {
        if (!chosen(i)) continue;
        for (const std::string& word : parsers[i]->remaining()) {
          const std::string name = word.substr(0, word.find('='));
          const std::string like = closest(name, commands_[i].settings.option_names());
          if (name.starts_with("--") && !like.empty()) text += fmt::format("; did you mean {}?", like);
        }
      }
      return fail(exit_code(ErrorKind::usage), text);
    }
    for (std::size_t i = 0; i < commands_.size(); ++i) {
      Command& c = commands_[i];
      if (!chosen(i)) {
        const std::string lost = c.name.empty() ? c.settings.first_given() : "";
        if (!lost.empty())
          throw ConfigError(fmt::format("{} stands before the subcommand; its options come after it", lost));
        continue;
      }
      c.settings.apply_command_line();
      std::string file = common_.config;
      if (file.empty() && c.default_config) file = c.default_config();
      if (!file.empty()) {
        c.settings.apply_file(file);
        c.settings.apply_command_line();
      }
      c.settings.check();
      console.emplace(name_, common_.quiet, common_.log_level);
      if (!common_.log_file.empty()) console->add_file(common_.log_file);
      install_signal_handler();
      RunningSession session(common_, *console, c.settings.toml());
      if (!c.uses_gpu) refuse_gpu(common_.device);
      c.run(session);
    }
    return 0;
  } catch (const Error& e) {
    return fail(exit_code(e.kind()), e.what());
  } catch (const std::bad_alloc&) {
    return fail(exit_code(ErrorKind::environment), "out of memory; use fewer rows or a smaller batch");
  } catch (const std::system_error& e) {  // threads, folders that may not be entered
    return fail(exit_code(ErrorKind::environment),
                fmt::format("the system refused what was asked of it: {}", e.what()));
  } catch (const std::exception& e) {
    return fail(exit_code(ErrorKind::internal), e.what());
  } catch (...) {
    return fail(exit_code(ErrorKind::internal), "unknown error");
  }
}

}  // namespace emshap::app
