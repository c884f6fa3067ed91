#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "cuda/compare_op.h"
#include "emshap/ops/density.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Values = std::vector<double>;

/// Canonical mixtures of C components.
Values mixtures(std::int64_t P, std::int64_t C, std::uint64_t seed) {
  Values m = random_values(P * 3 * C, seed);
  for (std::int64_t p = 0; p < P; ++p) {
    double* row = m.data() + p * 3 * C;
    double sum = 0;
    for (std::int64_t c = 0; c < C; ++c) sum += std::exp(row[c]);
    for (std::int64_t c = 0; c < C; ++c) {
      row[c] = static_cast<float>(row[c] - std::log(sum));
      row[2 * C + c] = static_cast<float>(.3 * row[2 * C + c]);
    }
  }
  return m;
}

/// Zeros at every third place.
Values some(std::int64_t count, double other) {
  Values v(static_cast<std::size_t>(count), other);
  for (std::size_t i = 0; i < v.size(); i += 3) v[i] = 0;
  return v;
}

Values between_0_and_1(std::int64_t count) {
  Values v;
  for (std::int64_t i = 0; i < count; ++i) v.push_back((static_cast<double>((i * 37) % 101) + .5) / 128);
  return v;
}

std::vector<std::int32_t> codes(std::int64_t count, std::int64_t V) {
  std::vector<std::int32_t> code;
  for (std::int64_t i = 0; i < count; ++i) code.push_back(static_cast<std::int32_t>((i * 7) % V));
  return code;
}

void check_mixtures(std::int64_t P, std::int64_t C) {
  const std::string at = fmt::format(", {} pairs of {} components", P, C);
  const auto head = random_values(P * 3 * C, 1), mean = random_values(P, 2), log_sd = random_values(P, 3, .3);
  auto x = random_values(P, 4);
  const auto weight = some(P, .7), wanted = some(P, 1);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (weight[i] == 0) x[i] = std::numeric_limits<double>::quiet_NaN();
  const auto numbers = random_values(P, 5), mixture = mixtures(P, C, 6);
  auto right = numbers;
  for (double& r : right) r += .75;
  const Shape wide{P, 3 * C}, narrow{P};
  const Tolerance t{2e-5, 2e-5};
  for (const bool gradient : {true, false})
    compare_op("mixture_loss" + at,
               [&](Side& s) {
                 const TensorView value = s.out("value", narrow);
                 ops::mixture_loss(s.ctx(), s.in(head, wide), s.in(mean, {P, 1}), s.in(log_sd, narrow),
                                   s.in(x, narrow), s.in(weight, narrow), value,
                                   gradient ? s.out("dhead", wide) : TensorView());
               },
               {1e-4, 1e-4});
  for (const bool all : {true, false})
    compare_op(
        "mixture_from_head" + at,
        [&](Side& s) {
          const TensorView both = s.inout("mixture", head, wide);
          ops::mixture_from_head(s.ctx(), both, s.in(mean, narrow), s.in(log_sd, {P, 1}),
                                 all ? ConstTensorView() : s.in(wanted, narrow), both);
        },
        t);
  compare_op(
      "mixture_log_density" + at,
      [&](Side& s) {
        ops::mixture_log_density(s.ctx(), s.in(mixture, wide), s.in(numbers, narrow), s.out("value", {P, 1}));
      },
      {1e-4, 1e-4});
  compare_op(
      "mixture_log_interval" + at,
      [&](Side& s) {
        ops::mixture_log_interval(s.ctx(), s.in(mixture, wide), s.in(numbers, narrow), s.in(right, narrow),
                                  s.out("value", narrow));
      },
      t);
  compare_op(
      "mixture_moments" + at,
      [&](Side& s) {
        ops::mixture_moments(s.ctx(), s.in(mixture, wide), s.out("mean", narrow), s.out("variance", narrow));
      },
      t);
  for (const std::int64_t share : {1, 3}) {
    const std::int64_t N = share * P, rows = P % 2 == 0 && P > 0 ? N / 2 : N;
    const auto before = random_values(N, 7), log_q = random_values(N, 8);
    for (const bool all : {true, false})
      compare_op(fmt::format("mixture_draw{}, {} draws each", at, share),
                 [&](Side& s) {
                   const TensorView q = all ? s.inout("log_q", log_q, {N}) : TensorView();
                   ops::mixture_draw(s.ctx(), s.in(mixture, wide), s.in(between_0_and_1(rows), {rows, 1}),
                                     all ? ConstTensorView() : s.in(wanted, narrow),
                                     s.inout("x", before, {N}), q);
                 },
                 {2e-3, 2e-3});
  }
}

