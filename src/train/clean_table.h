#pragma once
// What the trainings of both models do with cleaning.
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/data/cleaning.h"
#include "emshap/data/split.h"
#include "train/run_files.h"

namespace emshap {

/// A cleaning fitted on the training rows of the split, or that of a file, and what it did to the table.
struct TableCleaning {
  Cleaning cleaning;
  CleaningReport report;
  std::vector<std::int64_t> training;  ///< rows of the split's training part that are left
};
/// Replaces the table by the cleaned one and tells about it. With a file, the cleaning saved there is
/// applied; its options must be those given. Throws ConfigError, DataError, IoError.
TableCleaning clean_table(Table& table, const Split& split, const CleaningOptions& options,
                          const std::filesystem::path& fitted, Messages& messages);

/// Writes cleaning.json, unless nothing is cleaned, and notes it and the raw features in the model's entry.
void save_cleaning(RunDirectory& run, const char* model, const Cleaning& cleaning);
/// For metrics files: {"hash": ..., "dropped_rows": ..., "clipped": {column: count}, "filled": {...}}
std::string cleaning_metrics(const Cleaning& cleaning, const CleaningReport& report);

}  // namespace emshap
