#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

/// What is recorded at each validation (once an epoch unless stated otherwise).
struct HistoryRow {
  std::string stage;
  std::int64_t epoch = 0;          ///< from 1
  std::int64_t step = 0;           ///< optimiser steps done in this stage
  std::vector<double> training;    ///< mean of each loss term since the last row, weighted by batch rows
  std::vector<double> validation;  ///< each loss term, empty without validation rows
  double learning_rate = 0;        ///< of the last step
  double gradient_norm = 0;        ///< mean over the steps, before clipping
  double seconds = 0;              ///< wall time since the last row
  bool best = false;               ///< the validation loss was the best so far
};

struct History {
  /// Loss terms of each stage, in the order of HistoryRow::training.
  struct Stage {
    std::string name;
    std::vector<std::string> terms;
  };
  std::vector<Stage> stages;
  std::vector<HistoryRow> rows;

  /// Columns stage, epoch, step, train_<term>..., val_<term>..., learning_rate, gradient_norm, seconds, best;
  /// the terms are those of all stages, empty where a stage does not have them.
  EMSHAP_API std::string csv() const;
};

}  // namespace emshap
