#pragma once
// What every layer is held to. One call of check_layer runs, on each CPU level and on CUDA when present:
//   f32 against f64 on the CPU, for outputs, dx, running statistics and every parameter gradient, at all
//   batch sizes; infer against forward where neither dropout nor batch statistics are involved; central
//   differences in double for dx and every parameter; two accumulated backward passes against twice one; a dx
//   that nobody wants; strided inputs and outputs; save and load of the store; the same seed gives the same
//   bits; teams of 1, 2, 3 and 7 threads too.
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "emshap/layers/parameter_store.h"

namespace emshap::test {

/// A layer with its parameters and one cache per team member.
class AnyLayer {
 public:
  virtual ~AnyLayer() = default;
  virtual ParameterStore& store() = 0;
  /// False when the layer cannot be initialised again, because its maker has done it.
  virtual bool initialise(std::uint64_t seed) = 0;
  virtual void infer(Context& ctx, ConstTensorView x, TensorView y) const = 0;
  virtual void forward(Context& ctx, std::uint64_t step, ConstTensorView x, TensorView y) = 0;
  virtual void backward(Context& ctx, ConstTensorView dy, TensorView dx) = 0;
};

template <class Layer>
class WrappedLayer : public AnyLayer {
 public:
  static constexpr int most_members = 8;
  static constexpr bool owns_store = requires(Layer & l) {
    { l.store() } -> std::same_as<ParameterStore&>;
  };
  template <class Make>
  WrappedLayer(const Make& make, DType dtype, Device device)
      : layer_(make(store_, dtype, device)), caches_(most_members) {
    if constexpr (!owns_store) store_.allocate(dtype, device);
  }
  ParameterStore& store() override {
    if constexpr (owns_store) return layer_.store();
    return store_;
  }
  bool initialise(std::uint64_t seed) override {
    constexpr bool seeded = requires {
      layer_.initialise(seed);
    };
    constexpr bool fixed = requires {
      layer_.initialise();
    };
    if constexpr (seeded) layer_.initialise(seed);
    if constexpr (fixed) layer_.initialise();
    return seeded || fixed;
  }
  void infer(Context& ctx, ConstTensorView x, TensorView y) const override { layer_.infer(ctx, x, y); }
  void forward(Context& ctx, std::uint64_t step, ConstTensorView x, TensorView y) override {
    auto& cache = cache_of(ctx);
    if constexpr (requires { cache.step; }) cache.step = step;
    layer_.forward(ctx, x, y, cache);
  }
  void backward(Context& ctx, ConstTensorView dy, TensorView dx) override {
    layer_.backward(ctx, cache_of(ctx), dy, dx);
  }

 private:
  typename Layer::Cache& cache_of(Context& ctx) {
    return caches_.at(static_cast<std::size_t>(ctx.team().rank()));
  }
  ParameterStore store_;
  Layer layer_;
  std::vector<typename Layer::Cache> caches_;
};

struct LayerCase {
  std::string name;
  std::int64_t inputs = 0, outputs = 0;
  std::function<std::unique_ptr<AnyLayer>(DType, Device)> make;
  bool batch_statistics = false;  ///< forward uses those of the batch
  bool dropout = false;
  double f32_tolerance = 1e-5;  ///< share of the largest value of an array, f32 against f64
};

/// A case for a layer made by make(store, dtype, device); a layer that owns its store ignores the first
/// argument.
template <class Make>
LayerCase layer_case(std::string name, std::int64_t inputs, std::int64_t outputs, Make make) {
  using Layer = decltype(make(std::declval<ParameterStore&>(), DType::f32, Device{}));
  LayerCase c;
  c.name = std::move(name);
  c.inputs = inputs;
  c.outputs = outputs;
  c.make = [make](DType dtype, Device device) {
    return std::make_unique<WrappedLayer<Layer>>(make, dtype, device);
  };
  return c;
}

void check_layer(const LayerCase& layer_case);

/// Random values for all parameters and buffers, exact in f32: nothing stays at a special value such as 0
/// or 1.
void randomise(ParameterStore& store, std::uint64_t seed);

}  // namespace emshap::test
