#pragma once
// Which data an app reads: a CSV file or a feature store, and which of its rows.
#include <string>

#include "common/settings.h"
#include "emshap/data/source.h"
#include "emshap/train/run_directory.h"

namespace emshap::app {

/// --data and --where. What is saved of a location has no password.
Setting& add_data_location(Settings& s, std::string& data, std::string& where, const std::string& help);

/// A condition with the columns that it looks at in a CSV file; empty ones: the usual names.
struct ChosenRows {
  std::string where, time, node_id;
};
/// Kept in the notes of a run's entry, so that later apps read the same rows.
void note_rows(RunModel& entry, const ChosenRows& rows);
/// The condition given, or else, for the run's own data, the one that the run noted; its columns become those
/// of the selection. `data`: the location given, empty for the run's; `entry` may be null.
std::string chosen_rows(const std::string& data, const std::string& where, const RunModel* entry,
                        ColumnSelection& columns);

}  // namespace emshap::app
