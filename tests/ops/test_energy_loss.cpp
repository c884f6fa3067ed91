#include "emshap/ops/energy_loss.h"

#include <algorithm>
#include <limits>

#include "op_test.h"
#include "support/golden.h"
#include "support/gradient_check.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr EnergyLoss all_kinds[] = {EnergyLoss::binary_nce, EnergyLoss::ranking_nce, EnergyLoss::importance};
const double infinity = std::numeric_limits<double>::infinity();

double softplus(double x) {
  return std::max(x, 0.) + std::log1p(std::exp(-std::abs(x)));
}

double reference(EnergyLoss kind, const Values& s, std::int64_t B, std::int64_t K, double limit) {
  double total = 0;
  for (std::int64_t b = 0; b < B; ++b) {
    const double* row = s.data() + b * (1 + K);
    double soft = 0, sum = 0;
    for (std::int64_t k = 1; k <= K; ++k) {
      soft += softplus(std::min(row[k], limit));
      sum += std::exp(std::min(row[k], limit));
    }
    const auto n = static_cast<double>(K);
    if (kind == EnergyLoss::binary_nce) total += softplus(-row[0]) + soft / n;
    if (kind == EnergyLoss::ranking_nce) total += -row[0] + std::log(std::exp(row[0]) + sum);
    if (kind == EnergyLoss::importance) total += -row[0] + std::log(sum) - std::log(n);
  }
  return B == 0 ? 0 : total / static_cast<double>(B);
}

}  // namespace

TEST_CASE("energy losses equal their definition at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const EnergyLoss kind : all_kinds)
        for (const std::int64_t B : {0, 1, 31, 64, 65, 200})
          for (const std::int64_t K : {1, 16, 33}) {
            CAPTURE(B);
            CAPTURE(K);
            const Values s = random_values(B * (1 + K), 3, 0, 2);
            const Matrix scores(s, B, 1 + K, dtype, 2);
            Matrix loss(1, 1, dtype), dscores(B, 1 + K, dtype, 1);
            const double eps = tolerance(dtype, 1e-6, 1e-13);
            ops::energy_loss(ctx, kind, scores, {}, loss.flat(), dscores);
            check_close(loss.values(), {reference(kind, s, B, K, infinity)}, eps, eps);
            ops::energy_loss(ctx, kind, scores, Matrix({1.5}, 1, 1, dtype).flat(), loss.flat(), {});
            check_close(loss.values(), {reference(kind, s, B, K, 1.5)}, eps, eps);
            CHECK(dscores.gaps_intact());
          }
  }
}

TEST_CASE("energy losses and gradients equal PyTorch's") {
  const Golden golden("energy_loss");
  const auto& scores = golden["scores"];
  const std::int64_t B = scores.shape.rows(), N = scores.shape.cols();
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const EnergyLoss kind : all_kinds) {
      const std::string name = to_string(kind);
      Matrix loss(1, 1, DType::f64), dscores(B, N, DType::f64);
      ops::energy_loss(ctx, kind, Matrix(scores.values, B, N, DType::f64), {}, loss.flat(), dscores);
      check_close(loss.values(), golden[name + ".loss"].values, 0, 1e-12);
      check_close(dscores.values(), golden[name + ".dscores"].values, 1e-15, 1e-11);
    }
  }
}

TEST_CASE("gradients equal central differences; clipped scores have none; extremes stay finite") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const EnergyLoss kind : all_kinds) {
      const std::int64_t B = 7, K = 5;
      Values s = random_values(B * (1 + K), 8, 0, 1.5);
      Matrix limit({1.}, 1, 1, DType::f64);
      const auto loss_at = [&] {
        Matrix loss(1, 1, DType::f64);
        ops::energy_loss(ctx, kind, Matrix(s, B, 1 + K, DType::f64), limit.flat(), loss.flat(), {});
        return loss.values()[0];
      };
      Matrix loss(1, 1, DType::f64), gradient(B, 1 + K, DType::f64);
      ops::energy_loss(ctx, kind, Matrix(s, B, 1 + K, DType::f64), limit.flat(), loss.flat(), gradient);
      const Values g = gradient.values();
      int clipped = 0;
      for (std::size_t i = 0; i < s.size(); ++i)
        if (i % (1 + K) != 0 && s[i] > 1) {
          CHECK(g[i] == 0);
          ++clipped;
        }
      CHECK(clipped > 0);
      check_gradient("scores", s, g, loss_at);

      const Values extreme{1e30, -1e30, 1e30, 500, -500, 0};
      Matrix far(extreme, 1, 6, DType::f32), dfar(1, 6, DType::f32), value(1, 1, DType::f32);
      ops::energy_loss(ctx, kind, far, {}, value.flat(), dfar);
      CHECK(std::isfinite(value.values()[0]));
      for (const double v : dfar.values()) CHECK(std::isfinite(v));
    }
  }
}

