// emshap_train all: the power predictor, then the EmSHAP model of the same rows, in one run folder. Each
// model gets the configuration of its own command, so that it can be resumed and repeated alone.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/train/power_model.h"
#include "train_emshap.h"
#include "train_power.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;
constexpr const char* config_file = "all_config.toml";

struct Values {
  DataSettings data;
  CleaningSettings cleaning;
  PowerSettings power;
  EmshapSettings emshap;
  RunSettings run;
};

/// How one of the models goes on when the whole is resumed; false when it is finished.
bool resumed_mode(const fs::path& folder, const char* model, RunMode& mode) {
  const RunDirectory run = RunDirectory::open(folder);
  if (!run.has(model)) {
    mode = RunMode::create;
    return true;
  }
  mode = RunMode::resume;
  return run.model(model).status != "finished";
}

void train_both(Values& v, bool cleaning_given, Session& session) {
  const fs::path folder = run_folder(v.run, v.data);
  const RunMode whole = run_mode(v.run);
  CommonOptions common = session.common();
  const auto config = [&](Target target, auto add_own) {
    Settings settings;
    add_data_settings(settings, v.data, target);
    add_cleaning_settings(settings, v.cleaning);
    add_own(settings);
    add_run_settings(settings, v.run);
    add_common_settings(settings, common);
    return settings.toml();
  };
  const std::string power_config =
      config(Target::required, [&](Settings& s) { add_power_settings(s, v.power); });
  const std::string emshap_config =
      config(Target::optional, [&](Settings& s) { add_emshap_settings(s, v.emshap); });

  RunMode power_mode = whole, emshap_mode = whole;
  bool power = true, emshap = true;
  if (whole == RunMode::resume) {
    power = resumed_mode(folder, PowerFiles::model, power_mode);
    emshap = resumed_mode(folder, EmshapFiles::model, emshap_mode);
  } else {
    for (const char* model : {PowerFiles::model, EmshapFiles::model})
      RunDirectory::check(folder, model, whole);
  }
  const auto begun = [&](const RunDirectory& run) {  // from now on --resume can be given
    write_file_atomically(run.path(config_file), session.config_toml());
  };
  if (power) {
    follow_cleaning(v.cleaning, cleaning_given, folder, PowerFiles::model, "", power_mode, session.sink());
    train_power_model(v.power, v.data, v.cleaning, v.run, folder, power_mode, power_config, session, "",
                      begun);
  }
  if (emshap) {
    follow_cleaning(v.cleaning, cleaning_given, folder, EmshapFiles::model, PowerFiles::model, emshap_mode,
                    session.sink());
    train_emshap_model(v.emshap, v.data, v.cleaning, v.run, folder, emshap_mode, emshap_config, session,
                       begun);
  }
  session.print(fmt::format("Run: {}\n", folder.string()));
}

}  // namespace

void add_train_all(App& app) {
  auto values = std::make_shared<Values>();
  Command& c = app.command(
      "all", "Trains the power predictor and the EmSHAP model into one run.",
      "  emshap_train all --data hosts.csv --target power_consumption\n"
      "  emshap_train all --data servers.csv --target watts --group server --split group --out RUN\n"
      "  emshap_train all --resume --out RUN\n");
  add_data_settings(c.settings, values->data, Target::required);
  add_cleaning_settings(c.settings, values->cleaning);
  add_emshap_settings(c.settings, values->emshap);
  add_power_settings(c.settings, values->power, "power-");
  add_run_settings(c.settings, values->run);
  c.default_config = [values] {
    if (run_mode(values->run) != RunMode::resume) return std::string();
    const fs::path folder = run_folder(values->run, values->data);
    if (!fs::exists(folder / config_file))
      throw ConfigError(fmt::format(
          "{} has no run of 'all' to resume; models that were trained alone are resumed by 'power' "
          "or 'emshap'",
          folder.string()));
    return (folder / config_file).string();
  };
  c.uses_gpu = true;
  c.run = [values, &c](Session& session) { train_both(*values, c.settings.given("cleaning"), session); };
}

}  // namespace emshap::app
