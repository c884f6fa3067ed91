#include "emshap/train/early_stopping.h"

#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options)
    : options_(options), best_(std::numeric_limits<double>::infinity()) {
  if (options.patience < 0)
    throw ConfigError(fmt::format("patience is {}, expected 0 (never stop early) or more", options.patience));
  if (!(options.min_delta >= 0))
    throw ConfigError(fmt::format("min-delta is {}, expected 0 or more", options.min_delta));
}

bool EarlyStopping::observe(double validation_loss) {
  if (validation_loss < best_ - options_.min_delta) {  // false for NaN
    best_ = validation_loss;
    waited_ = 0;
    return true;
  }
  ++waited_;
  return false;
}

std::vector<double> EarlyStopping::state() const {
  return {best_, static_cast<double>(waited_)};
}

void EarlyStopping::set_state(const std::vector<double>& state) {
  if (state.size() != 2)
    throw IoError(fmt::format("the state of early stopping has {} numbers, expected 2", state.size()));
  best_ = state[0];
  waited_ = static_cast<std::int64_t>(state[1]);
}

}  // namespace emshap
