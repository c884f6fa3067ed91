#include "emshap/ops/density.h"

#include <algorithm>
#include <limits>

#include "op_test.h"
#include "support/golden.h"
#include "support/gradient_check.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Pairs with random heads, bases and targets.
struct Sample {
  std::int64_t P, C;
  Values head, mean, log_sd, x, weight;
  Sample(std::int64_t pairs, std::int64_t components, std::uint64_t seed = 1)
      : P(pairs),
        C(components),
        head(random_values(pairs * 3 * components, seed, 0, 1.2)),
        mean(random_values(pairs, seed + 1)),
        log_sd(random_values(pairs, seed + 2, -.5, .5)),
        x(random_values(pairs, seed + 3, 0, 1.5)),
        weight(random_values(pairs, seed + 4, 1, .2)) {}
};

double softplus(double r) {
  return std::max(r, 0.) + std::log1p(std::exp(-std::abs(r)));
}

/// The canonical mixture of one pair, straight from the definition.
Values canonical(const Sample& s, std::int64_t p) {
  const double* h = s.head.data() + p * 3 * s.C;
  const auto mean = s.mean[static_cast<std::size_t>(p)], log_sd = s.log_sd[static_cast<std::size_t>(p)];
  double total = 0;
  for (std::int64_t c = 0; c < s.C; ++c) total += std::exp(h[c]);
  Values m(static_cast<std::size_t>(3 * s.C));
  for (std::int64_t c = 0; c < s.C; ++c) {
    m[static_cast<std::size_t>(c)] = h[c] - std::log(total);
    m[static_cast<std::size_t>(s.C + c)] = mean + std::exp(log_sd) * h[s.C + c];
    m[static_cast<std::size_t>(2 * s.C + c)] = log_sd + std::log(softplus(h[2 * s.C + c]) + 1e-3);
  }
  return m;
}

double log_density(const Values& m, double x) {
  const auto C = static_cast<std::ptrdiff_t>(m.size() / 3);
  const double* v = m.data();
  Values terms;
  for (std::ptrdiff_t c = 0; c < C; ++c) {
    const double z = (x - v[C + c]) / std::exp(v[2 * C + c]);
    terms.push_back(v[c] - z * z / 2 - v[2 * C + c] - .91893853320467274178);
  }
  const double largest = *std::max_element(terms.begin(), terms.end());
  double sum = 0;
  for (const double t : terms) sum += std::exp(t - largest);
  return largest + std::log(sum);
}

double at(const Values& v, std::int64_t i) {
  return v[static_cast<std::size_t>(i)];
}

}  // namespace

TEST_CASE(
    "mixture losses and canonical mixtures equal the definition at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t C : {1, 5, 7})
        for (const std::int64_t P : row_sizes)
          for (const std::int64_t gap : {0, 3}) {
            CAPTURE(P);
            CAPTURE(C);
            const Sample s(P, C);
            const Matrix head(s.head, P, 3 * C, dtype, gap), mean(s.mean, P, 1, dtype, gap),
                log_sd(s.log_sd, P, 1, dtype), x(s.x, P, 1, dtype, gap), weight(s.weight, P, 1, dtype);
            Matrix value(P, 1, dtype, gap), dhead(P, 3 * C, dtype, gap), mixture(P, 3 * C, dtype, gap),
                density(P, 1, dtype);
            ops::mixture_loss(ctx, head, mean, log_sd, x, weight, value, dhead);
            ops::mixture_from_head(ctx, head, mean, log_sd, {}, mixture);
            ops::mixture_log_density(ctx, mixture, x, density);
            Values want, want_mixture, want_density;
            for (std::int64_t p = 0; p < P; ++p) {
              const Values m = canonical(s, p);
              want_mixture.insert(want_mixture.end(), m.begin(), m.end());
              want_density.push_back(log_density(m, at(s.x, p)));
              want.push_back(-at(s.weight, p) * want_density.back());
            }
            const double eps = tolerance(dtype, 1e-6, 1e-13);
            check_close(value.values(), want, 3 * eps, eps);
            check_close(mixture.values(), want_mixture, eps, eps);
            check_close(density.values(), want_density, 3 * eps, eps);
            CHECK(dhead.gaps_intact());
            CHECK(value.gaps_intact());
          }
  }
}

