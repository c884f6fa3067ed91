#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/core/error.h"
#include "emshap/ops/gather.h"
#include "math/row_shape.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

std::vector<std::int32_t> indices(std::int64_t count, std::int64_t rows, std::uint64_t factor) {
  std::vector<std::int32_t> index;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i)
    index.push_back(static_cast<std::int32_t>((i * factor + i / 7) % static_cast<std::uint64_t>(rows)));
  return index;
}

void check_all(std::int64_t N, std::int64_t B, std::int64_t D) {
  const std::string at = fmt::format(", {} of {} rows of {}", B, N, D);
  const auto table = random_values(N * D, 1), x = random_values(B * D, 2);
  const auto index = indices(B, N, 11);  // many equal ones
  const Tolerance exact{0, 0}, sums{1e-5 + 1e-6 * static_cast<double>(B), 1e-5};
  compare_op(
      "gather_rows" + at,
      [&](Side& s) {
        ops::gather_rows(s.ctx(), s.in(table, {N, D}), s.integers(index, {B}), s.out("y", {B, D}));
      },
      exact);
  compare_op(
      "scatter_rows" + at,
      [&](Side& s) {
        ops::scatter_rows(s.ctx(), s.in(x, {B, D}), s.integers(index, {B}), s.inout("table", table, {N, D}));
      },
      exact);
  compare_op(
      "scatter_add_rows" + at,
      [&](Side& s) {
        ops::scatter_add_rows(s.ctx(), s.in(x, {B, D}), s.integers(index, {B}),
                              s.inout("table", table, {N, D}));
      },
      sums);
}

}  // namespace

TEST_CASE("gather and scatter on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 2, 31, 32, 33, 100})
    for (const std::int64_t D : {1, 31, 32, 33}) check_all(5, B, D);
  check_all(1, 9, 3);
  check_all(700, 300, 5);
  check_all(40, 1025, 65);
}

TEST_CASE("scatter_add_rows in slices: few table rows and many rows") {
  for (const std::int64_t B : {511, 512, 513, 2049}) {
    CHECK((math::scatter_shape(B, 3, 7).slices > 1) == (B >= 512));
    check_all(3, B, 7);
  }
}

TEST_CASE("sum_table_lines on every device equals the CPU in double") {
  for (const std::int64_t B : {0, 1, 33})
    for (const std::int64_t D : {1, 31, 32, 65})
      for (const std::int64_t n : {0, 1, 6})
        for (const Activation activation : {Activation::identity, Activation::relu}) {
          const std::int64_t N = 13;
          const auto table = random_values(N * 2 * D, 1), factor = random_values(B * n, 2),
                     base = random_values(D, 3);
          const auto index = indices(B * n, N, 5);
          compare_op(fmt::format("sum_table_lines, {} rows of {}, {} terms", B, D, n),
                     [&](Side& s) {
                       ops::sum_table_lines(s.ctx(), s.in(table, {N, 2 * D}), s.integers(index, {B, n}),
                                            s.in(factor, {B, n}), s.in(base, {D}), activation,
                                            s.out("y", {B, D}));
                     },
                     {1e-5, 1e-5});
        }
}

TEST_CASE("indices in host memory are refused") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const Device device = device_of(backend);
    Tensor table({3, 2}, DType::f32, device), y({1, 2}, DType::f32, device);
    const Tensor index = Tensor::from(std::vector<std::int32_t>{1}, {1});
    CHECK_THROWS_AS(ops::gather_rows(*ctx, table, index, y), DeviceError);
    CHECK_THROWS_AS(ops::scatter_rows(*ctx, y, index, table), DeviceError);
    CHECK_THROWS_AS(ops::scatter_add_rows(*ctx, y, index, table), DeviceError);
  }
}
