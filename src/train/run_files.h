#pragma once
// What the trainings of both models do with data and run folders.
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/progress.h"
#include "emshap/data/table.h"
#include "emshap/train/run_directory.h"

namespace emshap {

using Messages = std::vector<std::pair<LogLevel, std::string>>;

/// Tells what was left out of or replaced in the data.
void note_skipped(const Provenance& provenance, Messages& messages);
/// Writes a file of the run and lists it.
void add_new_file(RunDirectory& run, const char* model, const char* name, const std::string& content);
/// Where the data come from, in the model's entry of the manifest.
void describe_data(RunModel& entry, const Table& table);
/// The data must be those that the run was started with. Throws IoError.
void check_same_data(const RunDirectory& run, const char* model, const Table& table);

}  // namespace emshap
