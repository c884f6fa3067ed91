// The GRU's steps, the head of the set-GRU, the steps of drawing and the moments of the Gaussian base. P
// pairs or rows, H hidden units, F features. Bytes: operands once; weights of a layer count once a call.
#include <array>

#include "emshap/ops/draw_step.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/recurrent.h"
#include "emshap/ops/set_head.h"
#include "op_case.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

constexpr std::int64_t H = 64, F = 20, O = 15;

std::string at(std::int64_t n) {
  return "/" + std::to_string(n);
}

void add_gru(std::int64_t b) {
  add_op("gru_forward" + at(b), {f32_bytes(b * H * (3 + 3 + 1 + 1 + 4)), 0}, [=](Context& ctx, Operands& o) {
    const auto gi = o.in({b, 3 * H}), gh = o.in({b, 3 * H}), h = o.in({b, H}), next = o.out({b, H}),
               gates = o.out({b, 4 * H});
    return [=, &ctx] { ops::gru_forward(ctx, gi, gh, h, next, gates); };
  });
  add_op("gru_backward" + at(b), {f32_bytes(b * H * (4 + 1 + 1 + 3 + 3 + 1)), 0},
         [=](Context& ctx, Operands& o) {
           const auto gates = o.in({b, 4 * H}, .1, .9), h = o.in({b, H}), dnext = o.in({b, H}),
                      dgi = o.out({b, 3 * H}), dgh = o.out({b, 3 * H}), dh = o.out({b, H});
           return [=, &ctx] { ops::gru_backward(ctx, gates, h, dnext, dgi, dgh, dh); };
         });
  add_op("gru_token_forward" + at(b), {f32_bytes(b * (3 + H * (3 + 1 + 1 + 4)) + 6 * F * H), 0},
         [=](Context& ctx, Operands& o) {
           const ops::GruTokens tokens{o.in({b}), o.integers({b}, F), o.integers({b}, F)};
           const auto wa = o.in({F, 3 * H}), wb = o.in({F, 3 * H}), gh = o.in({b, 3 * H}), h = o.in({b, H}),
                      next = o.out({b, H}), gates = o.out({b, 4 * H});
           return [=, &ctx] { ops::gru_token_forward(ctx, tokens, wa, wb, gh, h, next, gates); };
         });
  add_op("gru_token_backward" + at(b), {f32_bytes(b * (3 + H * (1 + 4 + 4 + 1 + 1)) + 12 * F * H), 0},
         [=](Context& ctx, Operands& o) {
           const ops::GruTokens tokens{o.in({b}), o.integers({b}, F), o.integers({b}, F)};
           // Called again and again, the gates are what the call before left: finite, which is all that
           // timing needs.
           const auto h = o.in({b, H}), gates = o.inout({b, 4 * H}, .1, .9), dh = o.inout({b, H}, -.1, .1),
                      dwa = o.out({F, 3 * H}), dwb = o.out({F, 3 * H});
           return [=, &ctx] { ops::gru_token_backward(ctx, tokens, h, gates, dh, dwa, dwb); };
         });
}

double head_flop(std::int64_t pairs) {
  return 2. * static_cast<double>(pairs) * static_cast<double>(H * H + H * O);
}

ops::SetHeadWeights head_weights(Operands& o) {
  return {o.in({2, H}, -.1, .1), o.in({H}, -.2, .2), o.in({H, H}, -.1, .1), o.in({H, O}, -.2, .2),
          o.in({O}, -.1, .1)};
}

