#pragma once
// What every app shares: options (--quiet --log-level --log-file --seed --threads --device --config --help
// --version), logging, progress, SIGINT and SIGTERM, and errors as one sentence on stderr with an exit code:
//   0 done, 2 usage, 3 data, 4 environment, 5 quality gate, 6 numerical, 130 interrupted, 1 anything else.
//
//   int main(int argc, char** argv) {
//     emshap::app::App app("emshap_datagen", "Writes synthetic host metrics as CSV.");
//     Options options;
//     auto& command = app.command("", "", "  emshap_datagen --rows 20000 --out hosts.csv\n");
//     command.settings.add("data", "rows", options.rows, "Rows to write", emshap::app::at_least(1));
//     command.run = [&](emshap::app::Session& session) { ... };
//     return app.run(argc, argv);
//   }
#include <deque>
#include <filesystem>
#include <functional>
#include <string>

#include "common/settings.h"
#include "emshap/core/device.h"
#include "emshap/core/progress.h"

namespace emshap::app {

struct CommonOptions {
  bool quiet = false;
  std::string log_level = "info";
  std::string log_file;
  std::uint64_t seed = 42;
  std::int64_t threads = 0;  ///< 0: all processors
  std::string device = "cpu";
  std::string config;
};

/// The settings of all apps, as the app adds them to its commands.
void add_common_settings(Settings& settings, CommonOptions& options);

/// What a running command gets.
class Session {
 public:
  virtual ~Session() = default;
  virtual const CommonOptions& common() const = 0;
  std::uint64_t seed() const { return common().seed; }
  int threads() const;  ///< at least 1
  Device device();      ///< `auto` without a GPU: one log line and the CPU; throws ConfigError, DeviceError
  /// Says what work runs on, for log files that were named after device(): a GPU, and TF32 if products round
  /// to it.
  void log_device(Device device);
  /// Progress and log lines: a live line on a terminal, plain lines elsewhere; log lines also to the log
  /// files.
  virtual ProgressSink& sink() = 0;
  virtual const StopToken& stop() const = 0;
  /// The effective configuration as TOML.
  virtual std::string config_toml() const = 0;
  /// From now on log lines also go to this file (created or appended to). Throws IoError.
  virtual void log_to(const std::filesystem::path& file) = 0;
  /// Results for the user, on stdout; nothing with --quiet.
  virtual void print(const std::string& text) = 0;
};

struct Command {
  std::string name;  ///< "" for what runs without a subcommand
  std::string description;
  std::string examples;  ///< shown after --help
  Settings settings;     ///< of the command; the app adds the common ones
  std::function<void(Session&)> run;
  bool uses_gpu = false;  ///< without it --device cuda is refused, and auto is the CPU
  /// Optional: a configuration file to read when --config is not given, e.g. that of the run to be resumed;
  /// asked after the command line has been read. Empty for none.
  std::function<std::string()> default_config;
};

class App {
 public:
  App(std::string name, std::string description);
  ~App();
  /// The reference stays valid.
  Command& command(const std::string& name, const std::string& description, const std::string& examples);
  /// Parses, runs and returns the exit code of the process; never throws.
  int run(int argc, char** argv);

 private:
  std::string name_, description_;
  CommonOptions common_;
  std::deque<Command> commands_;
};

}  // namespace emshap::app