void check_categories(std::int64_t P, std::int64_t V) {
  const std::string at = fmt::format(", {} pairs of {} categories", P, V);
  const auto logits = random_values(P * V, 1), weight = some(P, .7), wanted = some(P, 1);
  const Values frequencies(static_cast<std::size_t>(V), 1. / static_cast<double>(V));
  auto code = codes(P, V);
  for (std::size_t i = 0; i < code.size(); ++i)
    if (weight[i] == 0) code[i] = -1;
  const Shape wide{P, V}, narrow{P};
  const Tolerance t{1e-5, 1e-5};
  for (const bool gradient : {true, false})
    compare_op(
        "categorical_loss" + at,
        [&](Side& s) {
          const TensorView value = s.out("value", narrow);
          ops::categorical_loss(s.ctx(), s.in(logits, wide), s.in(frequencies, {V}), s.integers(code, narrow),
                                s.in(weight, narrow), value,
                                gradient ? s.out("dlogits", wide) : TensorView());
        },
        t);
  for (const bool all : {true, false})
    compare_op(
        "categorical_log_probabilities" + at,
        [&](Side& s) {
          const TensorView both = s.inout("log_p", logits, wide);
          ops::categorical_log_probabilities(s.ctx(), both, s.in(frequencies, {V}),
                                             all ? ConstTensorView() : s.in(wanted, narrow), both);
        },
        t);
  for (const std::int64_t share : {1, 3}) {
    const std::int64_t N = share * P;
    const auto log_q = random_values(N, 8);
    for (const bool all : {true, false})
      compare_op(
          fmt::format("categorical_draw{}, {} draws each", at, share),
          [&](Side& s) {
            const TensorView q = all ? s.inout("log_q", log_q, {N}) : TensorView();
            ops::categorical_draw(s.ctx(), s.in(logits, wide), s.in(between_0_and_1(N), {N, 1}),
                                  all ? ConstTensorView() : s.in(wanted, narrow), s.integers_out("code", {N}),
                                  q);
          },
          t);
  }
  code = codes(P, V + 1);  // some outside
  compare_op(
      "categorical_values" + at,
      [&](Side& s) {
        ops::categorical_values(s.ctx(), s.in(random_values(V, 9), {V}), s.integers(code, narrow),
                                s.inout("x", weight, narrow));
      },
      t);
}

}  // namespace

TEST_CASE("mixtures on every device equal the CPU in double") {
  for (const std::int64_t P : {0, 1, 2, 31, 32, 33, 263}) check_mixtures(P, 5);
  for (const std::int64_t C : {1, 2, 10, 11, 16, 33}) check_mixtures(34, C);
}

TEST_CASE("mixtures too large for shared memory") {
  check_mixtures(33, 130);
}

TEST_CASE("more pairs than there are blocks of 32, in larger tiles") {
  const std::int64_t P = 264 * 64 + 5;
  const auto mixture = mixtures(P, 2, 6);
  compare_op(
      "mixture_moments",
      [&](Side& s) {
        ops::mixture_moments(s.ctx(), s.in(mixture, {P, 6}), s.out("mean", {P}), s.out("variance", {P}));
      },
      {2e-5, 2e-5});
}

TEST_CASE("categories on every device equal the CPU in double") {
  for (const std::int64_t P : {0, 1, 2, 31, 32, 33, 263}) check_categories(P, 5);
  for (const std::int64_t V : {1, 2, 31, 32, 33, 64, 400}) check_categories(34, V);
}
