#pragma once
// What the tests of value functions share: calls, masks, predictors.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "emshap/explain/value_function.h"

namespace emshap::test {

inline std::vector<std::string> letters(std::int64_t columns) {
  std::vector<std::string> out;
  for (std::int64_t c = 0; c < columns; ++c) out.emplace_back(1, static_cast<char>('a' + c));
  return out;
}

/// All 2^D masks, bit j of the number = column j known.
inline Tensor all_masks(std::int64_t columns) {
  Tensor out({std::int64_t{1} << columns, columns});
  for (std::int64_t c = 0; c < out.rows(); ++c)
    for (std::int64_t j = 0; j < columns; ++j)
      out.ptr<float>()[c * columns + j] = (c >> j & 1) != 0 ? 1.f : 0.f;
  return out;
}

inline Tensor masks_of(const std::vector<std::vector<int>>& rows) {
  Tensor out({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows.front().size())});
  float* to = out.ptr<float>();
  for (const auto& row : rows)
    for (const int known : row) *to++ = static_cast<float>(known);
  return out;
}

inline Tensor rows_of(const std::vector<std::vector<float>>& rows) {
  Tensor out({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows.front().size())});
  float* to = out.ptr<float>();
  for (const auto& row : rows)
    for (const float value : row) *to++ = value;
  return out;
}

/// `function` takes a row of D floats and gives a number.
template <class Function>
CallablePredictor predictor(std::int64_t columns, Function function) {
  return CallablePredictor(
      columns,
      [function](ConstTensorView raw, TensorView y) {
        for (std::int64_t r = 0; r < raw.rows(); ++r)
          y.ptr<float>()[r * y.row_stride()] =
              static_cast<float>(function(raw.ptr<float>() + r * raw.row_stride()));
      },
      CallablePredictor::Calls::concurrent);
}

inline CoalitionValues values_of(const ValueFunction& values, const Tensor& rows, const Tensor& masks,
                                 int threads = 1) {
  TeamPool pool(threads);
  CoalitionValues out;
  values.evaluate(pool, {rows, {}}, masks, out);
  return out;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.view().data(), b.view().data(),
                     static_cast<std::size_t>(a.elements() * size_of(a.dtype()))) == 0;
}

/// Whether values are the same for one call and for calls of single explicands and parts of the coalitions,
/// by other numbers of threads.
inline bool independent_of_cuts(const ValueFunction& values, const Tensor& rows, const Tensor& masks) {
  const CoalitionValues whole = values_of(values, rows, masks, 1),
                        threads = values_of(values, rows, masks, 3);
  if (!same_bits(whole.value, threads.value) || !same_bits(whole.effective, threads.effective) ||
      !same_bits(whole.deviation, threads.deviation))
    return false;
  const std::int64_t C = masks.rows(), G = whole.deviation.shape()[2], some = (C + 2) / 3;
  TeamPool pool(2);
  CoalitionValues part;
  for (std::int64_t b = 0; b < rows.rows(); ++b)
    for (std::int64_t c = 0; c < C; c += some) {
      const std::int64_t count = std::min(some, C - c);
      const std::int64_t number = b;
      values.evaluate(pool, {rows.view().rows(b, 1), {&number, 1}}, masks.view().rows(c, count), part);
      const auto same = [&](const Tensor& all, const Tensor& mine, std::int64_t width) {
        return std::memcmp(all.ptr<double>() + (b * C + c) * width, mine.ptr<double>(),
                           static_cast<std::size_t>(count * width) * sizeof(double)) == 0;
      };
      if (!same(whole.value, part.value, 1) || !same(whole.effective, part.effective, 1) ||
          !same(whole.deviation, part.deviation, G))
        return false;
    }
  return true;
}

}  // namespace emshap::test