TEST_CASE("the mixture's gradient equals central differences") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Sample s(9, 5);
    const auto loss = [&](TensorView gradient) {
      Matrix value(s.P, 1, DType::f64);
      ops::mixture_loss(ctx, Matrix(s.head, s.P, 3 * s.C, DType::f64), Matrix(s.mean, s.P, 1, DType::f64),
                        Matrix(s.log_sd, s.P, 1, DType::f64), Matrix(s.x, s.P, 1, DType::f64),
                        Matrix(s.weight, s.P, 1, DType::f64), value, gradient);
      double sum = 0;
      for (const double v : value.values()) sum += v;
      return sum;
    };
    Matrix gradient(s.P, 3 * s.C, DType::f64);
    loss(gradient);
    check_gradient("mixture head", s.head, gradient.values(), [&] { return loss(TensorView()); });
  }
}

TEST_CASE("float gradients of mixtures agree with double ones") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const Sample s(513, 5, 3);
    Values gradients[2];
    for (const DType dtype : {DType::f32, DType::f64}) {
      Matrix value(s.P, 1, dtype), dhead(s.P, 3 * s.C, dtype);
      ops::mixture_loss(ctx, Matrix(s.head, s.P, 3 * s.C, dtype), Matrix(s.mean, s.P, 1, dtype),
                        Matrix(s.log_sd, s.P, 1, dtype), Matrix(s.x, s.P, 1, dtype),
                        Matrix(s.weight, s.P, 1, dtype), value, dhead);
      gradients[dtype == DType::f64] = dhead.values();
    }
    check_close(gradients[0], gradients[1], 2e-6, 2e-5);
  }
}

TEST_CASE("mixture losses equal PyTorch's") {
  const Golden golden("density");
  const auto& head = golden["mixture.head"];
  const std::int64_t P = head.shape.rows(), C = head.shape.cols() / 3;
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const auto given = [&](const char* name, std::int64_t cols) {
        return Matrix(golden[std::string("mixture.") + name].values, P, cols, dtype);
      };
      Matrix value(P, 1, dtype), dhead(P, 3 * C, dtype);
      ops::mixture_loss(ctx, given("head", 3 * C), given("mean", 1), given("log_sd", 1), given("x", 1),
                        given("weight", 1), value, dhead);
      check_close(value.values(), golden["mixture.value"].values, tolerance(dtype, 3e-6, 1e-13),
                  tolerance(dtype, 3e-6, 1e-12));
      check_close(dhead.values(), golden["mixture.dhead"].values, tolerance(dtype, 5e-6, 1e-13),
                  tolerance(dtype, 5e-5, 1e-12));
      Matrix mean(P, 1, dtype), variance(P, 1, dtype), mixture(P, 3 * C, dtype);
      ops::mixture_from_head(ctx, given("head", 3 * C), given("mean", 1), given("log_sd", 1), {}, mixture);
      ops::mixture_moments(ctx, mixture, mean, variance);
      check_close(mean.values(), golden["mixture.moment_mean"].values, tolerance(dtype, 1e-5, 1e-13),
                  tolerance(dtype, 1e-5, 1e-12));
      check_close(variance.values(), golden["mixture.moment_variance"].values, tolerance(dtype, 1e-5, 1e-13),
                  tolerance(dtype, 1e-5, 1e-12));

      const auto& logits = golden["category.logits"];
      const std::int64_t V = logits.shape.cols(), Q = logits.shape.rows();
      Tensor code({Q}, DType::i32);
      for (std::int64_t p = 0; p < Q; ++p)
        code.ptr<std::int32_t>()[p] = static_cast<std::int32_t>(at(golden["category.code"].values, p));
      Matrix cost(Q, 1, dtype), dlogits(Q, V, dtype), log_p(Q, V, dtype),
          frequencies(golden["category.frequencies"].values, 1, V, dtype);
      ops::categorical_loss(ctx, Matrix(logits.values, Q, V, dtype), frequencies.flat(), code,
                            Matrix(golden["category.weight"].values, Q, 1, dtype), cost, dlogits);
      ops::categorical_log_probabilities(ctx, Matrix(logits.values, Q, V, dtype), frequencies.flat(), {},
                                         log_p);
      check_close(cost.values(), golden["category.value"].values, tolerance(dtype, 2e-6, 1e-14),
                  tolerance(dtype, 2e-6, 1e-13));
      check_close(dlogits.values(), golden["category.dlogits"].values, tolerance(dtype, 1e-6, 1e-14),
                  tolerance(dtype, 1e-5, 1e-13));
      check_close(log_p.values(), golden["category.log_p"].values, tolerance(dtype, 2e-6, 1e-14),
                  tolerance(dtype, 2e-6, 1e-13));
    }
  }
}

