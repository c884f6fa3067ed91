#include "emshap/ops/draw_step.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "cuda/compare_op.h"

using namespace emshap;
using namespace emshap::test;

namespace {

std::vector<double> uniform_values(std::int64_t n, std::uint64_t seed) {
  auto u = random_values(n, seed);
  for (double& v : u) v = .5 * std::erfc(-v * M_SQRT1_2);
  return u;
}

void check_draw(std::int64_t P, std::int64_t H, std::int64_t C, bool shared) {
  const std::int64_t N = shared ? 1 : P, O = 3 * C;
  const double sd = 1 / std::sqrt(static_cast<double>(H));
  const auto h = random_values(N * H, 1), mean = random_values(N, 2), state = random_values(H * H, 3, 0, sd),
             moments = random_values(2 * H, 4, 0, .3), feature = random_values(H, 5, 0, .3),
             hidden = random_values(H * H, 6, 0, sd), out = random_values(H * O, 7, 0, sd),
             bias = random_values(O, 8, 0, .3), u = uniform_values(P, 9), q = random_values(P, 11);
  compare_op(fmt::format("draw_from_state, {} pairs of {} states, {} units, {} components", P, N, H, C),
             [&](Side& s) {
               const ops::SetHeadWeights w{s.in(moments, {2, H}), s.in(feature, {H}), s.in(hidden, {H, H}),
                                           s.in(out, {H, O}), s.in(bias, {O})};
               const TensorView states = s.in(h, {N, H}), means = s.in(mean, {N}), from = s.in(state, {H, H}),
                                uniform = s.in(u, {P});
               ops::draw_from_state(s.ctx(), states, means, -.4, from, w, uniform, s.out("x", {P}),
                                    s.inout("log_q", q, {P}));
               ops::draw_from_state(s.ctx(), states, means, -.4, from, w, uniform, s.out("only x", {P}), {});
             },
             {5e-4, 5e-4});
}

void check_advance(std::int64_t P, std::int64_t H, bool shared, bool slots) {
  constexpr std::int64_t S = 4;
  const std::int64_t N = shared ? 1 : P;
  const double sd = 1 / std::sqrt(static_cast<double>(H));
  const auto h = random_values(N * H, 1), value = random_values(P, 2), wa = random_values(3 * H, 3),
             wb = random_values(S * 3 * H, 4), weight = random_values(H * 3 * H, 5, 0, sd),
             bias = random_values(3 * H, 6), room = random_values(P * H, 7);
  std::vector<std::int32_t> slot;
  for (std::int64_t p = 0; p < P; ++p) slot.push_back(static_cast<std::int32_t>(p * p % S));
  compare_op(fmt::format("advance_state, {} pairs of {} states, {} units", P, N, H),
             [&](Side& s) {
               const ConstTensorView of = slots ? s.integers(slot, {P}).columns(0, P) : TensorView();
               const auto advance = [&](ConstTensorView from, TensorView to) {
                 ops::advance_state(s.ctx(), from, s.in(value, {P}), s.in(wa, {3 * H}), s.in(wb, {S, 3 * H}),
                                    of, s.in(weight, {H, 3 * H}), s.in(bias, {3 * H}), to);
               };
               advance(s.in(h, {N, H}), s.out("h_next", {P, H}));
               const TensorView state = s.inout("in place", room, {P, H});
               advance(state.rows(0, N), state);
             },
             {1e-5, 1e-5});
}

}  // namespace

TEST_CASE("draws from states on every device equal the CPU in double") {
  for (const std::int64_t P : {1, 33, 129})
    for (const std::int64_t H : {3, 33})
      for (const std::int64_t C : {1, 5})
        for (const bool shared : {false, true}) check_draw(P, H, C, shared);
}

TEST_CASE("states take tokens in on every device as on the CPU in double") {
  for (const std::int64_t P : {1, 33, 129})
    for (const std::int64_t H : {1, 33})
      for (const bool shared : {false, true})
        for (const bool slots : {false, true}) check_advance(P, H, shared, slots);
}
