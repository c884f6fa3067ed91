#pragma once
// A benchmark of one op: checked against the CPU, then timed on the GPU.
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "emshap/core/tensor.h"
#include "gpu.h"

namespace emshap::bench {

/// The tensors of one call on one device, f32, filled with the same numbers on each.
class Operands {
 public:
  explicit Operands(Device device) : device_(device) {}
  /// Uniform numbers.
  TensorView in(Shape shape, double low = -1, double high = 1);
  /// i32, uniform in 0 .. below - 1.
  TensorView integers(Shape shape, std::int64_t below);
  template <class T>
  TensorView given(const std::vector<T>& values, Shape shape) {
    return keep(Tensor::from(values, shape));
  }
  /// What the op writes or adds to, 0 before; compared.
  TensorView out(Shape shape, DType dtype = DType::f32);
  /// What the op updates, starting from uniform numbers; compared.
  TensorView inout(Shape shape, double low = -1, double high = 1);
  /// What the op writes and nobody compares.
  TensorView scratch(Shape shape);

  const std::vector<const Tensor*>& results() const { return results_; }

 private:
  TensorView keep(Tensor on_cpu);
  Device device_;
  std::uint64_t next_ = 1;
  std::list<Tensor> tensors_;
  std::vector<const Tensor*> results_;
};

/// Takes its tensors from Operands and returns the call.
using MakeCall = std::function<std::function<void()>(Context&, Operands&)>;

/// Registers a benchmark. Before timing, all results of one call must lie within `tolerance` of the CPU's in
/// f32, relative to the largest of the tensor. An op without a kernel is reported as an error of its
/// benchmark.
void add_op(const std::string& name, const Work& work, const MakeCall& make, double tolerance = 1e-3);

/// Of f32 tensors.
inline double f32_bytes(std::int64_t elements) {
  return 4. * static_cast<double>(elements);
}

}  // namespace emshap::bench
