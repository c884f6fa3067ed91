#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/explain/explainer.h"

namespace emshap {
namespace {

constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

std::vector<double> over(std::vector<double> sums, std::int64_t count) {
  for (double& x : sums) x = count > 0 ? x / static_cast<double>(count) : not_known;
  return sums;
}

}  // namespace

GlobalImportance::GlobalImportance(const Explainer& explainer)
    : explainer_(&explainer),
      absolute_(static_cast<std::size_t>(explainer.players().size())),
      sum_(absolute_.size()),
      loss_(static_cast<std::size_t>(explainer.coalitions().size())) {}

void GlobalImportance::add(const Attributions& rows, std::span<const float> actual) {
  if (rows.phi.cols() != static_cast<std::int64_t>(absolute_.size()) ||
      rows.values.cols() != static_cast<std::int64_t>(loss_.size()) ||
      (!actual.empty() && static_cast<std::int64_t>(actual.size()) != rows.rows()))
    throw ShapeError("the attributions are of other players, coalitions or rows than expected");
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const auto at = static_cast<std::size_t>(r);
    const double* phi = rows.phi.ptr<double>() + r * rows.phi.cols();
    for (std::size_t j = 0; j < sum_.size(); ++j) {
      absolute_[j] += std::abs(phi[j]);
      sum_[j] += phi[j];
    }
    ++rows_;
    row_msev_.push_back(rows.msev[at]);
    if (!std::isnan(rows.msev[at])) {
      msev_ += rows.msev[at];
      ++msev_rows_;
    }
    const double y = actual.empty() ? rows.prediction[at] : static_cast<double>(actual[at]);
    if (std::isnan(y)) continue;
    ++loss_rows_;
    const double* v = rows.values.ptr<double>() + r * rows.values.cols();
    for (std::size_t c = 0; c < loss_.size(); ++c) loss_[c] += (y - v[c]) * (y - v[c]);
  }
}

std::vector<double> GlobalImportance::mean_absolute() const {
  return over(absolute_, rows_);
}
std::vector<double> GlobalImportance::mean() const {
  return over(sum_, rows_);
}

std::vector<double> GlobalImportance::sage() const {
  if (loss_rows_ == 0) return std::vector<double>(sum_.size(), not_known);
  std::vector<double> values = over(loss_, loss_rows_);
  for (double& x : values) x = -x;
  return explainer_->solve(values);
}

double GlobalImportance::msev() const {
  return msev_rows_ > 0 ? msev_ / static_cast<double>(msev_rows_) : not_known;
}

std::vector<double> GlobalImportance::state() const {
  std::vector<double> out{static_cast<double>(rows_), static_cast<double>(loss_rows_),
                          static_cast<double>(msev_rows_), msev_};
  for (const std::vector<double>* list : {&absolute_, &sum_, &loss_})
    out.insert(out.end(), list->begin(), list->end());
  return out;
}

void GlobalImportance::restore(std::span<const double> state) {
  if (state.size() != 4 + 2 * sum_.size() + loss_.size())
    throw IoError(fmt::format("the sums of global importance are {} numbers, expected {}", state.size(),
                              4 + 2 * sum_.size() + loss_.size()));
  rows_ = static_cast<std::int64_t>(state[0]);
  loss_rows_ = static_cast<std::int64_t>(state[1]);
  msev_rows_ = static_cast<std::int64_t>(state[2]);
  msev_ = state[3];
  std::size_t at = 4;
  for (std::vector<double>* list : {&absolute_, &sum_, &loss_})
    for (double& x : *list) x = state[at++];
  row_msev_.clear();
}

}  // namespace emshap
