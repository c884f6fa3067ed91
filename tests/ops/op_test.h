#pragma once
// What the op tests share: every level this processor has, matrices with gaps between rows, references as
// plain double vectors, and runs on teams of several sizes.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "support/devices.h"

namespace emshap::test {

using Values = std::vector<double>;

inline std::vector<Backend> levels() {
  return cpu_levels();
}

inline std::string name_of(Backend level) {
  return to_string(level);
}

/// Sizes where loops over rows and columns turn over.
inline const std::vector<std::int64_t> row_sizes{0, 1, 2, 31, 32, 33, 63, 64, 65, 129, 2049};
inline const std::vector<std::int64_t> column_sizes{1, 3, 15, 16, 17, 64, 100};
inline const std::vector<int> team_sizes{1, 2, 3, 7};

/// A matrix whose rows lie `gap` elements further apart than they are long; the gaps hold a sentinel.
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t gap = 0)
      : cols_(cols), memory_({rows, cols + gap}, dtype) {
    for (std::int64_t i = 0; i < memory_.elements(); ++i) put(i, sentinel);
  }
  Matrix(const Values& values, std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t gap = 0)
      : Matrix(rows, cols, dtype, gap) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c)
        put(r * memory_.cols() + c, values[static_cast<std::size_t>(r * cols + c)]);
  }
  TensorView view() { return memory_.view().columns(0, cols_); }
  ConstTensorView view() const { return memory_.view().columns(0, cols_); }
  operator TensorView() { return view(); }             // NOLINT(google-explicit-constructor)
  operator ConstTensorView() const { return view(); }  // NOLINT(google-explicit-constructor)
  /// As a vector, for parameters: one row.
  TensorView flat() { return memory_.view().reshaped({memory_.elements()}); }

  Values values() const {
    Values v;
    for (std::int64_t r = 0; r < memory_.rows(); ++r)
      for (std::int64_t c = 0; c < cols_; ++c) v.push_back(get(r * memory_.cols() + c));
    return v;
  }
  bool gaps_intact() const {
    for (std::int64_t r = 0; r < memory_.rows(); ++r)
      for (std::int64_t c = cols_; c < memory_.cols(); ++c)
        if (get(r * memory_.cols() + c) != sentinel) return false;
    return true;
  }

 private:
  static constexpr double sentinel = -12345;
  void put(std::int64_t i, double v) {
    if (memory_.dtype() == DType::f32) memory_.ptr<float>()[i] = static_cast<float>(v);
    if (memory_.dtype() == DType::f64) memory_.ptr<double>()[i] = v;
  }
  double get(std::int64_t i) const {
    return memory_.dtype() == DType::f32 ? static_cast<double>(memory_.ptr<float>()[i])
                                         : memory_.ptr<double>()[i];
  }
  std::int64_t cols_;
  Tensor memory_;
};

/// Bell-shaped numbers of a fixed hash (splitmix64), rounded to float so that float and double ops get the
/// same values.
inline Values random_values(std::int64_t count, std::uint64_t seed, double mean = 0, double sd = 1) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u;
  const auto uniform = [&] {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  };
  Values v(static_cast<std::size_t>(count));
  for (double& x : v) {
    const double bell = 2 * (uniform() + uniform() + uniform()) - 3;  // mean 0, variance 1
    x = static_cast<double>(static_cast<float>(mean + sd * bell));
  }
  return v;
}

/// |got - want| <= atol + rtol |want| for all elements; reports the worst one.
inline void check_close(const Values& got, const Values& want, double atol, double rtol) {
  REQUIRE(got.size() == want.size());
  std::size_t worst = 0;
  double share = -1;
  for (std::size_t i = 0; i < got.size(); ++i) {
    double s = std::abs(got[i] - want[i]) / (atol + rtol * std::abs(want[i]));
    if (!std::isfinite(got[i]) || !std::isfinite(want[i])) s = 1e300;
    if (s > share) share = s, worst = i;
  }
  if (got.empty()) return;
  CAPTURE(worst);
  CAPTURE(got[worst]);
  CAPTURE(want[worst]);
  CHECK(share <= 1);
}

inline bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

/// compute(pool) on teams of 1, 2, 3 and 7 of one level gives the same bits; returns them.
inline Values check_same_bits_on_teams(Backend level, const std::function<Values(TeamPool&)>& compute) {
  Values first;
  for (const int threads : team_sizes) {
    CAPTURE(threads);
    TeamPool pool(threads, level);
    const Values got = compute(pool);
    if (threads == 1) first = got;
    CHECK(same_bits(got, first));
  }
  return first;
}

/// The rows of member `plan` of a matrix that holds the whole batch.
inline TensorView local(Matrix& m, const ShardPlan& plan) {
  return m.view().rows(plan.row_begin, plan.local_rows);
}

inline double tolerance(DType dtype, double f32, double f64) {
  return dtype == DType::f32 ? f32 : f64;
}

}  // namespace emshap::test
