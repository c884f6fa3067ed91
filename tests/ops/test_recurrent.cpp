#include "emshap/ops/recurrent.h"

#include "op_test.h"
#include "support/gradient_check.h"

using namespace emshap;
using namespace emshap::test;

namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

/// h' and the four kept gates by the formulas; gi, gh, h are (B, .).
struct Reference {
  Values h_next, gates;
  Reference(const Values& gi, const Values& gh, const Values& h, std::size_t B, std::size_t H)
      : h_next(B * H), gates(B * 4 * H) {
    for (std::size_t b = 0; b < B; ++b)
      for (std::size_t i = 0; i < H; ++i) {
        const double *x = gi.data() + b * 3 * H + i, *y = gh.data() + b * 3 * H + i;
        const double r = sigmoid(x[0] + y[0]), z = sigmoid(x[H] + y[H]),
                     n = std::tanh(x[2 * H] + r * y[2 * H]);
        h_next[b * H + i] = (1 - z) * n + z * h[b * H + i];
        const double kept[4] = {r, z, n, y[2 * H]};
        for (std::size_t g = 0; g < 4; ++g) gates[b * 4 * H + g * H + i] = kept[g];
      }
  }
};

Tensor indices(const std::vector<std::int32_t>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

/// Tokens of B rows; every seventh row has none.
struct TokenRows {
  TokenRows(std::int64_t B, std::int64_t F, std::int64_t S, DType dtype)
      : value(random_values(B, 5), 1, B, dtype), x(random_values(B, 5)) {
    for (std::int64_t b = 0; b < B; ++b) {
      f.push_back(b % 7 == 3 ? -1 : static_cast<std::int32_t>(b * 5 % F));
      s.push_back(b % 7 == 3 ? -1 : static_cast<std::int32_t>(b * 3 % S));
    }
    feature = indices(f);
    slot = indices(s);
  }
  ops::GruTokens view() { return {value.flat(), feature, slot}; }
  Values input(const Values& wa, const Values& wb, std::size_t width) const {
    Values gi(f.size() * width, 0.0);
    for (std::size_t b = 0; b < f.size(); ++b)
      for (std::size_t c = 0; c < width && f[b] >= 0; ++c)
        gi[b * width + c] = x[b] * wa[static_cast<std::size_t>(f[b]) * width + c] +
                            wb[static_cast<std::size_t>(s[b]) * width + c];
    return gi;
  }
  Matrix value;
  Values x;
  std::vector<std::int32_t> f, s;
  Tensor feature, slot;
};

}  // namespace

TEST_CASE("GRU gates equal the formulas at every level, type, size and stride") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t B : {0, 1, 2, 33})
        for (const std::int64_t H : {1, 3, 15, 16, 17, 64, 100})
          for (const std::int64_t gap : {0, 5}) {
            CAPTURE(name_of(level));
            CAPTURE(B);
            CAPTURE(H);
            Context ctx(level);
            const Values gi = random_values(B * 3 * H, 1), gh = random_values(B * 3 * H, 2),
                         h = random_values(B * H, 3);
            const Reference want(gi, gh, h, static_cast<std::size_t>(B), static_cast<std::size_t>(H));
            const Matrix i(gi, B, 3 * H, dtype, gap), s(gh, B, 3 * H, dtype, gap);
            Matrix state(h, B, H, dtype, gap), next(B, H, dtype, gap), gates(B, 4 * H, dtype, gap);
            ops::gru_forward(ctx, i, s, state, next, gates);
            const double eps = tolerance(dtype, 2e-6, 1e-14);
            check_close(next.values(), want.h_next, eps, eps);
            check_close(gates.values(), want.gates, eps, eps);
            CHECK(next.gaps_intact());
            CHECK(gates.gaps_intact());
            ops::gru_forward(ctx, i, s, state, state, {});  // in place, nothing kept
            CHECK(same_bits(state.values(), next.values()));
          }
}

