#include "support/layer_harness.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/memory.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/gradient_check.h"

namespace emshap::test {
namespace {

constexpr std::int64_t sizes[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 129, 500};
constexpr std::uint64_t parameter_seed = 11, x_seed = 12, dy_seed = 13, step = 3;

struct Run {
  std::vector<double> y, dx, inferred, gradients, buffers;
};

struct RunOptions {
  int threads = 1;
  int backward_passes = 1;
  bool want_dx = true;
  bool strided = false;  ///< x, y, dy, dx are the middle columns of wider tensors
};

/// A (B, cols) tensor full of NaN, or columns of a wider one: what is not written shows.
class Block {
 public:
  Block(std::int64_t rows, std::int64_t cols, DType dtype, Device device, bool strided)
      : cols_(cols), pad_(strided ? 3 : 0) {
    const auto width = static_cast<std::size_t>(cols + 2 * pad_);
    const std::vector<double> nan(static_cast<std::size_t>(rows) * width,
                                  std::numeric_limits<double>::quiet_NaN());
    tensor_ = make_tensor(nan, {rows, static_cast<std::int64_t>(width)}, dtype, device);
  }
  Block(std::span<const double> values, std::int64_t rows, std::int64_t cols, DType dtype, Device device,
        bool strided)
      : Block(rows, cols, dtype, device, strided) {
    if (pad_ == 0) {
      tensor_ = make_tensor(values, {rows, cols}, dtype, device);
      return;
    }
    std::vector<double> wide = to_doubles(tensor_.view());
    const auto width = static_cast<std::size_t>(cols + 2 * pad_), offset = static_cast<std::size_t>(pad_);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto c = static_cast<std::size_t>(cols);
      wide[i / c * width + offset + i % c] = values[i];
    }
    tensor_ = make_tensor(wide, tensor_.shape(), dtype, device);
  }
  TensorView view() { return tensor_.view().columns(pad_, cols_); }
  std::vector<double> values() { return to_doubles(view()); }

