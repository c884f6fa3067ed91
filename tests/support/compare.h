#pragma once
// Comparison of arrays: |got - ref| <= atol + rtol |ref| for every element, non-finite values fail.
#include <span>
#include <string>
#include <vector>

#include "emshap/core/tensor.h"

namespace emshap::test {

struct Tolerance {
  double atol = 0;
  double rtol = 0;
};

struct Comparison {
  bool ok = true;
  double used = 0;   ///< largest |got - ref| / (atol + rtol |ref|)
  std::string text;  ///< worst index, both values and the share of the limit used
};
Comparison compare(std::span<const double> got, std::span<const double> ref, Tolerance tolerance);

/// Values in row-major order, whatever the type, stride and device.
std::vector<double> to_doubles(const ConstTensorView& view);
/// A tensor of this type with these values, rounded; for tests on any device.
Tensor make_tensor(std::span<const double> values, Shape shape, DType dtype, Device device = {});
/// Standard normal numbers that f32 holds exactly, so that f32 and f64 runs see the same input.
std::vector<double> random_values(std::int64_t count, std::uint64_t seed, double scale = 1, double shift = 0);
double max_abs(std::span<const double> values);

/// Fails the test with the comparison's text; returns the share of the limit used.
double check_close(const std::string& what, std::span<const double> got, std::span<const double> ref,
                   Tolerance tolerance);
double check_close(const std::string& what, const ConstTensorView& got, const ConstTensorView& ref,
                   Tolerance tolerance);
/// Fails unless all bits agree (NaN compares by its bits).
void check_same_bits(const std::string& what, std::span<const double> got, std::span<const double> ref);

}  // namespace emshap::test
