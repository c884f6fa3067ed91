#include "emshap/ops/energy_loss.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "cuda/compare_op.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

void check_all(std::int64_t B, std::int64_t K) {
  const std::string at = fmt::format(", {} rows of {} draws", B, K);
  const auto scores = random_values(B * (1 + K), 1, 2), log_w = random_values(B * K, 2, 2);
  const Tolerance t{1e-6, 1e-5};
  for (const EnergyLoss kind : {EnergyLoss::binary_nce, EnergyLoss::ranking_nce, EnergyLoss::importance}) {
    compare_op(
        to_string(kind) + at,
        [&](Side& s) {
          const TensorView loss = s.out("loss", {1});
          ops::energy_loss(s.ctx(), kind, s.in(scores, {B, 1 + K}), s.in({1.5}, {1}), loss,
                           s.out("dscores", {B, 1 + K}));
        },
        t);
    compare_op(
        to_string(kind) + at + ", in place",
        [&](Side& s) {
          const TensorView loss = s.out("loss", {1}), both = s.inout("scores", scores, {B, 1 + K});
          ops::energy_loss(s.ctx(), kind, both, {}, loss, both);
        },
        t);
    compare_op(
        to_string(kind) + at + ", no gradient",
        [&](Side& s) {
          ops::energy_loss(s.ctx(), kind, s.in(scores, {B, 1 + K}), {}, s.out("loss", {1}), {});
        },
        t);
  }
  compare_op("importance_weights" + at,
             [&](Side& s) {
               const TensorView both = s.inout("log_w", log_w, {B, K});
               ops::importance_weights(s.ctx(), both, both, s.out("summary", {B, 3}));
             },
             {1e-5, 1e-5});
}

/// The limit on each side; equal, since a limit is one of the scores.
void check_limit(const std::vector<double>& scores, std::int64_t B, std::int64_t K, double share) {
  const auto limit_of = [&](Backend backend) {
    const auto ctx = make_context(backend);
    const Tensor s = make_tensor(scores, {B, 1 + K}, DType::f32, ctx->device());
    Tensor limit = make_tensor(std::vector<double>{-7}, {1}, DType::f32, ctx->device());
    ops::score_limit(*ctx, share, s, limit);
    ctx->synchronize();
    return to_doubles(limit);
  };
  for (const Backend backend : backends())
    if (backend == Backend::cuda)
      check_same_bits(fmt::format("score_limit, {} rows of {} draws, share {}", B, K, share),
                      limit_of(backend), limit_of(cpu_levels().front()));
}

}  // namespace

TEST_CASE("energy losses and importance weights on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 7, 8, 9, 33}) check_all(B, 16);
  for (const std::int64_t K : {1, 2, 30, 31, 32, 33, 100}) check_all(5, K);
}

TEST_CASE("more rows than a grid has warps") {
  check_all(1056 * 8 + 9, 1);
}

TEST_CASE("rows of importance weights without any weight") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const std::vector<double> rows{-inf, -inf, -inf, 0, -inf, not_a_number};
    const Tensor log_w = make_tensor(rows, {2, 3}, DType::f32, ctx->device());
    Tensor weights(Shape{2, 3}, DType::f32, ctx->device()), summary(Shape{2, 3}, DType::f32, ctx->device());
    ops::importance_weights(*ctx, log_w, weights, summary);
    ctx->synchronize();
    const auto w = to_doubles(weights), s = to_doubles(summary);
    CHECK(w[0] == doctest::Approx(1. / 3));
    CHECK(s[0] == -inf);
    CHECK(s[1] == 0);
    CHECK(s[2] == inf);
    CHECK(std::isnan(w[3]));
    CHECK(std::isnan(s[3]));
  }
}

TEST_CASE("score_limit finds the same score as the CPU") {
  check_limit({}, 0, 3, .5);
  check_limit({4}, 1, 0, .5);
  for (const std::int64_t B : {1, 2, 33, 300})
    for (const std::int64_t K : {1, 16, 31})
      for (const double share : {1e-9, .25, .5, .999, 1.})
        check_limit(random_values(B * (1 + K), static_cast<std::uint64_t>(B + K), 3), B, K, share);
  const std::vector<double> odd{9, 0., -0., inf, -inf, 1, 1, 1, -1, 1e-40, -1e-40, 1e30};
  const std::vector<double> broken{9, not_a_number, -0., not_a_number, -inf, 1, not_a_number, not_a_number};
  for (int i = 1; i <= 11; ++i) check_limit(odd, 1, 11, i / 11.);
  for (int i = 1; i <= 7; ++i) check_limit(broken, 1, 7, i / 7.);
  check_limit({1, not_a_number, not_a_number}, 1, 2, .5);
}
