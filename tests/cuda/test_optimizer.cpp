#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "cuda/compare_op.h"
#include "emshap/ops/optimizer.h"
#include "math/launch_shape.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Values = std::vector<double>;

/// Elements [skip, n) of an operand, so that buffers begin where four floats are not aligned.
TensorView tail(const TensorView& v, std::int64_t skip) {
  return {
      static_cast<char*>(v.data()) + skip * size_of(v.dtype()), {v.elements() - skip}, v.dtype(), v.device()};
}

Values squares(Values values) {
  for (double& v : values) v *= v;
  return values;
}

struct AdamCase {
  std::int64_t n, skip;
  double scale;  // negative: not given
  bool mask;
};

void check_adam(const AdamCase& c, bool decoupled) {
  const Values g = random_values(c.n, 1), w = random_values(c.n, 2), m = random_values(c.n, 3, .1),
               v = squares(random_values(c.n, 4, .1));
  Values mask(static_cast<std::size_t>(c.n));
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 == 0 ? 0 : 1;
  AdamOptions options;
  options.weight_decay = .1;
  options.decoupled = decoupled;
  compare_op(fmt::format("adam_step, n {}, from {}, scale {}, mask {}, decoupled {}", c.n, c.skip, c.scale,
                         c.mask, decoupled),
             [&](Side& s) {
               const Shape flat{c.n};
               ops::adam_step(s.ctx(), options, 3, tail(s.in(g, flat), c.skip),
                              c.scale < 0 ? TensorView() : s.in({c.scale}, {1}),
                              c.mask ? tail(s.in(mask, flat), c.skip) : TensorView(),
                              tail(s.inout("w", w, flat), c.skip), tail(s.inout("m", m, flat), c.skip),
                              tail(s.inout("v", v, flat), c.skip));
             },
             {1e-7, 1e-6});
}

void check_clip(const std::string& what, const Values& g, double max_norm, Tolerance t = {1e-6, 1e-6}) {
  const auto n = static_cast<std::int64_t>(g.size());
  compare_op(
      fmt::format("clip_scale, {}, n {}, max_norm {}", what, n, max_norm),
      [&](Side& s) {
        ops::clip_scale(s.ctx(), s.in(g, {n}), max_norm, s.out("norm", {1}), s.out("scale", {1}));
      },
      t);
}

}  // namespace

TEST_CASE("small: Adam on every device equals the CPU in double") {
  for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 7, 31, 32, 33, 130})
    for (const bool decoupled : {false, true})
      for (const bool mask : {false, true})
        for (const double scale : {-1., .25}) check_adam({n, 0, scale, mask}, decoupled);
  check_adam({100, 0, 0, true}, true);  // a factor of 0 skips the step
}

TEST_CASE("small: Adam where the buffers are not aligned") {
  for (const std::int64_t skip : {1, 2, 3, 4}) check_adam({77, skip, .5, true}, true);
}

TEST_CASE("large: Adam at sizes where a block of four elements a thread is full") {
  for (const std::int64_t n : sizes_around(4 * math::pointwise_threads)) check_adam({n, 0, .5, true}, true);
  check_adam({20001, 1, .5, false}, true);
}

TEST_CASE("small: the clipping factor on every device equals the CPU in double") {
  for (const std::int64_t n : {0, 1, 2, 31, 33, 1000})
    for (const double max_norm : {0., .5, 1e3}) check_clip("any", random_values(n, 5), max_norm);
}

TEST_CASE("large: the clipping factor") {
  for (const std::int64_t n : sizes_around(8 * math::pointwise_threads))
    check_clip("any", random_values(n, 5), 1);
}

TEST_CASE("a gradient that is not finite gets the factor 0") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    for (const double bad :
         {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
      Values g = random_values(5000, 6);
      g[4321] = bad;
      const Tensor there = make_tensor(g, {5000}, DType::f32, device_of(backend));
      Tensor norm({1}, DType::f32, device_of(backend)), scale({1}, DType::f32, device_of(backend));
      ops::clip_scale(*ctx, there, 1, norm, scale);
      ctx->synchronize();
      CHECK_FALSE(std::isfinite(to_doubles(norm)[0]));
      CHECK(to_doubles(scale)[0] == 0);
    }
  }
}

TEST_CASE("large: moving averages on every device equal the CPU in double") {
  for (const std::int64_t n : sizes_around(math::pointwise_threads)) {
    const Values w = random_values(n, 7), average = random_values(n, 8);
    compare_op(
        fmt::format("ema_update, n {}", n),
        [&](Side& s) { ops::ema_update(s.ctx(), .99, s.in(w, {n}), s.inout("average", average, {n})); },
        {1e-7, 1e-6});
  }
}
