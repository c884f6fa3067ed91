// Mixtures and categories, losses of the energy network, importance weights, gathering, masks. P pairs, C
// components, V categories, K draws.
#include "emshap/ops/density.h"
#include "emshap/ops/energy_loss.h"
#include "emshap/ops/gather.h"
#include "emshap/ops/masked_input.h"
#include "op_case.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

constexpr std::int64_t C = 5, V = 8, F = 20, D = 64;

std::string at(std::int64_t n) {
  return "/" + std::to_string(n);
}

void add_mixtures(std::int64_t p) {
  add_op("mixture_loss" + at(p), {f32_bytes(p * (6 * C + 5)), 0}, [=](Context& ctx, Operands& o) {
    const auto head = o.in({p, 3 * C}), mean = o.in({p}), log_sd = o.in({p}), x = o.in({p}),
               weight = o.in({p}, .5, 1), value = o.out({p}), dhead = o.out({p, 3 * C});
    return [=, &ctx] { ops::mixture_loss(ctx, head, mean, log_sd, x, weight, value, dhead); };
  });
  add_op("mixture_from_head" + at(p), {f32_bytes(p * (6 * C + 2)), 0}, [=](Context& ctx, Operands& o) {
    const auto head = o.in({p, 3 * C}), mean = o.in({p}), log_sd = o.in({p}), mixture = o.out({p, 3 * C});
    return [=, &ctx] { ops::mixture_from_head(ctx, head, mean, log_sd, {}, mixture); };
  });
  // Means and log standard deviations a few sd apart; the log-weights of a row need not be normalised to be
  // timed, but a quantile needs them to be: equal ones.
  std::vector<float> mixture;
  for (std::int64_t r = 0; r < p; ++r)
    for (std::int64_t c = 0; c < 3 * C; ++c)
      mixture.push_back(c < C       ? -1.6094379f
                        : c < 2 * C ? .2f * static_cast<float>((r + c) % 7)
                                    : -.1f * static_cast<float>(c % 4));
  add_op("mixture_draw" + at(p), {f32_bytes(p * (3 * C + 3)), 0}, [=](Context& ctx, Operands& o) {
    const auto m = o.given(mixture, {p, 3 * C}), u = o.in({p, 1}, .01, .99), x = o.out({p}),
               log_q = o.scratch({p});
    return [=, &ctx] { ops::mixture_draw(ctx, m, u, {}, x, log_q); };
  });
  add_op("mixture_log_density" + at(p), {f32_bytes(p * (3 * C + 2)), 0}, [=](Context& ctx, Operands& o) {
    const auto m = o.given(mixture, {p, 3 * C}), x = o.in({p}), value = o.out({p});
    return [=, &ctx] { ops::mixture_log_density(ctx, m, x, value); };
  });
  add_op("categorical_loss" + at(p), {f32_bytes(p * (2 * V + 3)), 0}, [=](Context& ctx, Operands& o) {
    const auto logits = o.in({p, V}), frequencies = o.in({V}, .1, .2), code = o.integers({p}, V),
               weight = o.in({p}, .5, 1), value = o.out({p}), dlogits = o.out({p, V});
    return [=, &ctx] { ops::categorical_loss(ctx, logits, frequencies, code, weight, value, dlogits); };
  });
}

void add_energy(std::int64_t b, std::int64_t k) {
  const std::string size = "/" + std::to_string(b) + "x" + std::to_string(1 + k);
  for (const EnergyLoss kind : {EnergyLoss::binary_nce, EnergyLoss::ranking_nce, EnergyLoss::importance})
    add_op(std::string("energy_loss_") + to_string(kind) + size, {f32_bytes(2 * b * (1 + k)), 0},
           [=](Context& ctx, Operands& o) {
             const auto scores = o.in({b, 1 + k}, -3, 3), loss = o.out({1}), dscores = o.out({b, 1 + k});
             return [=, &ctx] { ops::energy_loss(ctx, kind, scores, {}, loss, dscores); };
           });
  add_op("score_limit" + size, {f32_bytes(b * (1 + k)), 0}, [=](Context& ctx, Operands& o) {
    const auto scores = o.in({b, 1 + k}, -3, 3), limit = o.out({1});
    return [=, &ctx] { ops::score_limit(ctx, .999, scores, limit); };
  });
  add_op("importance_weights" + size, {f32_bytes(2 * b * k + 3 * b), 0}, [=](Context& ctx, Operands& o) {
    const auto w = o.in({b, k}, -3, 3), weights = o.out({b, k}), summary = o.out({b, 3});
    return [=, &ctx] { ops::importance_weights(ctx, w, weights, summary); };
  });
}

void add_gather(std::int64_t b) {
  add_op("gather_rows" + at(b), {f32_bytes(b * (2 * D + 1)), 0}, [=](Context& ctx, Operands& o) {
    const auto table = o.in({b, D}), index = o.integers({b}, b), y = o.out({b, D});
    return [=, &ctx] { ops::gather_rows(ctx, table, index, y); };
  });
  add_op("scatter_add_rows" + at(b), {f32_bytes(b * (D + 1) + 2 * F * D), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, D}), index = o.integers({b}, F), table = o.out({F, D});
    return [=, &ctx] { ops::scatter_add_rows(ctx, x, index, table); };
  });
  // Tables of the default predictor: 16 pieces a feature.
  add_op("sum_table_lines" + at(b),
         {f32_bytes(b * (2 * F + D) + 16 * F * 2 * D), 4. * static_cast<double>(b * F * D)},
         [=](Context& ctx, Operands& o) {
           const auto table = o.in({16 * F, 2 * D}), index = o.integers({b, F}, 16 * F),
                      factor = o.in({b, F}), base = o.in({D}), y = o.out({b, D});
           return [=, &ctx] { ops::sum_table_lines(ctx, table, index, factor, base, Activation::relu, y); };
         });
  add_op("random_masks" + at(b), {f32_bytes(3 * b * F), 0}, [=](Context& ctx, Operands& o) {
    const std::vector<double> sizes(F, 1. / F);
    const auto observed = o.in({b, F}, 1, 1), mask = o.out({b, F}), weight = o.out({b, F});
    return [=, &ctx] { ops::random_masks(ctx, {.seed = 3}, 0, sizes, 1, observed, mask, weight); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t p : {4096, 860160}) add_mixtures(rows(p));
  add_energy(rows(256), 16);
  add_energy(rows(4096), 16);
  add_energy(rows(1024), 128);
  for (const std::int64_t b : {4096, 131072}) add_gather(rows(b));
  return run_gpu_benchmarks(argc, argv);
}
