#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "core/memory.h"
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

void write(TensorView host, double value) {
  for (std::int64_t i = 0; i < host.elements(); ++i)
    host.ptr<float>()[i] = static_cast<float>(value + static_cast<double>(i));
}

std::vector<double> expected(std::int64_t count, double value) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(value + static_cast<double>(i));
  return values;
}

}  // namespace

TEST_CASE("what the host writes arrives on every device, step after step, without further memory") {
  for (const Backend backend : backends()) {
    const auto ctx = make_context(backend);
    Staging staging;
    staging.reserve(ctx->device(), 4096);
    Tensor kept({3, 5}, DType::f32, ctx->device());
    std::int64_t blocks = 0;
    for (int step = 0; step < 7; ++step) {
      if (step == 2) blocks = allocation_count();
      staging.begin(*ctx);
      const auto first = staging.take({3, 5});
      const auto list = staging.take<std::int32_t>(step);  // 0 as well
      write(first.host, step);
      for (int i = 0; i < step; ++i) list.host[i] = 100 * step + i;
      staging.send(*ctx);
      ops::copy(*ctx, first.device, kept);
      const auto second = staging.take({2});  // a second piece of the same step
      write(second.host, -step);
      staging.send(*ctx);
      CHECK(allocation_count() == (step < 2 ? allocation_count() : blocks));
      ctx->synchronize();
      check_same_bits("first", to_doubles(kept), expected(15, step));
      check_same_bits("second", to_doubles(second.device), expected(2, -step));
      std::vector<std::int32_t> back(static_cast<std::size_t>(step));
      copy_bytes(back.data(), Device{}, list.device, ctx->device(), step * 4);
      for (int i = 0; i < step; ++i) CHECK(back[static_cast<std::size_t>(i)] == 100 * step + i);
      if (backend != Backend::cuda) CHECK(first.host.data() == first.device.data());
      blocks = allocation_count();  // to_doubles takes some
    }
  }
}

TEST_CASE("room grows with the steps and what was taken before stays where it is") {
  for (const Backend backend : backends()) {
    const auto ctx = make_context(backend);
    Staging staging;
    for (int step = 0; step < 3; ++step) {
      staging.begin(*ctx);
      const auto small = staging.take({4});
      write(small.host, 1);
      const auto large = staging.take({300, 300});
      write(large.host, 2);
      const auto larger = staging.take({1000, 300});
      write(larger.host, 3);
      staging.send(*ctx);
      ctx->synchronize();
      check_same_bits("small", to_doubles(small.device), expected(4, 1));
      check_same_bits("large", to_doubles(large.device), expected(90000, 2));
      check_same_bits("larger", to_doubles(larger.device), expected(300000, 3));
    }
  }
}

TEST_CASE("a captured step may not begin twice") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    Staging staging;
    StepGraph graph;
    int times = 1;
    const auto step = [&] {
      for (int i = 0; i < times; ++i) {
        staging.begin(*ctx);
        write(staging.take({4}).host, i);
        staging.send(*ctx);
      }
    };
    for (int i = 0; i < 3; ++i) graph.run(*ctx, 4, step);
    CHECK(graph.replays() == 1);
    times = 2;
    CHECK_THROWS_WITH_AS(graph.run(*ctx, 4, step), doctest::Contains("begin was called twice"), Error);
    times = 1;
    graph.run(*ctx, 4, step);  // the failed capture left nothing behind
    CHECK(graph.replays() == 2);
  }
}
