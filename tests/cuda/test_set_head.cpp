#include "emshap/ops/set_head.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "cuda/compare_op.h"
#include "math/launch_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Index = std::vector<std::int32_t>;

/// Each state at most once, as in training; states that several pairs have; one state for all.
enum class States { apart, shared, one };

struct Head {
  std::int64_t P, H, O, N;
  std::vector<double> state, mean, log_sd, moments, feature, hidden, out, bias, hidden_t, out_t, dy;
  Index index;

  Head(std::int64_t pairs, std::int64_t units, std::int64_t outputs, States states)
      : P(pairs), H(units), O(outputs), N(states == States::apart ? pairs + 3 : pairs / 2 + 1) {
    const double sd = 1 / std::sqrt(static_cast<double>(H));
    state = random_values(N * H, 1);
    mean = random_values(P, 2);
    log_sd = random_values(P, 3);
    moments = random_values(2 * H, 4, 0, .3);
    feature = random_values(H, 5, 0, .3);
    hidden = random_values(H * H, 6, 0, sd);
    out = random_values(H * O, 7, 0, sd);
    bias = random_values(O, 8, 0, .3);
    dy = random_values(P * O, 9);
    hidden_t = transposed(hidden, H, H);
    out_t = transposed(out, H, O);
    for (std::int64_t p = 0; p < P; ++p)
      index.push_back(static_cast<std::int32_t>(states == States::apart    ? N - 1 - p
                                                : states == States::shared ? p * 7 % N
                                                                           : N - 1));
  }
  static std::vector<double> transposed(const std::vector<double>& a, std::int64_t rows, std::int64_t cols) {
    std::vector<double> t(a.size());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c)
        t[static_cast<std::size_t>(c * rows + r)] = a[static_cast<std::size_t>(r * cols + c)];
    return t;
  }
};

void check_head(std::int64_t P, std::int64_t H, std::int64_t O, States states) {
  const std::string at = fmt::format(", {} pairs, {} units, {} outputs", P, H, O);
  const Head h(P, H, O, states);
  const Shape rows{P, H}, outputs{P, O};
  const auto pairs = [&](Side& s) {
    return ops::SetHeadPairs{s.integers(h.index, {P}), s.in(h.mean, {P}), s.in(h.log_sd, {P})};
  };
  compare_op("set_head_forward" + at,
             [&](Side& s) {
               const ops::SetHeadWeights w{s.in(h.moments, {2, H}), s.in(h.feature, {H}),
                                           s.in(h.hidden, {H, H}), s.in(h.out, {H, O}), s.in(h.bias, {O})};
               const TensorView state = s.in(h.state, {h.N, H});
               ops::set_head_forward(s.ctx(), pairs(s), w, state, s.out("u0", rows), s.out("u", rows),
                                     s.out("out", outputs));
               const TensorView both = s.out("nothing kept: u", rows);
               ops::set_head_forward(s.ctx(), pairs(s), w, state, both, both, s.out("nothing kept", outputs));
             },
             {2e-5, 2e-5});
  // Activations as a forward pass leaves them: never below 0, u never below u0, nothing close to the edges.
  auto u0 = random_values(P * H, 10), u = random_values(P * H, 11);
  for (std::size_t i = 0; i < u.size(); ++i) {
    u0[i] = u0[i] > 0 ? u0[i] : 0;
    u[i] = u0[i] + (u[i] > .1 ? u[i] : 0);
  }
  const double sum = 1e-5 * std::sqrt(static_cast<double>(P) + 1);
  compare_op("set_head_backward" + at,
             [&](Side& s) {
               const ops::SetHeadGradients g{s.inout("moments", h.moments, {2, H}),
                                             s.inout("feature", h.feature, {H}),
                                             s.inout("hidden", h.hidden, {H, H}),
                                             s.inout("out", h.out, {H, O}), s.inout("bias", h.bias, {O})};
               ops::set_head_backward(s.ctx(), pairs(s), s.in(h.hidden_t, {H, H}), s.in(h.out_t, {O, H}),
                                      s.in(h.dy, outputs), s.in(u0, rows), s.in(u, rows),
                                      s.inout("dstate", h.state, {h.N, H}), g);
             },
             {2e-5 + sum, 2e-5});
}

}  // namespace

TEST_CASE("the set-GRU's head on every device equals the CPU in double") {
  for (const std::int64_t P : {0, 1, 2, 33, 129})
    for (const std::int64_t H : {1, 33, 64}) check_head(P, H, 5, States::apart);
  for (const std::int64_t O : {1, 15, 32, 40}) check_head(33, 16, O, States::apart);
}

TEST_CASE("pairs that share states add their gradients in order") {
  for (const std::int64_t P : {2, 33, 130}) {
    check_head(P, 33, 3, States::shared);
    check_head(P, 33, 3, States::one);
  }
}

TEST_CASE("sums over many chunks of pairs") {
  for (const std::int64_t P : {64, 65, 1000, 1031})
    check_head(P, 3, 2, P == 1031 ? States::shared : States::apart);
}
