#include <doctest/doctest.h>

#include <functional>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/elementwise.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

struct Operands {
  Operands(std::int64_t rows, std::int64_t cols, DType dtype, Device device) {
    const auto values = [&](std::uint64_t seed, std::int64_t n) { return random_values(n, seed); };
    const std::int64_t n = rows * (cols + 3);
    a = make_tensor(values(1, n), {rows, cols + 3}, dtype, device);
    b = make_tensor(values(2, n), {rows, cols + 3}, dtype, device);
    y = make_tensor(values(3, n), {rows, cols + 3}, dtype, device);
    scale = make_tensor(values(4, cols), {cols}, dtype, device);
    shift = make_tensor(values(5, cols), {cols}, dtype, device);
    columns = cols;
  }
  // Strided, so that a kernel that ignores the stride is seen.
  ConstTensorView in_a() const { return a.view().columns(1, columns); }
  ConstTensorView in_b() const { return b.view().columns(2, columns); }
  TensorView out() { return y.view().columns(3, columns); }
  Tensor a, b, y, scale, shift;
  std::int64_t columns;
};

using Op = std::function<void(Context&, Operands&)>;
const std::vector<std::pair<const char*, Op>> all_ops{
    {"fill", [](Context& c, Operands& o) { ops::fill(c, .25, o.out()); }},
    {"copy", [](Context& c, Operands& o) { ops::copy(c, o.in_a(), o.out()); }},
    {"add", [](Context& c, Operands& o) { ops::add(c, o.in_a(), o.in_b(), o.out()); }},
    {"multiply", [](Context& c, Operands& o) { ops::multiply(c, o.in_a(), o.in_b(), o.out()); }},
    {"affine", [](Context& c, Operands& o) { ops::affine(c, o.in_a(), -1.5, .3, o.out()); }},
    {"axpy", [](Context& c, Operands& o) { ops::axpy(c, .7, o.in_a(), o.out()); }},
    {"scale_shift_columns",
     [](Context& c, Operands& o) { ops::scale_shift_columns(c, o.in_a(), o.scale, o.shift, o.out()); }}};

void check_all(const std::vector<std::int64_t>& row_counts, const std::vector<std::int64_t>& column_counts) {
  for (const Backend backend : backends()) {
    const auto ctx = make_context(backend);
    Context reference;
    for (const std::int64_t rows : row_counts)
      for (const std::int64_t cols : column_counts)
        for (const auto& [name, op] : all_ops) {
          CAPTURE(name);
          CAPTURE(rows);
          CAPTURE(cols);
          Operands got(rows, cols, DType::f32, device_of(backend)),
              expected(rows, cols, DType::f64, Device{});
          op(*ctx, got);
          ctx->synchronize();
          op(reference, expected);
          check_close(name, to_doubles(got.y), to_doubles(expected.y),
                      {1e-6, 1e-6});  // all of y: nothing beside the view
        }
  }
}

}  // namespace

TEST_CASE("small: pointwise ops on every device equal the CPU in double") {
  check_all({0, 1, 2, 33}, {1, 31, 33});
}

TEST_CASE("large: pointwise ops on every device equal the CPU in double") {
  check_all({31, 257}, {32, 255, 256, 257, 1025});
  check_all({9001}, {257});  // more elements than a grid has threads
}