TEST_CASE("GRU gates saturate without overflow") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      Context ctx(level);
      const Values big{1e30, -1e30, 1e30, -1e30, 1e30, -1e30};
      const Matrix gi(big, 1, 6, dtype), gh(Values(6, 0.0), 1, 6, dtype), h(Values{.5, .25}, 1, 2, dtype);
      Matrix next(1, 2, dtype);
      ops::gru_forward(ctx, gi, gh, h, next, {});
      CHECK(next.values() == Values{.5, -1});  // z = 1 keeps the state; z = 0, n = -1
    }
}

TEST_CASE("GRU gates: gradients by central differences") {
  constexpr std::int64_t B = 3, H = 5;
  for (const Backend level : levels()) {
    Context ctx(level);
    Values gi = random_values(B * 3 * H, 1), gh = random_values(B * 3 * H, 2), h = random_values(B * H, 3);
    const Values up = random_values(B * H, 4);
    const auto objective = [&] {
      const Reference r(gi, gh, h, B, H);
      double sum = 0;
      for (std::size_t i = 0; i < up.size(); ++i) sum += up[i] * r.h_next[i];
      return sum;
    };
    const Reference r(gi, gh, h, B, H);
    const Matrix gates(r.gates, B, 4 * H, DType::f64, 3), state(h, B, H, DType::f64, 2);
    Matrix dh(up, B, H, DType::f64, 1), dgi(B, 3 * H, DType::f64, 1), dgh(B, 3 * H, DType::f64);
    ops::gru_backward(ctx, gates, state, dh, dgi, dgh, dh);
    check_gradient("gi", gi, dgi.values(), objective);
    check_gradient("gh", gh, dgh.values(), objective);
    check_gradient("h", h, dh.values(), objective);
  }
}

TEST_CASE("the token form is the plain form on value wa + wb; rows without token stay") {
  constexpr std::int64_t F = 4, S = 6;
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t B : {0, 1, 4, 33})
        for (const std::int64_t H : {1, 16, 21, 64}) {
          CAPTURE(name_of(level));
          CAPTURE(B);
          CAPTURE(H);
          Context ctx(level);
          const auto width = static_cast<std::size_t>(3 * H);
          TokenRows tokens(B, F, S, dtype);
          const Values a = random_values(F * 3 * H, 7), w = random_values(S * 3 * H, 8),
                       gh = random_values(B * 3 * H, 2), h = random_values(B * H, 3),
                       up = random_values(B * H, 4);
          const Matrix wa(a, F, 3 * H, dtype, 2), wb(w, S, 3 * H, dtype), s(gh, B, 3 * H, dtype),
              state(h, B, H, dtype, 3);
          Matrix next(B, H, dtype, 1),
              gates(Values(static_cast<std::size_t>(B * 4 * H), 0.0), B, 4 * H, dtype, 1);
          ops::gru_token_forward(ctx, tokens.view(), wa, wb, s, state, next, gates);
          const Values gi = tokens.input(a, w, width);
          const Reference want(gi, gh, h, static_cast<std::size_t>(B), static_cast<std::size_t>(H));
          const double eps = tolerance(dtype, 3e-6, 1e-14);
          Values expected = want.h_next;
          for (std::size_t b = 0; b < tokens.f.size(); ++b)
            for (std::size_t i = 0; i < width / 3 && tokens.f[b] < 0; ++i)
              expected[b * width / 3 + i] = h[b * width / 3 + i];
          check_close(next.values(), expected, eps, eps);

          // Backward against the plain form.
          Matrix dgi(B, 3 * H, dtype), dgh(B, 3 * H, dtype), dh(up, B, H, dtype), direct(B, H, dtype);
          ops::gru_backward(ctx, gates, state, dh, dgi, dgh, direct);
          Matrix dwa(Values(a.size(), .5), F, 3 * H, dtype), dwb(Values(w.size(), .5), S, 3 * H, dtype);
          ops::gru_token_backward(ctx, tokens.view(), state, gates, dh, dwa, dwb);
          Values da(a.size(), .5), db(w.size(), .5), share = direct.values(),
                                                     kept(static_cast<std::size_t>(B * 4 * H), 0.0);
          const Values di = dgi.values(), ds = dgh.values();
          for (std::size_t b = 0; b < tokens.f.size(); ++b) {
            for (std::size_t c = 0; c < width && tokens.f[b] >= 0; ++c) {
              da[static_cast<std::size_t>(tokens.f[b]) * width + c] += tokens.x[b] * di[b * width + c];
              db[static_cast<std::size_t>(tokens.s[b]) * width + c] += di[b * width + c];
              kept[b * width / 3 * 4 + c] = ds[b * width + c];
              if (c >= width / 3 * 2) kept[b * width / 3 * 4 + width / 3 + c] = di[b * width + c];
            }
            for (std::size_t i = 0; i < width / 3 && tokens.f[b] < 0; ++i)
              share[b * width / 3 + i] = up[b * width / 3 + i];
          }
          check_close(dwa.values(), da, eps, eps);
          check_close(dwb.values(), db, eps, eps);
          check_close(gates.values(), kept, eps, eps);
          check_close(dh.values(), share, eps, eps);
        }
}

