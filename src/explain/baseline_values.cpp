#include "emshap/explain/baseline_values.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {

std::int64_t rows_lacking_values(ConstTensorView train) {
  std::int64_t lacking = 0;
  for (std::int64_t r = 0; r < train.rows(); ++r) {
    const float* row = train.ptr<float>() + r * train.row_stride();
    lacking += std::any_of(row, row + train.cols(), [](float x) { return x != x; }) ? 1 : 0;
  }
  return lacking;
}

}  // namespace

const std::vector<std::string>& baseline_names() {
  static const std::vector<std::string> names{"independence", "empirical", "gaussian", "copula"};
  return names;
}

FittedBaseline::FittedBaseline() = default;
FittedBaseline::~FittedBaseline() {
  values.reset();  // before what it refers to
}
FittedBaseline::FittedBaseline(FittedBaseline&&) noexcept = default;
FittedBaseline& FittedBaseline::operator=(FittedBaseline&& other) noexcept {
  std::swap(values, other.values);
  std::swap(density, other.density);
  std::swap(notes, other.notes);
  return *this;
}

FittedBaseline make_baseline(const std::string& method, const std::vector<std::string>& columns,
                             ConstTensorView train, const Predictor& f, const BaselineOptions& options) {
  const std::vector<std::string>& names = baseline_names();
  if (std::find(names.begin(), names.end(), method) == names.end())
    throw ConfigError(fmt::format("there is no method '{}' to take values from, expected one of {}", method,
                                  fmt::join(names, ", ")));
  if (train.elements() == 0)
    throw ConfigError(fmt::format(
        "the method '{}' needs training rows, and there are none; name a file of them with --background",
        method));
  FittedBaseline out;
  if (method == "gaussian" || method == "copula") {
    FeatureSpaceOptions space = options.space;
    space.transform = method == "gaussian" ? FeatureTransform::standardise : FeatureTransform::quantile;
    out.density = std::make_unique<GaussianDensity>(
        fit_gaussian_density(columns, train, {}, space, options.drawn.seed));
    out.values = drawn_values(method, out.density->space, *out.density->model, f, options.drawn);
    return out;
  }
  out.values = method == "independence" ? independence_values(columns, train, f, options)
                                        : empirical_values(columns, train, f, options);
  const std::int64_t lacking = rows_lacking_values(train), complete = train.rows() - lacking;
  if (lacking > 0)
    out.notes.push_back(fmt::format("{}: {} of {} training rows lack values and are left out", method,
                                    lacking, train.rows()));
  if (out.values->evaluations() < complete)
    out.notes.push_back(fmt::format("{}: {} of {} training rows are used, a random choice", method,
                                    out.values->evaluations(), complete));
  return out;
}

}  // namespace emshap
