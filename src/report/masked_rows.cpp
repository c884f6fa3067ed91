#include "emshap/report/masked_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "emshap/core/random.h"

namespace emshap::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

MaskedRows MaskedRows::select(std::span<const std::int64_t> numbers) const {
  MaskedRows out;
  const std::int64_t features = mask.cols();
  out.mask = Tensor({static_cast<std::int64_t>(numbers.size()), features});
  float* to = out.mask.ptr<float>();
  for (const std::int64_t p : numbers) {
    out.row.push_back(row[static_cast<std::size_t>(p)]);
    to = std::copy_n(mask.ptr<float>() + p * features, features, to);
  }
  return out;
}

MaskedRows uniform_masks(ConstTensorView observed, std::int64_t per_row, std::uint64_t seed) {
  const std::int64_t rows = observed.rows(), features = observed.cols();
  const bool all = observed.dtype() == DType::f64;
  const auto present = [&](std::int64_t r, std::int64_t t) {
    return all ? observed.ptr<double>()[r * observed.row_stride() + t] != 0
               : observed.ptr<float>()[r * observed.row_stride() + t] != 0;
  };
  MaskedRows out;
  std::vector<float> mask;
  std::vector<std::int64_t> values;
  for (std::int64_t r = 0; r < rows; ++r) {
    values.clear();
    for (std::int64_t t = 0; t < features; ++t)
      if (present(r, t)) values.push_back(t);
    if (values.empty()) continue;
    for (std::int64_t j = 0; j < per_row; ++j) {
      Generator random({seed, RandomPurpose::masking, 0, static_cast<std::uint64_t>(j)},
                       static_cast<std::uint64_t>(r));
      const std::uint64_t size = random.below(values.size());
      std::vector<std::int64_t> order = values;  // its first `size` entries become a uniform subset
      const std::size_t at = mask.size();
      mask.resize(at + static_cast<std::size_t>(features), 0.f);
      for (std::uint64_t i = 0; i < size; ++i) {
        std::swap(order[i], order[i + random.below(order.size() - i)]);
        mask[at + static_cast<std::size_t>(order[i])] = 1;
      }
      out.row.push_back(r);
    }
  }
  out.mask = Tensor::from(mask, {out.pairs(), features});
  return out;
}

void Summary::add(double value) {
  if (count_ == 0) min_ = max_ = value;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  m2_ += before * (value - mean_);
}

void Summary::merge(const Summary& other) {  // Chan, Golub & LeVeque 1979
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  const auto a = static_cast<double>(count_), b = static_cast<double>(other.count_);
  const double difference = other.mean_ - mean_;
  mean_ += difference * b / (a + b);
  m2_ += other.m2_ + difference * difference * a * b / (a + b);
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
}

double Summary::mean() const {
  return count_ == 0 ? nan : mean_;
}
double Summary::sd() const {
  return count_ == 0 ? nan : std::sqrt(m2_ / static_cast<double>(count_));
}

}  // namespace emshap::report