 private:
  std::int64_t cols_, pad_;
  Tensor tensor_;
};

std::vector<double> all_gradients(ParameterStore& store) {
  return to_doubles(store.flat_gradients());
}

Run run(const LayerCase& c, AnyLayer& layer, Backend backend, DType dtype, std::int64_t B,
        RunOptions o = {}) {
  const Device device = device_of(backend);
  Block x(random_values(B * c.inputs, x_seed), B, c.inputs, dtype, device, o.strided);
  Block dy(random_values(B * c.outputs, dy_seed), B, c.outputs, dtype, device, o.strided);
  Block y(B, c.outputs, dtype, device, o.strided), inferred(B, c.outputs, dtype, device, o.strided);
  Block dx(B, c.inputs, dtype, device, o.strided);
  const auto pool = make_pool(o.threads, backend);
  pool->run(B, [&](Context& ctx, const ShardPlan& plan) {
    const auto mine = [&](Block& b) { return b.view().rows(plan.row_begin, plan.local_rows); };
    layer.store().clear_gradients(ctx);
    layer.forward(ctx, step, mine(x), mine(y));
    for (int i = 0; i < o.backward_passes; ++i)
      layer.backward(ctx, mine(dy), o.want_dx ? mine(dx) : TensorView());
    ctx.team().barrier();  // running statistics are there for all
    layer.infer(ctx, mine(x), mine(inferred));
    ctx.synchronize();
  });
  return {y.values(), o.want_dx ? dx.values() : std::vector<double>(), inferred.values(),
          all_gradients(layer.store()), to_doubles(layer.store().flat_buffers())};
}

std::unique_ptr<AnyLayer> fresh(const LayerCase& c, DType dtype, Backend backend = Backend::cpu_v2) {
  auto layer = c.make(dtype, device_of(backend));
  randomise(layer->store(), parameter_seed);
  return layer;
}

Run run_fresh(const LayerCase& c, Backend backend, DType dtype, std::int64_t B, RunOptions o = {}) {
  return run(c, *fresh(c, dtype, backend), backend, dtype, B, o);
}

void check_all_close(const std::string& what, const Run& got, const Run& ref, double tolerance) {
  const auto close = [&](const char* part, const std::vector<double>& a, const std::vector<double>& b) {
    check_close(what + ", " + part, a, b, {tolerance * std::max(1.0, max_abs(b)), tolerance});
  };
  close("y", got.y, ref.y);
  close("dx", got.dx, ref.dx);
  close("infer", got.inferred, ref.inferred);
  close("gradients", got.gradients, ref.gradients);
  close("buffers", got.buffers, ref.buffers);
}

void check_all_same(const std::string& what, const Run& got, const Run& ref) {
  check_same_bits(what + ", y", got.y, ref.y);
  check_same_bits(what + ", dx", got.dx, ref.dx);
  check_same_bits(what + ", infer", got.inferred, ref.inferred);
  check_same_bits(what + ", gradients", got.gradients, ref.gradients);
  check_same_bits(what + ", buffers", got.buffers, ref.buffers);
}

/// f32 and f64 of every backend against f64 of one thread on the processor's own level.
void check_values(const LayerCase& c) {
  for (const std::int64_t B : sizes) {
    const Run reference = run_fresh(c, cpu_backend(), DType::f64, B);
    for (const Backend backend : backends())
      for (const DType dtype : dtypes_of(backend)) {
        const std::string what =
            fmt::format("{}, B = {}, {} {}", c.name, B, to_string(backend), to_string(dtype));
        const Run got = run_fresh(c, backend, dtype, B);
        // Statistics of one or two rows divide by next to nothing.
        const double few = c.batch_statistics && B > 0 && B <= 2 ? 100 : 1;
        check_all_close(what, got, reference, few * (dtype == DType::f32 ? c.f32_tolerance : 1e-12));
        if (!c.batch_statistics && !c.dropout) {
          const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
          check_close(what + ", infer against forward", got.inferred, got.y,
                      {tolerance * max_abs(got.y), tolerance});
        }
      }
  }
}

void check_differences(const LayerCase& c) {
  constexpr std::int64_t B = 7;
  const auto layer = fresh(c, DType::f64);
  Context ctx;
  Tensor x = make_tensor(random_values(B * c.inputs, x_seed), {B, c.inputs}, DType::f64);
  Tensor dy = make_tensor(random_values(B * c.outputs, dy_seed), {B, c.outputs}, DType::f64);
  Tensor y({B, c.outputs}, DType::f64), dx({B, c.inputs}, DType::f64);
  const auto objective = [&] {
    layer->forward(ctx, step, x, y);
    double sum = 0;
    for (std::int64_t i = 0; i < y.elements(); ++i) sum += y.ptr<double>()[i] * dy.ptr<double>()[i];
    return sum;
  };
  objective();
  layer->store().clear_gradients(ctx);
  layer->backward(ctx, dy, dx);
  const auto span_of = [](TensorView v) {
    return std::span(v.ptr<double>(), static_cast<std::size_t>(v.elements()));
  };
  check_gradient(c.name + ", dx", span_of(x), to_doubles(dx.view()), objective);
  for (std::size_t i = 0; i < layer->store().parameters().size(); ++i) {
    const ParameterId id{static_cast<int>(i)};
    check_gradient(c.name + ", d " + layer->store().parameters()[i].name, span_of(layer->store().value(id)),
                   to_doubles(layer->store().gradient(id)), objective);
  }
}

void check_accumulation(const LayerCase& c) {
  for (const Backend backend : backends())
    for (const DType dtype : dtypes_of(backend)) {
      const std::string what = fmt::format("{}, {} {}", c.name, to_string(backend), to_string(dtype));
      const Run once = run_fresh(c, backend, dtype, 70);
      const Run twice = run_fresh(c, backend, dtype, 70, {.backward_passes = 2});
      std::vector<double> expected = once.gradients;
      for (double& g : expected) g *= 2;
      const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
      check_close(what + ", two backward passes", twice.gradients, expected,
                  {tolerance * max_abs(expected), tolerance});
      check_same_bits(what + ", dx of the second pass", twice.dx, once.dx);
      const Run without = run_fresh(c, backend, dtype, 70, {.want_dx = false});
      check_same_bits(what + ", gradients without dx", without.gradients, once.gradients);
      // Column sums may go another way over wide rows, so the bits of gradients may differ.
      check_all_close(what + ", strided", run_fresh(c, backend, dtype, 70, {.strided = true}), once,
                      dtype == DType::f32 ? c.f32_tolerance : 1e-12);
    }
}

void check_round_trip(const LayerCase& c) {
  for (const Backend backend : backends()) {
    const auto original = fresh(c, DType::f32, backend);
    const auto loaded = c.make(DType::f32, device_of(backend));
    REQUIRE(original->store().layout() == loaded->store().layout());
    const auto from = original->store().state(), to = loaded->store().state();
    REQUIRE(from.size() == to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      CHECK(std::string(from[i].name) == to[i].name);
      CHECK(from[i].view.elements() == to[i].view.elements());
      const std::int64_t bytes = from[i].view.elements() * size_of(DType::f32);
      std::vector<char> file(static_cast<std::size_t>(bytes));
      copy_bytes(file.data(), Device{}, from[i].view.data(), device_of(backend), bytes);
      copy_bytes(to[i].view.data(), device_of(backend), file.data(), Device{}, bytes);
    }
    const std::string what = fmt::format("{}, {}, loaded", c.name, to_string(backend));
    check_all_same(what, run(c, *loaded, backend, DType::f32, 33),
                   run(c, *original, backend, DType::f32, 33));
  }
}

void check_seeds(const LayerCase& c) {
  const auto initial = [&](DType dtype, std::uint64_t seed) {
    const auto made = c.make(dtype, {});
    made->initialise(seed);
    return to_doubles(made->store().flat_values());
  };
  const std::vector<double> wide = initial(DType::f64, 5);
  std::vector<double> rounded = wide;
  for (double& v : rounded) v = static_cast<double>(static_cast<float>(v));
  check_same_bits(c.name + ", initial values in f64", initial(DType::f64, 5), wide);
  check_same_bits(c.name + ", initial values in f32", initial(DType::f32, 5), rounded);
  const auto layer = c.make(DType::f32, {});
  bool has_weights = false;
  for (const auto& p : layer->store().parameters()) has_weights = has_weights || p.name.ends_with("weight");
  if (has_weights && layer->initialise(6)) CHECK(initial(DType::f64, 6) != wide);
  for (const Backend backend : backends())
    check_all_same(fmt::format("{}, {}, second run", c.name, to_string(backend)),
                   run_fresh(c, backend, DType::f32, 65), run_fresh(c, backend, DType::f32, 65));
}

void check_teams(const LayerCase& c) {
  for (const Backend backend : cpu_levels())
    for (const std::int64_t B : {0, 1, 64, 65, 129, 500}) {
      const Run alone = run_fresh(c, backend, DType::f32, B);
      for (const int threads : {2, 3, 7})
        check_all_same(fmt::format("{}, {}, B = {}, {} threads", c.name, to_string(backend), B, threads),
                       run_fresh(c, backend, DType::f32, B, {.threads = threads}), alone);
    }
}

}  // namespace

void randomise(ParameterStore& store, std::uint64_t seed) {
  for (std::size_t i = 0; i < store.parameters().size(); ++i) {
    const auto& p = store.parameters()[i];
    const bool gamma = p.name.ends_with("gamma");
    const double scale = p.shape.rank() == 2 ? 1 / std::sqrt(static_cast<double>(p.shape.rows())) : .4;
    store.set(ParameterId{static_cast<int>(i)},
              random_values(p.shape.elements(), seed + i, scale, gamma ? 1 : 0));
  }
  for (std::size_t i = 0; i < store.buffers().size(); ++i) {
    const auto& b = store.buffers()[i];
    std::vector<double> values = random_values(b.shape.elements(), seed + 1000 + i, .3);
    if (b.name.ends_with("var"))
      for (double& v : values) v = static_cast<double>(static_cast<float>(.5 + std::abs(v)));
    store.set(BufferId{static_cast<int>(i)}, values);
  }
}

void check_layer(const LayerCase& c) {
  check_values(c);
  check_differences(c);
  check_accumulation(c);
  check_round_trip(c);
  check_seeds(c);
  check_teams(c);
}

}  // namespace emshap::test
