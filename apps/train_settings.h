#pragma once
// What the commands of emshap_train share: data, run folder.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/app.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/source.h"
#include "emshap/data/split.h"
#include "emshap/train/run_directory.h"

namespace emshap::app {

/// What the command line and the file set; texts are parsed once all is known.
struct DataSettings {
  std::string data, where, target_unit, split = "row";
  ColumnSelection columns;
  SplitOptions fractions;  ///< its mode is `split`
  std::int64_t background = 1000;
};
enum class Target : bool { optional, required };
void add_data_settings(Settings& s, DataSettings& v, Target target);
/// Throws ConfigError.
SplitOptions split_options(const DataSettings& v);
/// Opens the chosen rows of the data.
std::unique_ptr<Source> open_data(const DataSettings& v);
/// Notes in a run's entry which rows of its data were chosen; see chosen_rows().
void note_rows(RunModel& entry, const DataSettings& v);
/// Reads the header of the data: columns that name rows are taken as such. Throws ConfigError, IoError.
void recognise_header(DataSettings& v, ProgressSink& sink);

/// Section [cleaning], the same for both models of a run.
struct CleaningSettings {
  std::string fill_missing = to_string(FillMissing::keep), outliers = to_string(Outliers::off);
  CleaningOptions options;       ///< once follow_cleaning() has been called
  std::filesystem::path fitted;  ///< cleaning.json to apply instead of fitting one
};
void add_cleaning_settings(Settings& s, CleaningSettings& v);

struct RunSettings {
  std::string out;
  bool resume = false, overwrite = false, plots = true;
  double checkpoint_seconds = 60;
};
void add_run_settings(Settings& s, RunSettings& v);
/// Throws ConfigError when both --resume and --overwrite are given.
RunMode run_mode(const RunSettings& v);
/// --out, or runs/<data>-<target>, or runs/<data>.
std::filesystem::path run_folder(const RunSettings& run, const DataSettings& data);
/// The run that is in the folder, if any. Throws IoError for a damaged manifest that is not to be replaced.
std::optional<RunDirectory> existing_run(const std::filesystem::path& folder, RunMode mode);
/// split.csv of the folder where this run is resumed or where the model `other` uses it, so that both share
/// their test rows; empty otherwise. Throws IoError.
std::filesystem::path existing_split(const std::filesystem::path& folder, const char* other, RunMode mode);
/// Checks the folder, parses the settings and, where this run is resumed or the model `other` is there, takes
/// its cleaning over, so that both models are fed alike. Throws ConfigError when the cleaning is given and
/// differs; IoError; what RunDirectory::check throws.
void follow_cleaning(CleaningSettings& v, bool given, const std::filesystem::path& folder, const char* model,
                     const char* other, RunMode mode, ProgressSink& sink);
/// Called once the run folder is there and training begins.
using Begun = std::function<void(const RunDirectory&)>;
/// The configuration file `name` of the run to be resumed; empty without --resume.
std::string resumed_config(const RunSettings& run, const DataSettings& data, const char* model,
                           const char* name);

}  // namespace emshap::app