TEST_CASE("extreme heads give finite losses and gradients; pairs of weight 0 give exactly 0") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Values extremes{0, 1e-30, 1, -1, 80, -80, 1e4, -1e4, 1e30, -1e30};
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64}) {
      Values head, mean, log_sd, x, weight;
      for (const double l : extremes)
        for (const double a : extremes)
          for (const double r : extremes)
            for (const double far : {0., 3., 1e6, -1e30}) {
              head.insert(head.end(), {l, .1, a, -.2, r, .3});
              mean.push_back(.5);
              log_sd.push_back(-2);
              x.push_back(far);
              weight.push_back(1);
            }
      const auto P = static_cast<std::int64_t>(x.size());
      Matrix value(P, 1, dtype), dhead(P, 6, dtype), mixture(P, 6, dtype);
      const auto run = [&] {
        ops::mixture_loss(ctx, Matrix(head, P, 6, dtype), Matrix(mean, P, 1, dtype),
                          Matrix(log_sd, P, 1, dtype), Matrix(x, P, 1, dtype), Matrix(weight, P, 1, dtype),
                          value, dhead);
      };
      run();
      const auto finite = [](double v) { return std::isfinite(v); };
      const Values values = value.values(), gradients = dhead.values();
      CHECK(std::all_of(values.begin(), values.end(), finite));
      CHECK(std::all_of(gradients.begin(), gradients.end(), finite));
      ops::mixture_from_head(ctx, Matrix(head, P, 6, dtype), Matrix(mean, P, 1, dtype),
                             Matrix(log_sd, P, 1, dtype), {}, mixture);
      const Values mixtures = mixture.values();
      CHECK(std::all_of(mixtures.begin(), mixtures.end(), finite));

      for (double& w : weight) w = 0;
      for (double& v : x) v = nan;
      x[0] = inf;
      run();
      CHECK(same_bits(value.values(), Values(static_cast<std::size_t>(P), 0.)));
      CHECK(same_bits(dhead.values(), Values(static_cast<std::size_t>(6 * P), 0.)));
    }
  }
}

TEST_CASE("a pair's bits do not depend on its neighbours, and outputs may lie on inputs") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const Sample s(77, 5);
    const auto dtype = DType::f32;
    const Matrix mean(s.mean, s.P, 1, dtype), log_sd(s.log_sd, s.P, 1, dtype), x(s.x, s.P, 1, dtype),
        weight(s.weight, s.P, 1, dtype);
    Matrix head(s.head, s.P, 15, dtype), value(s.P, 1, dtype), dhead(s.P, 15, dtype),
        cut_value(s.P, 1, dtype), cut_dhead(s.P, 15, dtype);
    ops::mixture_loss(ctx, head, mean, log_sd, x, weight, value, dhead);
    for (std::int64_t begin = 0; begin < s.P; begin += 9) {
      const std::int64_t n = std::min<std::int64_t>(9, s.P - begin);
      ops::mixture_loss(ctx, head.view().rows(begin, n), mean.view().rows(begin, n),
                        log_sd.view().rows(begin, n), x.view().rows(begin, n), weight.view().rows(begin, n),
                        cut_value.view().rows(begin, n), cut_dhead.view().rows(begin, n));
    }
    CHECK(same_bits(value.values(), cut_value.values()));
    CHECK(same_bits(dhead.values(), cut_dhead.values()));
    ops::mixture_loss(ctx, head, mean, log_sd, x, weight, cut_value, head);
    CHECK(same_bits(dhead.values(), head.values()));
  }
}

