#pragma once
// One call of an op on the CPU in double, and the same on every device in f32: what it writes must agree.
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "support/compare.h"

namespace emshap::test {

/// The operands of one call on one device. Rows of matrices lie `gap` elements further apart than they are
/// long.
class Side {
 public:
  Side(Backend backend, DType dtype, std::int64_t gap);
  Context& ctx() { return *ctx_; }
  bool reference() const { return dtype_ == DType::f64; }

  /// An input with these values, rounded to the side's type.
  TensorView in(const std::vector<double>& values, Shape shape);
  /// An f64 input on both sides (the Gaussian base).
  TensorView wide(const std::vector<double>& values, Shape shape);
  /// Without gaps.
  TensorView integers(const std::vector<std::int32_t>& values, Shape shape);
  /// What the op overwrites: NaN before, compared afterwards together with the gaps.
  TensorView out(const std::string& name, Shape shape);
  /// What the op updates; compared afterwards.
  TensorView inout(const std::string& name, const std::vector<double>& values, Shape shape);
  /// Integers that the op writes; compared afterwards, equal.
  TensorView integers_out(const std::string& name, Shape shape);

  struct Result {
    std::string name;
    const Tensor* tensor;
  };
  const std::vector<Result>& results() const { return results_; }

 private:
  TensorView keep(std::span<const double> values, Shape shape, DType dtype, std::int64_t gap,
                  const std::string& name);
  std::unique_ptr<Context> ctx_;
  DType dtype_;
  std::int64_t gap_;
  std::list<Tensor> tensors_;
  std::vector<Result> results_;
};

using OpCall = std::function<void(Side&)>;

/// Runs `call` on each side, with and without gaps, and compares; then again on the device, which must give
/// the same bits. The tolerance is of f32 against double: atol + rtol |double|.
void compare_op(const std::string& what, const OpCall& call, Tolerance tolerance);

/// The same for ops whose bits do not depend on the device: against the CPU in f32, bit for bit.
void compare_bits(const std::string& what, const OpCall& call);

/// Rows or columns where loops turn over: those around a warp and around `block`.
std::vector<std::int64_t> sizes_around(std::int64_t block);

}  // namespace emshap::test
