// Pieces of functions and raw rows of draws against plain searches and the CPU's tables.
#include "emshap/ops/pieces.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/on_device.h"
#include "data/draw_map.h"
#include "data/space_support.h"
#include "emshap/core/error.h"
#include "math/pieces.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("pieces that have begun, counted as std::upper_bound does") {
  std::vector<double> begin;
  for (int n = 0; n < 70; ++n) {
    for (double x = -1; x < n + 1; x += .5)
      CHECK(math::pieces_begun(begin.data(), n, x) ==
            std::upper_bound(begin.begin(), begin.end(), x) - begin.begin());
    CHECK(math::pieces_begun(begin.data(), n, std::numeric_limits<double>::quiet_NaN()) == 0);
    begin.push_back(n);
  }
}

TEST_CASE("small: find_pieces gives piece and distance, within bounds") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    OnDevice memory(ctx->device());
    const auto sent = [&](const auto& values) {
      return memory.copy(Tensor::from(values, {static_cast<std::int64_t>(values.size())}));
    };
    // Three features of 1, 2 and 40 pieces, in raw columns 4, 0 and 2.
    const std::vector<std::int32_t> first{0, 1, 3, 43}, column{4, 0, 2};
    std::vector<float> begin{-infinity, -infinity, .5f, -infinity}, origin{.25f, .5f, .5f};
    for (int i = 1; i < 40; ++i) begin.push_back(static_cast<float>(i * i) * .01f - 3);
    for (int i = 0; i < 40; ++i) origin.push_back(static_cast<float>(i) * .1f);
    const std::vector<float> low{-1, -100, -2}, high{2, 100, 5};
    const ops::Pieces pieces{sent(first), sent(begin), sent(origin), sent(low), sent(high)};
    for (const std::int64_t B : {0, 1, 33, 300}) {
      const std::vector<double> x = random_values(B * 5, 3, 3);
      Tensor raw = make_tensor(x, {B, 5}, DType::f32);
      if (B > 20) {
        raw.ptr<float>()[5 * 20] = .5f;       // where a piece begins
        raw.ptr<float>()[5 * 19 + 2] = -3.f;  // below its bound
        raw.ptr<float>()[5 * 18 + 2] = infinity;
      }
      const TensorView index = memory.make({B, 3}, DType::i32), wide = memory.make({B, 5});
      const TensorView factor = wide.columns(1, 3);
      ops::find_pieces(*ctx, pieces, sent(column), memory.copy(raw), index, factor);
      const std::vector<std::int32_t> got = integers_of(index);
      const std::vector<double> away = to_doubles(factor);
      for (std::int64_t i = 0; i < 3 * B; ++i) {
        const auto t = static_cast<std::size_t>(i % 3);
        const float value = std::clamp(raw.ptr<float>()[i / 3 * 5 + column[t]], low[t], high[t]);
        std::int32_t piece = first[t];
        while (piece + 1 < first[t + 1] && begin[static_cast<std::size_t>(piece) + 1] <= value) ++piece;
        CHECK(got[static_cast<std::size_t>(i)] == piece);
        CHECK(static_cast<float>(away[static_cast<std::size_t>(i)]) ==
              value - origin[static_cast<std::size_t>(piece)]);
      }
    }
  }
}

TEST_CASE("small: completed rows are the draw map's, bit for bit, and what is outside is counted") {
  std::vector<double> tied, few, same;
  const std::vector<double> z = normals(600, 3), e = exponentials(600, 4);
  for (const double v : normals(600, 5)) {
    tied.push_back(std::round(20 * std::exp(v)) / 10);
    few.push_back(v < -.5 ? -7 : v < 1 ? 0 : 2);
    same.push_back(4);
  }
  const Table table = table_of({{"z", z}, {"e", e}, {"same", same}, {"tied", tied}, {"few", few}});
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    OnDevice memory(ctx->device());
    for (const FeatureTransform transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
      const FeatureSpace space = fitted(table, transform);
      const DrawMap map(space);
      const DeviceDrawMap there = map.on_device(ctx->device());
      const std::int64_t F = space.features(), D = space.inputs();
      for (const std::int64_t B : {0, 1, 7})
        for (const std::int64_t K : {1, 33}) {
          Tensor draws = make_tensor(random_values(B * K * F, 7, 2), {B * K, F}, DType::f32),
                 raw = make_tensor(random_values(B * D, 8), {B, D}, DType::f32), mask({B, F}),
                 want({B * K, D});
          for (std::int64_t i = 0; i < B * F; ++i) mask.ptr<float>()[i] = i % 3 == 0 ? 1.f : 0.f;
          if (B > 1) {
            draws.ptr<float>()[1] = infinity;
            draws.ptr<float>()[2] = -1e30f;
          }
          std::int64_t outside = 0;
          for (std::int64_t b = 0; b < B; ++b) {
            float* to = want.ptr<float>() + b * K * D;
            for (std::int64_t k = 0; k < K; ++k) std::copy_n(raw.ptr<float>() + b * D, D, to + k * D);
            for (std::int64_t t = 0; t < F; ++t)
              if (mask.ptr<float>()[b * F + t] == 0)
                outside += map.to_raw(t, draws.ptr<float>() + b * K * F + t, F, K, to + map.input(t), D);
          }
          const TensorView rows = memory.make({B * K, D}), counts = memory.make({2}, DType::i32);
          const ConstTensorView mask_there = memory.copy(mask), raw_there = memory.copy(raw);
          ops::complete_rows(*ctx, there.pieces(), there.lines(), there.feature(), memory.copy(draws),
                             mask_there, raw_there, rows, counts);
          check_same_bits("rows", to_doubles(rows), to_doubles(want));
          CHECK(integers_of(counts) == std::vector<std::int32_t>{static_cast<std::int32_t>(outside), 0});
          if (B < 2) continue;
          CHECK(outside > 0);
          draws.ptr<float>()[F + 1] = not_a_number;  // of an unknown feature
          draws.ptr<float>()[0] = not_a_number;      // of a known one
          ops::complete_rows(*ctx, there.pieces(), there.lines(), there.feature(), memory.copy(draws),
                             mask_there, raw_there, rows, counts);
          CHECK(integers_of(counts)[1] == 1);
        }
    }
  }
}

TEST_CASE("tensors in host memory are refused") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const Tensor column({1}, DType::i32), raw({1, 1});
    Tensor index({1, 1}, DType::i32), factor({1, 1});
    const Tensor first({2}, DType::i32), one({1});
    CHECK_THROWS_AS(ops::find_pieces(*ctx, {first, one, one, one, one}, column, raw, index, factor),
                    DeviceError);
  }
}
