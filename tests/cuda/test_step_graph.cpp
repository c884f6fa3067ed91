#include <doctest/doctest.h>

#include <string>

#include <stdexcept>
#include <vector>

#include "core/staging.h"
#include "core/step_graph.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/elementwise.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// y <- rate y + x with a rate and values that change each step, and now and then another size or one op
/// more.
struct Walk {
  Walk(Backend backend, bool captured) : ctx(make_context(backend)), graph(captured) {
    y = make_tensor(random_values(40, 1), {40}, DType::f32, ctx->device());
  }
  std::int64_t rows(int step) const { return step % 5 == 4 ? 17 : 40; }
  void step(int number) {
    const std::int64_t n = rows(number);
    graph.run(*ctx, n, [&] {
      staging.begin(*ctx);
      const auto x = staging.take({n});
      const auto values = random_values(n, static_cast<std::uint64_t>(number) + 10);
      for (std::int64_t i = 0; i < n; ++i)
        x.host.ptr<float>()[i] = static_cast<float>(values[static_cast<std::size_t>(i)]);
      staging.send(*ctx);
      const TensorView part = y.view().columns(0, n).reshaped({n});
      scratch.ensure({n}, DType::f32, ctx->device());
      ops::affine(*ctx, part, .5 / (number + 1), number, scratch);
      if (number % 7 == 6) ops::multiply(*ctx, scratch, x.device, scratch);
      ops::add(*ctx, scratch, x.device, part);
    });
  }
  std::unique_ptr<Context> ctx;
  StepGraph graph;
  Staging staging;
  Tensor y, scratch;
};

}  // namespace

TEST_CASE("steps replayed from a graph give the bits of steps run plainly") {
  for (const Backend backend : backends()) {
    Walk plain(backend, false), replayed(backend, true);
    for (int i = 0; i < 30; ++i) {
      plain.step(i);
      replayed.step(i);
      if (i % 3 == 0) {
        plain.ctx->synchronize();
        replayed.ctx->synchronize();
        check_same_bits("y", to_doubles(replayed.y), to_doubles(plain.y));
      }
    }
    CHECK(plain.graph.replays() == 0);
    if (backend != Backend::cuda) continue;
    CHECK(replayed.graph.replays() == 28);
    CHECK(replayed.graph.broken() == 0);
    // One of 40 rows, one of 17, and anew where an op comes or goes: steps 6, 7, 13, 14 (17 rows), ...
    CHECK(replayed.graph.instances() >= 4);
    CHECK(replayed.graph.instances() <= 12);
  }
}

TEST_CASE("a step that takes memory runs plainly, also when it is captured") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    StepGraph graph;
    Tensor buffer;
    for (int i = 1; i <= 6; ++i) {
      const std::int64_t n = i <= 3 ? 10 : 100000;
      graph.run(*ctx, 1, [&] {
        buffer.ensure({n}, DType::f32, ctx->device());
        ops::fill(*ctx, i, buffer);
      });
      ctx->synchronize();
      check_same_bits("filled", to_doubles(buffer),
                      std::vector<double>(static_cast<std::size_t>(n), static_cast<double>(i)));
    }
    CHECK(graph.broken() == 1);
    CHECK(graph.replays() == 3);
  }
}

TEST_CASE("a step that cannot be captured runs plainly for good, and says why") {
  for (const Backend backend : backends()) {
    const auto ctx = make_context(backend);
    StepGraph graph;
    const bool gpu = backend == Backend::cuda;
    for (int i = 0; i < 9; ++i) {
      Tensor y;
      graph.run(*ctx, 1, [&] {
        y = Tensor({8}, DType::f32, ctx->device());
        ops::fill(*ctx, i, y);
      });
      ctx->synchronize();
      check_same_bits("y", to_doubles(y), std::vector<double>(8, i));
      CHECK((graph.given_up() != nullptr) == (gpu && i >= 4));  // two plain steps, three broken captures
    }
    CHECK(graph.broken() == (gpu ? 3 : 0));
    if (gpu) CHECK(std::string(graph.given_up()) == "memory is taken");
  }
}

TEST_CASE("an error within a captured step leaves the context usable") {
  for (const Backend backend : backends()) {
    const auto ctx = make_context(backend);
    StepGraph graph;
    Tensor y({8}, DType::f32, ctx->device());
    for (int i = 0; i < 3; ++i) graph.run(*ctx, 8, [&] { ops::fill(*ctx, i, y); });
    CHECK_THROWS_AS(graph.run(*ctx, 8,
                              [&] {
                                ops::fill(*ctx, 7, y);
                                throw std::runtime_error("step");
                              }),
                    std::runtime_error);
    graph.run(*ctx, 8, [&] { ops::affine(*ctx, y, 1, 1, y); });
    ctx->synchronize();
    // On a GPU nothing of the failed step was done.
    check_same_bits("y", to_doubles(y), std::vector<double>(8, backend == Backend::cuda ? 3 : 8));
  }
}
