#pragma once
// Learning-rate schedules, counted in optimiser steps. All start with a linear warm-up and never fall below a
// floor.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

enum class ScheduleKind : std::uint8_t {
  constant,
  cosine,   ///< floor + (1 - floor) (1 + cos(pi t)) / 2, t the share of the steps after the warm-up
            ///< (Loshchilov & Hutter 2017)
  plateau,  ///< times `factor` whenever the validation loss has not improved for `patience` validations
};
/// Parses "constant", "cosine" or "plateau". Throws ConfigError.
EMSHAP_API ScheduleKind parse_schedule(const std::string& name);
EMSHAP_API const char* to_string(ScheduleKind kind);

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::cosine;
  std::int64_t warmup_steps = 0;  ///< step s < warmup_steps has the factor (s + 1) / warmup_steps
  double floor = 0;               ///< smallest factor after the warm-up, 0 <= floor <= 1
  double plateau_factor = .5;
  std::int64_t plateau_patience = 5;
  double plateau_min_delta = 0;
};

class EMSHAP_API Schedule {
 public:
  /// `total_steps`: where the cosine ends. Throws ConfigError for options out of range.
  Schedule(const ScheduleOptions& options, std::int64_t total_steps);
  /// Share of the base learning rate at `step`, counted from 0.
  double factor(std::int64_t step) const;
  /// Reports a validation loss; only `plateau` listens.
  void observe(double validation_loss);

  /// What changes as training goes on, for checkpoints. set_state throws IoError when the size is wrong.
  std::vector<double> state() const;
  void set_state(const std::vector<double>& state);

 private:
  ScheduleOptions options_;
  std::int64_t total_steps_;
  double scale_ = 1;
  double best_;
  double waited_ = 0;
};

}  // namespace emshap
