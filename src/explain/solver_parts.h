#pragma once
// What the parts of the solver share. Private to the library.
#include <cstddef>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

/// Of what cannot be told.
constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

inline std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

inline void check_shape(const ConstTensorView& v, const char* what, const Shape& expected) {
  if (!(v.shape() == expected))
    throw ShapeError(
        fmt::format("ShapleySolver: {} have shape {}, expected {}", what, v.shape().str(), expected.str()));
}

/// sum_i a_i b_i in a fixed order that fills vector registers.
inline double dot(const double* a, const double* b, std::int64_t count) {
  constexpr std::int64_t lanes = 8;
  double part[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) part[l] += a[i + l] * b[i + l];
  for (std::int64_t l = 0; i < count; ++i, ++l) part[l] += a[i] * b[i];
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

}  // namespace emshap