TEST_CASE("log probabilities of intervals: closed forms, both tails, narrow and infinite ones") {
  struct Case {
    double left, right, want;
  };
  const double inf = std::numeric_limits<double>::infinity();
  // mpmath, 30 digits: log(Phi(right) - Phi(left)).
  const Case cases[] = {{-1, 1, -0.3817151463021261},      {-inf, inf, 0},
                        {-inf, 0, -0.693147180559945},     {8, 9, -35.01361859343715},
                        {-9, -8, -35.01361859343715},      {40, 41, -804.6084420137538},
                        {-41, -40, -804.6084420137538},    {100, inf, -5005.524208694205},
                        {3, 3.0000001, -21.53703433416299}};
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const Case& c : cases) {
      CAPTURE(c.left);
      // The same Gaussian twice, as two components, away from the standard one.
      const Values m{std::log(.25), std::log(.75), 2, 2, std::log(3.), std::log(3.)};
      Matrix value(1, 1, DType::f64);
      ops::mixture_log_interval(ctx, Matrix(m, 1, 6, DType::f64), Matrix({2 + 3 * c.left}, 1, 1, DType::f64),
                                Matrix({2 + 3 * c.right}, 1, 1, DType::f64), value);
      check_close(value.values(), {c.want}, 1e-15, 1e-9);
    }
    // Neighbouring intervals add up.
    const Values m{std::log(.3), std::log(.7), -1, 2, std::log(.5), std::log(1.5)};
    double total = 0;
    for (int i = -400; i < 400; ++i) {
      Matrix value(1, 1, DType::f64);
      ops::mixture_log_interval(ctx, Matrix(m, 1, 6, DType::f64), Matrix({i * .05}, 1, 1, DType::f64),
                                Matrix({(i + 1) * .05}, 1, 1, DType::f64), value);
      total += std::exp(value.values()[0]);
    }
    CHECK(std::abs(total - 1) < 1e-12);
  }
}

TEST_CASE("draws follow the mixture, share rows and uniforms, and leave unwanted pairs alone") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Values m{std::log(.2),
                     std::log(.5),
                     std::log(.3),
                     -3,
                     0,
                     4,
                     std::log(.5),
                     std::log(.2),
                     0,
                     0,
                     -1e30,
                     -1e30,
                     1,
                     9,
                     9,
                     std::log(2.),
                     0,
                     0};
      const std::int64_t K = 4096;
      Values u;
      for (std::int64_t k = 0; k < K; ++k)
        u.push_back((static_cast<double>(k) + .5) / static_cast<double>(K));
      Matrix x(2 * K, 1, dtype, 2), log_q(Values(2 * K, 10.), 2 * K, 1, dtype);
      const Matrix mixture(m, 2, 9, dtype), uniforms(u, K, 1, dtype);
      ops::mixture_draw(ctx, mixture, uniforms, {}, x, log_q);
      double sum[2] = {}, squares[2] = {};
      const Values xs = x.values(), lq = log_q.values();
      Values want;
      for (std::int64_t p = 0; p < 2 * K; ++p) {
        const auto row = static_cast<std::size_t>(p / K);
        sum[row] += at(xs, p);
        squares[row] += at(xs, p) * at(xs, p);
        want.push_back(10 +
                       log_density(Values(m.begin() + 9 * (p / K), m.begin() + 9 * (p / K) + 9), at(xs, p)));
      }
      check_close(lq, want, tolerance(dtype, 1e-5, 1e-12), tolerance(dtype, 1e-5, 1e-12));
      Matrix mean(2, 1, dtype), variance(2, 1, dtype);
      ops::mixture_moments(ctx, mixture, mean, variance);
      check_close(mean.values(), {.2 * -3 + .3 * 4, 1}, 1e-6, 1e-6);
      for (std::size_t r = 0; r < 2; ++r) {
        const double average = sum[r] / static_cast<double>(K);
        CHECK(std::abs(average - mean.values()[r]) < .01);
        CHECK(std::abs(squares[r] / static_cast<double>(K) - average * average - variance.values()[r]) < .05);
      }
      CHECK(x.gaps_intact());

      Matrix kept(Values(2 * K, 7.), 2 * K, 1, dtype);
      ops::mixture_draw(ctx, mixture, uniforms, Matrix({0, 1}, 2, 1, dtype), kept, {});
      const Values half = kept.values();
      CHECK(std::all_of(half.begin(), half.begin() + K, [](double v) { return v == 7; }));
      CHECK(same_bits(Values(half.begin() + K, half.end()), Values(xs.begin() + K, xs.end())));
    }
  }
}

