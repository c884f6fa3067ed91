#include "emshap/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

ScheduleKind parse_schedule(const std::string& name) {
  if (name == "constant") return ScheduleKind::constant;
  if (name == "cosine") return ScheduleKind::cosine;
  if (name == "plateau") return ScheduleKind::plateau;
  throw ConfigError(
      fmt::format("schedule '{}' is not known, expected one of constant, cosine, plateau", name));
}

const char* to_string(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::constant:
      return "constant";
    case ScheduleKind::cosine:
      return "cosine";
    case ScheduleKind::plateau:
      return "plateau";
  }
  return "?";
}

Schedule::Schedule(const ScheduleOptions& options, std::int64_t total_steps)
    : options_(options), total_steps_(total_steps), best_(std::numeric_limits<double>::infinity()) {
  if (!(options.floor >= 0 && options.floor <= 1))
    throw ConfigError(
        fmt::format("the floor of the learning rate is {}, expected a share from 0 to 1", options.floor));
  if (options.warmup_steps < 0)
    throw ConfigError(fmt::format("warm-up steps are {}, expected 0 or more", options.warmup_steps));
  if (!(options.plateau_factor > 0 && options.plateau_factor < 1))
    throw ConfigError(
        fmt::format("the plateau factor is {}, expected a number between 0 and 1", options.plateau_factor));
  if (options.plateau_patience < 1 || !(options.plateau_min_delta >= 0))
    throw ConfigError("the plateau schedule needs a patience of 1 or more and a min-delta of 0 or more");
}

double Schedule::factor(std::int64_t step) const {
  if (step < options_.warmup_steps)
    return static_cast<double>(step + 1) / static_cast<double>(options_.warmup_steps);
  switch (options_.kind) {
    case ScheduleKind::constant:
      return 1;
    case ScheduleKind::plateau:
      return std::max(options_.floor, scale_);
    case ScheduleKind::cosine:
      break;
  }
  const double length = static_cast<double>(std::max<std::int64_t>(1, total_steps_ - options_.warmup_steps));
  const double share = std::min(1.0, static_cast<double>(step - options_.warmup_steps) / length);
  return options_.floor + (1 - options_.floor) * .5 * (1 + std::cos(std::numbers::pi * share));
}

void Schedule::observe(double validation_loss) {
  if (validation_loss < best_ - options_.plateau_min_delta) {
    best_ = validation_loss;
    waited_ = 0;
  } else if (++waited_; waited_ >= static_cast<double>(options_.plateau_patience)) {
    scale_ *= options_.plateau_factor;
    waited_ = 0;
  }
}

std::vector<double> Schedule::state() const {
  return {scale_, best_, waited_};
}

void Schedule::set_state(const std::vector<double>& state) {
  if (state.size() != 3)
    throw IoError(fmt::format("the schedule's state has {} numbers, expected 3", state.size()));
  scale_ = state[0];
  best_ = state[1];
  waited_ = state[2];
}

}  // namespace emshap
