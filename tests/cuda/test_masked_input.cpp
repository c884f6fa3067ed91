#include "emshap/ops/masked_input.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>

#include "cuda/compare_op.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

std::vector<double> zeros_and_ones(std::int64_t count, std::uint64_t seed, double above) {
  std::vector<double> v = random_values(count, seed);
  for (double& x : v) x = x > above ? 1 : 0;
  return v;
}

std::vector<double> masks(Backend backend, std::int64_t B, std::int64_t F) {
  const auto ctx = make_context(backend);
  const auto device = ctx->device();
  const Tensor observed = make_tensor(zeros_and_ones(B * F, 3, -1), {B, F}, DType::f32, device);
  Tensor mask(Shape{B, F}, DType::f32, device), weight(Shape{B, F}, DType::f32, device);
  std::vector<double> sizes;
  for (std::int64_t a = 0; a < F; ++a) sizes.push_back(static_cast<double>((a * 5) % 7) / 3);
  const RandomKey key{.seed = 8, .purpose = RandomPurpose::masking, .layer = 0, .step = 4};
  ops::random_masks(*ctx, key, 11, sizes, 1.7, observed, mask, weight);
  sizes.assign(sizes.size(), -1);  // the op has its own by now
  ctx->synchronize();
  std::vector<double> both = to_doubles(mask), weights = to_doubles(weight);
  both.insert(both.end(), weights.begin(), weights.end());
  return both;
}

void check_masks(std::int64_t B, std::int64_t F) {
  for (const Backend backend : backends())
    if (backend == Backend::cuda)
      check_same_bits(fmt::format("random_masks, {} x {}", B, F), masks(backend, B, F),
                      masks(cpu_levels().front(), B, F));
}

/// Features with 0 or more categories in turn.
void check_input(std::int64_t B, std::int64_t F, bool categories) {
  auto x = random_values(B * F, 1);
  const auto mask = zeros_and_ones(B * F, 2, 0), mu = random_values(B * F, 3),
             log_sd = random_values(B * F, 4);
  std::vector<std::int32_t> code, offset{0};
  for (std::int64_t t = 0; t < F; ++t) offset.push_back(offset.back() + (categories ? (t * 2) % 5 : 0));
  for (std::size_t i = 0; i < x.size(); ++i) {
    code.push_back(static_cast<std::int32_t>(i % 6) - 1);  // some outside
    if (mask[i] == 0) x[i] = std::numeric_limits<double>::quiet_NaN();
  }
  const std::int64_t V = offset.back();
  const Shape shape{B, F};
  compare_op(fmt::format("masked_input, {} x {}, {} categories", B, F, V),
             [&](Side& s) {
               ops::masked_input(s.ctx(), s.in(x, shape), s.in(mask, shape), s.in(mu, shape),
                                 s.in(log_sd, shape), V > 0 ? s.integers(code, shape) : ConstTensorView(),
                                 V > 0 ? s.integers(offset, {F + 1}) : ConstTensorView(),
                                 s.out("y", {B, 4 * F + V}));
             },
             {0, 0});
}

}  // namespace

TEST_CASE("random masks have the CPU's bits") {
  for (const std::int64_t B : {0, 1, 2, 31, 32, 33, 300}) check_masks(B, 7);
  for (const std::int64_t F : {1, 3, 4, 31, 32, 33, 65}) check_masks(33, F);
  check_masks(40, 500);  // too wide for shared memory, more sizes than one kernel's arguments hold
}

TEST_CASE("masked input on every device equals the CPU's") {
  for (const std::int64_t B : {0, 1, 2, 31, 32, 33})
    for (const bool categories : {false, true}) check_input(B, 9, categories);
  for (const std::int64_t F : {1, 2, 31, 32, 33}) check_input(5, F, true);
}