void add_set_head(std::int64_t p, std::int64_t states) {
  const std::int64_t weights = H * H + H * O + 3 * H + O;
  add_op("set_head_forward" + at(p),
         {f32_bytes(3 * p + states * H + p * (2 * H + O) + weights), head_flop(p)},
         [=](Context& ctx, Operands& o) {
           const ops::SetHeadPairs pairs{o.integers({p}, states), o.in({p}), o.in({p})};
           const ops::SetHeadWeights w = head_weights(o);
           const auto state = o.in({states, H}), u0 = o.out({p, H}), u = o.out({p, H}), out = o.out({p, O});
           return [=, &ctx] { ops::set_head_forward(ctx, pairs, w, state, u0, u, out); };
         });
  add_op("set_head_backward" + at(p),
         {f32_bytes(3 * p + 2 * states * H + p * (2 * H + O) + 2 * weights), 2 * head_flop(p)},
         [=](Context& ctx, Operands& o) {
           const ops::SetHeadPairs pairs{o.integers({p}, states), o.in({p}), o.in({p})};
           const auto hidden_t = o.in({H, H}, -.1, .1), out_t = o.in({O, H}, -.1, .1),
                      dout = o.in({p, O}, -.01, .01), u0 = o.inout({p, H}), u = o.inout({p, H}),
                      dstate = o.out({states, H});
           const ops::SetHeadGradients g{o.out({2, H}), o.out({H}), o.out({H, H}), o.out({H, O}), o.out({O})};
           return [=, &ctx] { ops::set_head_backward(ctx, pairs, hidden_t, out_t, dout, u0, u, dstate, g); };
         });
}

void add_draw_steps(std::int64_t p) {
  add_op("draw_from_state" + at(p),
         {f32_bytes(p * (H + 4) + 2 * H * H + H * O), head_flop(p) + 2. * static_cast<double>(p * H * H)},
         [=](Context& ctx, Operands& o) {
           const auto h = o.in({p, H}), mean = o.in({p}), state = o.in({H, H}, -.1, .1),
                      uniform = o.in({p}, .01, .99), x = o.out({p}), log_q = o.out({p});
           const ops::SetHeadWeights w = head_weights(o);
           return [=, &ctx] { ops::draw_from_state(ctx, h, mean, -.3, state, w, uniform, x, log_q); };
         });
  add_op("advance_state" + at(p),
         {f32_bytes(p * (2 * H + 2) + 3 * H * H + 6 * H), 6. * static_cast<double>(p * H * H)},
         [=](Context& ctx, Operands& o) {
           const auto h = o.in({p, H}), value = o.in({p}), wa = o.in({3 * H}), wb = o.in({1, 3 * H}),
                      weight = o.in({H, 3 * H}, -.1, .1), bias = o.in({3 * H}), next = o.out({p, H});
           return [=, &ctx] { ops::advance_state(ctx, h, value, wa, wb, {}, weight, bias, next); };
         });
}

/// Orders, and covariances 0.5 + 0.5 I.
void add_base(std::int64_t b) {
  std::vector<double> cov(F * F, .5), mean(F, .1);
  std::vector<std::int32_t> order, count;
  for (std::int64_t t = 0; t < F; ++t) cov[static_cast<std::size_t>(t * (F + 1))] = 1;
  for (std::int64_t r = 0; r < b; ++r) {
    for (std::int64_t t = 0; t < F; ++t) order.push_back(static_cast<std::int32_t>((t * 7 + r) % F));
    count.push_back(F);
  }
  const double flop = static_cast<double>(b * F * F * F);
  add_op("base_prefix_moments" + at(b), {f32_bytes(b * (2 * F + 1 + 2 * F * F)), flop},
         [=](Context& ctx, Operands& o) {
           const auto m = o.given(mean, {F}), c = o.given(cov, {F, F}), x = o.in({b, F}),
                      ord = o.given(order, {b, F}), n = o.given(count, {b}), mu = o.out({b, F, F}),
                      log_sd = o.out({b, F, F});
           return [=, &ctx] { ops::base_prefix_moments(ctx, m, c, x, ord, n, mu, log_sd); };
         });
  add_op("base_gains" + at(b), {f32_bytes(b * (2 * F + 1 + F * F)), flop}, [=](Context& ctx, Operands& o) {
    const auto c = o.given(cov, {F, F}), ord = o.given(order, {b, F}), n = o.given(count, {b}),
               gains = o.out({b, F, F}), log_sd = o.out({b, F});
    return [=, &ctx] { ops::base_gains(ctx, c, ord, n, gains, log_sd); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t b : {256, 4096, 65536}) add_gru(rows(b));
  add_set_head(rows(4096), rows(4096));
  add_set_head(rows(40960), rows(40960));
  for (const std::int64_t p : {4096, 65536}) add_draw_steps(rows(p));
  for (const std::int64_t b : {256, 4096}) add_base(rows(b));
  return run_gpu_benchmarks(argc, argv);
}
