#include "cuda/compare_op.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/memory.h"
#include "math/launch_shape.h"
#include "support/devices.h"

namespace emshap::test {
namespace {

// In outputs before the call, and in gaps; f32 holds it, so both sides keep the same.
constexpr double untouched = -12345;

using Values = std::vector<std::vector<double>>;

Values run(Side& side, const OpCall& call) {
  call(side);
  side.ctx().synchronize();
  Values values;
  for (const Side::Result& r : side.results()) values.push_back(to_doubles(*r.tensor));
  return values;
}

}  // namespace

Side::Side(Backend backend, DType dtype, std::int64_t gap)
    : ctx_(make_context(backend)), dtype_(dtype), gap_(gap) {}

TensorView Side::keep(std::span<const double> values, Shape shape, DType dtype, std::int64_t gap,
                      const std::string& name) {
  const std::int64_t rows = shape.rows(), cols = shape.cols(), width = shape.rank() > 1 ? cols + gap : cols;
  REQUIRE(static_cast<std::int64_t>(values.size()) == shape.elements());
  std::vector<double> wide(static_cast<std::size_t>(rows * width), untouched);
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(values.begin() + r * cols, cols, wide.begin() + r * width);
  tensors_.push_back(make_tensor(wide, {rows, width}, dtype, ctx_->device()));
  Tensor& kept = tensors_.back();
  if (!name.empty()) results_.push_back({name, &kept});
  return {kept.view().data(), shape, dtype, ctx_->device(), width};
}

TensorView Side::in(const std::vector<double>& values, Shape shape) {
  return keep(values, shape, dtype_, gap_, "");
}
TensorView Side::wide(const std::vector<double>& values, Shape shape) {
  return keep(values, shape, DType::f64, 0, "");
}
TensorView Side::integers(const std::vector<std::int32_t>& values, Shape shape) {
  tensors_.emplace_back(shape, DType::i32, ctx_->device());
  const Tensor host = Tensor::from(values, shape);
  copy_bytes(tensors_.back().view().data(), ctx_->device(), host.view().data(), Device{},
             shape.elements() * size_of(DType::i32));
  return tensors_.back();
}
TensorView Side::out(const std::string& name, Shape shape) {
  return inout(name, std::vector<double>(static_cast<std::size_t>(shape.elements()), untouched), shape);
}
TensorView Side::inout(const std::string& name, const std::vector<double>& values, Shape shape) {
  return keep(values, shape, dtype_, gap_, name);
}
TensorView Side::integers_out(const std::string& name, Shape shape) {
  const TensorView view =
      integers(std::vector<std::int32_t>(static_cast<std::size_t>(shape.elements()), -7), shape);
  results_.push_back({name, &tensors_.back()});
  return view;
}

void compare_op(const std::string& what, const OpCall& call, Tolerance tolerance) {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    for (const std::int64_t gap : {0, 3}) {
      Side cpu(cpu_backend(), DType::f64, gap), gpu(backend, DType::f32, gap),
          again(backend, DType::f32, gap);
      const Values expected = run(cpu, call), got = run(gpu, call), second = run(again, call);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const Side::Result& r = gpu.results()[i];
        const std::string name = what + (gap > 0 ? ", gaps, " : ", ") + r.name;
        const bool exact = r.tensor->dtype() == DType::i32;
        check_close(name, got[i], expected[i], exact ? Tolerance{.5, 0} : tolerance);
        check_same_bits(name + ", again", second[i], got[i]);
      }
    }
  }
}

void compare_bits(const std::string& what, const OpCall& call) {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    for (const std::int64_t gap : {0, 3}) {
      Side cpu(cpu_backend(), DType::f32, gap), gpu(backend, DType::f32, gap);
      const Values expected = run(cpu, call), got = run(gpu, call);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        check_same_bits(what + (gap > 0 ? ", gaps, " : ", ") + gpu.results()[i].name, got[i], expected[i]);
    }
  }
}

std::vector<std::int64_t> sizes_around(std::int64_t block) {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t n : math::turn_over_sizes(block).size) sizes.push_back(n);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

}  // namespace emshap::test
