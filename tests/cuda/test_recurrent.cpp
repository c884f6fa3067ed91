#include "emshap/ops/recurrent.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "math/token_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Tokens of B rows, every seventh without; `skewed`: nearly all of one feature.
struct Tokens {
  std::vector<double> value;
  std::vector<std::int32_t> feature, slot;
  Tokens(std::int64_t B, std::int64_t F, std::int64_t S, bool skewed) : value(random_values(B, 5)) {
    for (std::int64_t b = 0; b < B; ++b) {
      const bool none = b % 7 == 3;
      feature.push_back(none ? -1 : static_cast<std::int32_t>(skewed ? (b % 50 == 0) : b * 5 % F));
      slot.push_back(none ? -1 : static_cast<std::int32_t>(b * 3 % S));
    }
  }
  ops::GruTokens on(Side& s) const {
    const auto B = static_cast<std::int64_t>(feature.size());
    return {s.in(value, {B}), s.integers(feature, {B}), s.integers(slot, {B})};
  }
};

/// Kept gates: r and z within (0, 1), n within (-1, 1).
std::vector<double> gate_values(std::int64_t B, std::int64_t H) {
  std::vector<double> gates = random_values(B * 4 * H, 7);
  for (std::size_t i = 0; i < gates.size(); ++i) {
    const auto gate = static_cast<std::int64_t>(i) / H % 4;
    if (gate < 2) gates[i] = 1 / (1 + std::exp(-gates[i]));
    if (gate == 2) gates[i] = std::tanh(gates[i]);
  }
  return gates;
}

void check_gates(std::int64_t B, std::int64_t H) {
  const std::string at = fmt::format(", {} x {}", B, H);
  const auto gi = random_values(B * 3 * H, 1), gh = random_values(B * 3 * H, 2), h = random_values(B * H, 3),
             up = random_values(B * H, 4), gates = gate_values(B, H);
  const Shape one{B, H}, three{B, 3 * H}, four{B, 4 * H};
  const Tolerance t{3e-6, 3e-6};
  compare_op(
      "gru_forward" + at,
      [&](Side& s) {
        ops::gru_forward(s.ctx(), s.in(gi, three), s.in(gh, three), s.in(h, one), s.out("h_next", one),
                         s.out("gates", four));
        const TensorView state = s.inout("in place", h, one);
        ops::gru_forward(s.ctx(), s.in(gi, three), s.in(gh, three), state, state, {});
      },
      t);
  compare_op(
      "gru_backward" + at,
      [&](Side& s) {
        const TensorView dh = s.inout("dh", up, one);
        ops::gru_backward(s.ctx(), s.in(gates, four), s.in(h, one), dh, s.out("dgi", three),
                          s.out("dgh", three), dh);
      },
      t);
}

void check_tokens(std::int64_t B, std::int64_t H, std::int64_t F, std::int64_t S, bool skewed) {
  const std::string at = fmt::format(", {} x {}, {} and {} lines", B, H, F, S);
  const Tokens tokens(B, F, S, skewed);
  const auto wa = random_values(F * 3 * H, 8), wb = random_values(S * 3 * H, 9),
             gh = random_values(B * 3 * H, 2), h = random_values(B * H, 3), up = random_values(B * H, 4),
             gates = gate_values(B, H);
  const Shape one{B, H}, three{B, 3 * H}, four{B, 4 * H}, lines_a{F, 3 * H}, lines_b{S, 3 * H};
  compare_op("gru_token_forward" + at,
             [&](Side& s) {
               const ops::GruTokens in = tokens.on(s);
               const TensorView a = s.in(wa, lines_a), b = s.in(wb, lines_b), g = s.in(gh, three);
               ops::gru_token_forward(s.ctx(), in, a, b, g, s.in(h, one), s.out("h_next", one),
                                      s.out("gates", four));
               const TensorView state = s.inout("in place", h, one);
               ops::gru_token_forward(s.ctx(), in, a, b, g, state, state, {});
             },
             {5e-6, 5e-6});
  const double sum = 1e-6 * std::sqrt(static_cast<double>(B) + 1);
  compare_op("gru_token_backward" + at,
             [&](Side& s) {
               ops::gru_token_backward(s.ctx(), tokens.on(s), s.in(h, one), s.inout("gates", gates, four),
                                       s.inout("dh", up, one), s.inout("dwa", wa, lines_a),
                                       s.inout("dwb", wb, lines_b));
             },
             {3e-6 + sum, 1e-5});
}

}  // namespace

TEST_CASE("GRU gates on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 2, 33})
    for (const std::int64_t H : {1, 31, 32, 33, 64}) check_gates(B, H);
  check_gates(5, 300);
}

TEST_CASE("GRU tokens on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 4, 127, 128, 129})
    for (const std::int64_t H : {1, 31, 33, 64}) check_tokens(B, H, 4, 6, false);
  check_tokens(70, 8, 40, 101, false);
  check_tokens(300, 33, 4, 1, true);
}

TEST_CASE("token tables on every device are sums over parts of rows") {
  constexpr std::int64_t windows = math::token_warps * math::token_window;
  for (const std::int64_t B : {windows - 1, windows, windows + 1, 3 * windows + 7})
    check_tokens(B, 3, 3, 4, false);
  check_tokens(2 * windows + 1, 2, 3, 4, true);
  check_tokens(windows * math::token_most_parts + 1, 1, 2, 2, false);
}