TEST_CASE("GRU ops refuse what does not fit") {
  Context ctx;
  Matrix h(2, 3, DType::f32), gi(2, 9, DType::f32), gh(2, 8, DType::f32);
  CHECK_THROWS_WITH_AS(ops::gru_forward(ctx, gi, gh, h, h, {}),
                       "gru_forward: gh has shape (2, 8), expected (2, 9) because the state has shape (2, 3)",
                       ShapeError);
  Matrix fits(2, 9, DType::f32), value(1, 2, DType::f32), wa(4, 9, DType::f32), wb(5, 9, DType::f32);
  const Tensor outside = indices({0, 4}), slot = indices({0, 1}), none = indices({0, -1}),
               two = indices({0, 1});
  CHECK_THROWS_WITH_AS(ops::gru_token_forward(ctx, {value.flat(), outside, slot}, wa, wb, fits, h, h, {}),
                       "gru_token_forward: tokens.feature of row 1 is 4, expected -1 to 3", ShapeError);
  CHECK_THROWS_AS(ops::gru_token_forward(ctx, {value.flat(), two, none}, wa, wb, fits, h, h, {}), ShapeError);
}

TEST_CASE("GRU gates in float are accurate over their whole range") {
  for (const Backend level : levels()) {
    Context ctx(level);
    constexpr std::int64_t n = 4001;
    Values gi(3 * n, 0.0), gh(3 * n, 0.0);
    for (std::int64_t i = 0; i < n; ++i)  // dense near 0, out to 100
      for (std::int64_t g = 0; g < 3; ++g) {
        const double x = static_cast<double>(i - n / 2) / (n / 2);
        gi[static_cast<std::size_t>(g * n + i)] = static_cast<double>(static_cast<float>(100 * x * x * x));
      }
    const Values h(n, 0.0);
    Matrix next(1, n, DType::f32), gates(1, 4 * n, DType::f32);
    ops::gru_forward(ctx, Matrix(gi, 1, 3 * n, DType::f32), Matrix(gh, 1, 3 * n, DType::f32),
                     Matrix(h, 1, n, DType::f32), next, gates);
    const Reference want(gi, gh, h, 1, n);
    const Values got = gates.values();
    const auto part = [&](const Values& v, std::size_t gate) {
      return Values(v.begin() + static_cast<std::ptrdiff_t>(gate * n),
                    v.begin() + static_cast<std::ptrdiff_t>((gate + 1) * n));
    };
    for (const std::size_t gate : {0, 1}) check_close(part(got, gate), part(want.gates, gate), 3e-38, 4e-7);
    check_close(part(got, 2), part(want.gates, 2), 2e-7, 0);
  }
}