TEST_CASE("the loss and the limit of a team's batch have the same bits on any number of threads") {
  for (const Backend level : levels())
    for (const EnergyLoss kind : all_kinds)
      check_same_bits_on_teams(level, [&](TeamPool& pool) {
        const std::int64_t B = 301, K = 16;
        Matrix scores(random_values(B * (1 + K), 12), B, 1 + K, DType::f32), gradient(B, 1 + K, DType::f32);
        Values results;
        std::vector<Values> of_member(8);
        pool.run(B, [&](Context& ctx, const ShardPlan& plan) {
          Matrix limit(1, 1, DType::f32), loss(1, 1, DType::f32);
          ops::score_limit(ctx, .99, local(scores, plan), limit.flat());
          ops::energy_loss(ctx, kind, local(scores, plan), limit.flat(), loss.flat(), local(gradient, plan));
          of_member[static_cast<std::size_t>(ctx.team().rank())] = {limit.values()[0], loss.values()[0]};
        });
        for (const Values& v : of_member)
          if (!v.empty()) CHECK(same_bits(v, of_member[0]));
        results = gradient.values();
        results.insert(results.end(), of_member[0].begin(), of_member[0].end());
        return results;
      });
}

TEST_CASE("the limit is the order statistic of the draws' scores") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t B : {1, 3, 100}) {
        const std::int64_t K = 10;
        Values s = random_values(B * (1 + K), 21, 0, 100);
        s[3] = -infinity;
        s[7] = infinity;
        const Matrix scores(s, B, 1 + K, dtype, 1);
        Values draws;
        for (std::size_t i = 0; i < s.size(); ++i)
          if (i % (1 + K) != 0) draws.push_back(s[i]);
        std::sort(draws.begin(), draws.end());
        for (const double share : {.001, .5, .9, .999, 1.}) {
          Matrix limit(1, 1, dtype);
          ops::score_limit(ctx, share, scores, limit.flat());
          const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(draws.size())));
          CHECK(limit.values()[0] == draws[rank - 1]);
        }
      }
    Matrix none(1, 1, DType::f32);
    ops::score_limit(ctx, .9, Matrix(0, 4, DType::f32), none.flat());
    CHECK(none.values()[0] == infinity);
  }
}

TEST_CASE("importance weights: equal ones, one that carries all, log Z against a closed form") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::int64_t K = 64;
      Values log_w(4 * K, 2.);
      for (std::int64_t k = 0; k < K; ++k) {
        log_w[static_cast<std::size_t>(K + k)] = k == 5 ? 700 : -700;
        log_w[static_cast<std::size_t>(2 * K + k)] = -infinity;
        log_w[static_cast<std::size_t>(3 * K + k)] = k % 2 == 0 ? std::log(3.) : 0;
      }
      Matrix summary(4, 3, dtype), weights(log_w, 4, K, dtype);
      ops::importance_weights(ctx, weights, weights, summary);
      const Values w = weights.values(), s = summary.values();
      CHECK(w[0] == 1. / 64);
      CHECK(w[static_cast<std::size_t>(K + 5)] == 1);
      CHECK(w[static_cast<std::size_t>(K)] == 0);
      CHECK(w[static_cast<std::size_t>(2 * K)] == 1. / 64);
      check_close({s[0], s[1], s[2]}, {2, 64, 0}, 1e-6, 1e-6);
      check_close({s[3], s[4], s[5]}, {700 - std::log(64.), 1, 1}, 1e-4, 1e-6);
      CHECK(s[6] == -infinity);
      CHECK(s[7] == 0);
      // Weights 3 and 1: mean 2, ess = 64 4 / 5; variance over squared mean = 1 / 4.
      check_close({s[9], s[10], s[11]}, {std::log(2.), 51.2, std::sqrt(.25 / 63)}, 1e-6, 1e-6);
    }
  }
}

TEST_CASE("names and shapes that are wrong are refused") {
  Context ctx;
  for (const EnergyLoss kind : all_kinds) CHECK(parse_energy_loss(to_string(kind)) == kind);
  CHECK_THROWS_AS(parse_energy_loss("nce"), ConfigError);
  Matrix scores(3, 1, DType::f32), loss(1, 1, DType::f32), draws(3, 4, DType::f32);
  CHECK_THROWS_AS(ops::energy_loss(ctx, EnergyLoss::importance, scores, {}, loss.flat(), {}), ShapeError);
  CHECK_THROWS_AS(ops::energy_loss(ctx, EnergyLoss::importance, draws, {}, loss.flat(), scores), ShapeError);
  CHECK_THROWS_AS(ops::score_limit(ctx, 0, draws, loss.flat()), ConfigError);
  CHECK_THROWS_AS(ops::importance_weights(ctx, draws, {}, scores), ShapeError);
}