TEST_CASE("categories: gradient, draws by cumulative probability, codes out of range") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const std::int64_t P : {0, 1, 31, 32, 33})
      for (const std::int64_t V : {2, 5, 64}) {
        CAPTURE(P);
        CAPTURE(V);
        Values logits = random_values(P * V, 5), weight = random_values(P, 6, 1, .3);
        const Matrix frequencies(Values(static_cast<std::size_t>(V), 1. / static_cast<double>(V)), 1, V,
                                 DType::f64);
        Tensor code({P}, DType::i32);
        for (std::int64_t p = 0; p < P; ++p)
          code.ptr<std::int32_t>()[p] = static_cast<std::int32_t>(p * 7 % V);
        const auto loss = [&](TensorView gradient) {
          Matrix value(P, 1, DType::f64);
          ops::categorical_loss(ctx, Matrix(logits, P, V, DType::f64), frequencies, code,
                                Matrix(weight, P, 1, DType::f64), value, gradient);
          double sum = 0;
          for (const double v : value.values()) sum += v;
          return sum;
        };
        Matrix gradient(P, V, DType::f64);
        loss(gradient);
        if (P > 0 && V == 5)
          check_gradient("logits", logits, gradient.values(), [&] { return loss(TensorView()); });
        Matrix log_p(P, V, DType::f64);
        ops::categorical_log_probabilities(ctx, Matrix(logits, P, V, DType::f64), frequencies, {}, log_p);
        const Values lp = log_p.values();
        for (std::int64_t p = 0; p < P; ++p) {
          double total = 0;
          for (std::int64_t v = 0; v < V; ++v) total += std::exp(at(lp, p * V + v));
          CHECK(std::abs(total - 1) < 1e-12);
        }
      }

    const Matrix log_p({std::log(.1), std::log(.6), std::log(.3), -1e30, 0, -1e30}, 2, 3, DType::f32);
    const Matrix uniforms({.05, .5, .95, .999999}, 4, 1, DType::f32);
    Tensor code({8}, DType::i32);
    Matrix log_q(Values(8, 0.), 8, 1, DType::f32);
    ops::categorical_draw(ctx, log_p, uniforms, {}, code, log_q);
    const std::int32_t want[] = {0, 1, 2, 2, 1, 1, 1, 1};
    for (int p = 0; p < 8; ++p) CHECK(code.ptr<std::int32_t>()[p] == want[p]);
    check_close(log_q.values(), {std::log(.1), std::log(.6), std::log(.3), std::log(.3), 0, 0, 0, 0}, 1e-6,
                1e-6);

    Matrix x(Values(8, -5.), 8, 1, DType::f32);
    code.ptr<std::int32_t>()[3] = -1;
    ops::categorical_values(ctx, Matrix({10, 20, 30}, 1, 3, DType::f32).flat(), code, x);
    check_close(x.values(), {10, 20, 30, -5, 20, 20, 20, 20}, 1e-300, 0);

    Matrix value(2, 1, DType::f32), dlogits(2, 3, DType::f32);
    Tensor wrong = Tensor::from(std::vector<std::int32_t>{3, -1}, {2});
    ops::categorical_loss(ctx, log_p, Matrix({.2, .3, .5}, 1, 3, DType::f32), wrong,
                          Matrix({1, 0}, 2, 1, DType::f32), value, dlogits);
    CHECK(std::isnan(value.values()[0]));
    CHECK(value.values()[1] == 0);
    CHECK(dlogits.values()[3] == 0);
  }
}

TEST_CASE("shapes that do not fit are refused") {
  Context ctx;
  Matrix head(4, 6, DType::f32), vector(4, 1, DType::f32), other(3, 1, DType::f32), odd(4, 5, DType::f32);
  CHECK_THROWS_AS(ops::mixture_loss(ctx, odd, vector, vector, vector, vector, vector, {}), ShapeError);
  CHECK_THROWS_AS(ops::mixture_loss(ctx, head, vector, other, vector, vector, vector, {}), ShapeError);
  CHECK_THROWS_AS(ops::mixture_from_head(ctx, head, vector, vector, {}, odd), ShapeError);
  Matrix pairs(6, 1, DType::f32), uniforms(4, 1, DType::f32);
  CHECK_THROWS_AS(ops::mixture_draw(ctx, head, uniforms, {}, pairs, {}), ShapeError);
  CHECK_THROWS_AS(ops::categorical_draw(ctx, head, vector, {}, vector, {}), DTypeError);
}
