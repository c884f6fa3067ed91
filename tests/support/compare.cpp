#include "support/compare.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "core/memory.h"
#include "emshap/core/random.h"

namespace emshap::test {

Comparison compare(std::span<const double> got, std::span<const double> ref, Tolerance tolerance) {
  if (got.size() != ref.size())
    return {false, INFINITY, fmt::format("{} values, expected {}", got.size(), ref.size())};
  Comparison result;
  std::size_t worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double limit = tolerance.atol + tolerance.rtol * std::abs(ref[i]),
                 error = std::abs(got[i] - ref[i]);
    double used = error == 0 ? 0 : error / limit;
    if (!std::isfinite(got[i]) || !std::isfinite(ref[i])) used = INFINITY;
    if (used > result.used) {
      result.used = used;
      worst = i;
    }
  }
  result.ok = result.used <= 1;
  if (!got.empty())
    result.text = fmt::format("worst at {} of {}: got {:.17g}, expected {:.17g}, {:.3g} of the limit", worst,
                              got.size(), got[worst], ref[worst], result.used);
  return result;
}

std::vector<double> to_doubles(const ConstTensorView& view) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(view.elements()));
  if (view.elements() == 0) return values;
  const std::int64_t size = size_of(view.dtype());
  const std::int64_t bytes = ((view.rows() - 1) * view.row_stride() + view.cols()) * size;
  std::vector<char> all(static_cast<std::size_t>(bytes));
  copy_bytes(all.data(), Device{}, view.data(), view.device(), bytes);
  for (std::int64_t r = 0; r < view.rows(); ++r) {
    const ConstTensorView host(all.data() + r * view.row_stride() * size, {view.cols()}, view.dtype());
    for (std::int64_t c = 0; c < view.cols(); ++c) {
      switch (view.dtype()) {
        case DType::f32:
          values.push_back(static_cast<double>(host.ptr<float>()[c]));
          break;
        case DType::f64:
          values.push_back(host.ptr<double>()[c]);
          break;
        case DType::i32:
          values.push_back(host.ptr<std::int32_t>()[c]);
          break;
      }
    }
  }
  return values;
}

Tensor make_tensor(std::span<const double> values, Shape shape, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  REQUIRE(static_cast<std::int64_t>(values.size()) == shape.elements());
  if (dtype == DType::f64) {
    copy_bytes(t.view().data(), device, values.data(), Device{}, t.elements() * size_of(dtype));
  } else {
    const std::vector<float> narrow(values.begin(), values.end());
    copy_bytes(t.view().data(), device, narrow.data(), Device{}, t.elements() * size_of(dtype));
  }
  return t;
}

std::vector<double> random_values(std::int64_t count, std::uint64_t seed, double scale, double shift) {
  Generator random({.seed = seed, .purpose = RandomPurpose::test});
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& v : values) v = static_cast<double>(static_cast<float>(shift + scale * random.normal()));
  return values;
}

double max_abs(std::span<const double> values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

double check_close(const std::string& what, std::span<const double> got, std::span<const double> ref,
                   Tolerance tolerance) {
  const Comparison c = compare(got, ref, tolerance);
  INFO(what << ": " << c.text);
  CHECK(c.ok);
  return c.used;
}

double check_close(const std::string& what, const ConstTensorView& got, const ConstTensorView& ref,
                   Tolerance tolerance) {
  INFO(what << ": shapes " << got.shape().str() << " and " << ref.shape().str());
  CHECK(got.rows() == ref.rows());
  return check_close(what, to_doubles(got), to_doubles(ref), tolerance);
}

void check_same_bits(const std::string& what, std::span<const double> got, std::span<const double> ref) {
  REQUIRE_MESSAGE(got.size() == ref.size(), what);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::bit_cast<std::uint64_t>(got[i]) == std::bit_cast<std::uint64_t>(ref[i])) continue;
    const std::string text = fmt::format("{}: element {} of {} is {:.17g}, expected exactly {:.17g}", what, i,
                                         got.size(), got[i], ref[i]);
    FAIL_CHECK(text);
    return;
  }
}

}  // namespace emshap::test
