#include "emshap/explain/typicality.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr std::int64_t block_rows = 4096;

/// log q(x) per value present.
std::vector<double> densities(TeamPool& pool, const FeatureSpace& space, const EmshapModel& model,
                              ConstTensorView raw) {
  const std::int64_t B = raw.rows(), F = space.features();
  const DType dtype = model.proposal().dtype();
  Tensor x({B, F}, dtype), observed({B, F}, dtype), code({B, F}, DType::i32);
  space.to_model(raw, x, observed, code);
  const Tensor nothing = Tensor::zeros({B, F}, dtype);
  const DensityScores scores =
      model.log_density(pool, {{x, code}, nothing, observed, {}}, {.draws = 1}, false);
  std::vector<double> out(static_cast<std::size_t>(B));
  for (std::int64_t r = 0; r < B; ++r) {
    double present = 0;
    for (std::int64_t t = 0; t < F; ++t)
      present += dtype == DType::f32 ? static_cast<double>(observed.ptr<float>()[r * F + t])
                                     : observed.ptr<double>()[r * F + t];
    const auto at = static_cast<std::size_t>(r);
    out[at] = present > 0 ? scores.log_q[at] / present : std::numeric_limits<double>::quiet_NaN();
  }
  return out;
}

}  // namespace

Typicality::Typicality(const FeatureSpace& space, const EmshapModel& model, ConstTensorView background,
                       TeamPool& pool)
    : space_(space), model_(model) {
  std::vector<double> of;
  for (std::int64_t r = 0; r < background.rows(); r += block_rows)
    for (const double d :
         densities(pool, space, model, background.rows(r, std::min(block_rows, background.rows() - r))))
      if (!std::isnan(d)) of.push_back(d);
  if (of.empty()) throw DataError("no background row has a value, expected at least one to compare with");
  const auto at = of.begin() + static_cast<std::ptrdiff_t>(of.size() / 1000);
  std::nth_element(of.begin(), at, of.end());
  threshold_ = *at;
}

Typicality::Scores Typicality::score(TeamPool& pool, ConstTensorView raw) const {
  const auto count = static_cast<std::size_t>(raw.rows());
  Scores out;
  out.unusual.assign(count, 0);
  out.outside.assign(count, 0);
  for (std::int64_t r = 0; r < raw.rows(); r += block_rows) {
    const std::vector<double> some =
        densities(pool, space_, model_, raw.rows(r, std::min(block_rows, raw.rows() - r)));
    out.log_density.insert(out.log_density.end(), some.begin(), some.end());
  }
  for (std::size_t r = 0; r < count; ++r) out.unusual[r] = out.log_density[r] < threshold_;
  each_outside(raw, [&](std::size_t row, std::size_t) { ++out.outside[row]; });
  return out;
}

std::vector<std::int64_t> Typicality::count_outside(ConstTensorView raw) const {
  std::vector<std::int64_t> out(static_cast<std::size_t>(space_.features()));
  each_outside(raw, [&](std::size_t, std::size_t feature) { ++out[feature]; });
  return out;
}

void Typicality::each_outside(ConstTensorView raw,
                              const std::function<void(std::size_t, std::size_t)>& use) const {
  const std::vector<std::string>& names = space_.input_names();
  for (std::size_t t = 0; t < space_.columns().size(); ++t) {
    const FeatureColumn& column = space_.columns()[t];
    const std::int64_t c = std::find(names.begin(), names.end(), column.name) - names.begin();
    // What was rounded to float32 on the way is not outside.
    const auto low = static_cast<float>(column.low), high = static_cast<float>(column.high);
    for (std::int64_t r = 0; r < raw.rows(); ++r) {
      const float value = raw.ptr<float>()[r * raw.row_stride() + c];
      if (value < low || value > high) use(static_cast<std::size_t>(r), t);
    }
  }
}

}  // namespace emshap
