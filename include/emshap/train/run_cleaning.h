#pragma once
// The cleaning of a run, as training saved it: whatever reads raw rows for a model of the run applies it
// first.
#include <string>

#include "emshap/core/export.h"
#include "emshap/data/cleaning.h"
#include "emshap/train/run_directory.h"

namespace emshap {

/// The cleaning that a model of the run was trained with; one that does nothing where it had none. The
/// model's features in the manifest are the raw ones, its input_names(). Throws IoError when the file is
/// missing, damaged or another than the model's.
EMSHAP_API Cleaning load_cleaning(const RunDirectory& run, const std::string& model);

}  // namespace emshap
