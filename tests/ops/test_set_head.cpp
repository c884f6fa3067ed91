#include "emshap/ops/set_head.h"

#include "op_test.h"
#include "support/gradient_check.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Random operands, and the head by its formula in double.
struct Head {
  std::size_t P, N, H, O;
  Values state, mean, log_sd, moments, feature, hidden, out, bias;
  std::vector<std::int32_t> index;

  Head(std::size_t pairs, std::size_t hidden_units, std::size_t outputs)
      : P(pairs), N(pairs / 2 + 1), H(hidden_units), O(outputs) {
    const auto draw = [](std::size_t n, std::uint64_t seed, double sd) {
      return random_values(static_cast<std::int64_t>(n), seed, 0, sd);
    };
    const double sd = 1 / std::sqrt(static_cast<double>(H));
    state = draw(N * H, 1, 1);
    mean = draw(P, 2, 1);
    log_sd = draw(P, 3, 1);
    moments = draw(2 * H, 4, .3);
    feature = draw(H, 5, .3);
    hidden = draw(H * H, 6, sd);
    out = draw(H * O, 7, sd);
    bias = draw(O, 8, .3);
    for (std::size_t p = 0; p < P; ++p) index.push_back(static_cast<std::int32_t>(p * 7 % N));
  }
  Values forward() const {
    Values y(P * O);
    Values u0(H), u(H);
    for (std::size_t p = 0; p < P; ++p) {
      for (std::size_t i = 0; i < H; ++i)
        u0[i] = std::max(0.0, state[static_cast<std::size_t>(index[p]) * H + i] + mean[p] * moments[i] +
                                  log_sd[p] * moments[H + i] + feature[i]);
      for (std::size_t i = 0; i < H; ++i) {
        double z = 0;
        for (std::size_t j = 0; j < H; ++j) z += u0[j] * hidden[j * H + i];
        u[i] = u0[i] + std::max(0.0, z);
      }
      for (std::size_t o = 0; o < O; ++o) {
        y[p * O + o] = bias[o];
        for (std::size_t i = 0; i < H; ++i) y[p * O + o] += u[i] * out[i * O + o];
      }
    }
    return y;
  }
};

struct Run {
  Values y, dstate, dmoments, dfeature, dhidden, dout, dbias;
};

Run run(const Head& h, Context& ctx, DType dtype, const Values& dy, std::int64_t gap) {
  const auto P = static_cast<std::int64_t>(h.P), H = static_cast<std::int64_t>(h.H),
             O = static_cast<std::int64_t>(h.O), N = static_cast<std::int64_t>(h.N);
  const Tensor index = Tensor::from(h.index, {P});
  Matrix mean(h.mean, 1, P, dtype), log_sd(h.log_sd, 1, P, dtype), feature(h.feature, 1, H, dtype),
      bias(h.bias, 1, O, dtype);
  const Matrix state(h.state, N, H, dtype, gap), moments(h.moments, 2, H, dtype),
      hidden(h.hidden, H, H, dtype), out(h.out, H, O, dtype, gap);
  Values hidden_t(h.hidden.size()), out_t(h.out.size());
  for (std::size_t i = 0; i < h.H; ++i) {
    for (std::size_t j = 0; j < h.H; ++j) hidden_t[j * h.H + i] = h.hidden[i * h.H + j];
    for (std::size_t o = 0; o < h.O; ++o) out_t[o * h.H + i] = h.out[i * h.O + o];
  }
  const ops::SetHeadPairs pairs{index, mean.flat(), log_sd.flat()};
  Matrix u0(P, H, dtype), u(P, H, dtype, gap), y(P, O, dtype, gap), alone(P, O, dtype);
  const ops::SetHeadWeights weights{moments, feature.flat(), hidden, out, bias.flat()};
  ops::set_head_forward(ctx, pairs, weights, state, u, u, alone);  // nothing kept
  ops::set_head_forward(ctx, pairs, weights, state, u0, u, y);
  CHECK(same_bits(alone.values(), y.values()));
  CHECK(y.gaps_intact());
  Run r;
  r.y = y.values();
  Matrix dstate(Values(h.state.size(), .5), N, H, dtype), dmoments(Values(2 * h.H, .5), 2, H, dtype),
      dfeature(Values(h.H, .5), 1, H, dtype), dhidden(Values(h.H * h.H, .5), H, H, dtype),
      dout(Values(h.H * h.O, .5), H, O, dtype, gap), dbias(Values(h.O, .5), 1, O, dtype);
  ops::set_head_backward(ctx, pairs, Matrix(hidden_t, H, H, dtype), Matrix(out_t, O, H, dtype),
                         Matrix(dy, P, O, dtype, gap), u0, u, dstate,
                         {dmoments, dfeature.flat(), dhidden, dout, dbias.flat()});
  r.dstate = dstate.values();
  r.dmoments = dmoments.values();
  r.dfeature = dfeature.values();
  r.dhidden = dhidden.values();
  r.dout = dout.values();
  r.dbias = dbias.values();
  for (Values* v : {&r.dstate, &r.dmoments, &r.dfeature, &r.dhidden, &r.dout, &r.dbias})
    for (double& x : *v) x -= .5;  // gradients are added
  return r;
}

}  // namespace

TEST_CASE("the set-GRU's head equals its formula at every level, type and size") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::size_t P : {0, 1, 2, 47, 48, 49, 130})
        for (const std::size_t H : {1, 6, 16, 33, 64, 100})
          for (const std::size_t O : {1, 3, 15, 64}) {
            CAPTURE(name_of(level));
            CAPTURE(P);
            CAPTURE(H);
            CAPTURE(O);
            Context ctx(level);
            const Head h(P, H, O);
            const Values dy = random_values(static_cast<std::int64_t>(P * O), 9);
            const Run got = run(h, ctx, dtype, dy, P % 2 == 0 ? 0 : 3);
            const double eps = tolerance(dtype, 1e-5, 1e-13);
            check_close(got.y, h.forward(), eps, eps);
            if (dtype == DType::f64) continue;
            Context exact(Backend::cpu_eigen);
            const Run want = run(h, exact, DType::f64, dy, 0);
            const double some = 1e-4 * std::sqrt(static_cast<double>(P) + 1);
            check_close(got.dstate, want.dstate, 1e-4, 1e-4);
            check_close(got.dmoments, want.dmoments, some, 1e-4);
            check_close(got.dfeature, want.dfeature, some, 1e-4);
            check_close(got.dhidden, want.dhidden, some, 1e-4);
            check_close(got.dout, want.dout, some, 1e-4);
            check_close(got.dbias, want.dbias, some, 1e-4);
          }
}

TEST_CASE("the set-GRU's head: gradients by central differences") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Head h(51, 5, 4);
    const Values dy = random_values(51 * 4, 9);
    const Run r = run(h, ctx, DType::f64, dy, 0);
    const auto objective = [&] {
      const Values y = h.forward();
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
      return sum;
    };
    check_gradient("state", h.state, r.dstate, objective);
    check_gradient("moments", h.moments, r.dmoments, objective);
    check_gradient("feature", h.feature, r.dfeature, objective);
    check_gradient("hidden", h.hidden, r.dhidden, objective);
    check_gradient("out", h.out, r.dout, objective);
    check_gradient("bias", h.bias, r.dbias, objective);
  }
}

TEST_CASE("the set-GRU's head refuses states that are not there") {
  Context ctx;
  Head h(4, 3, 2);
  h.index[2] = 9;
  CHECK_THROWS_WITH_AS(run(h, ctx, DType::f32, Values(8), 0),
                       "set_head_forward: index of pair 2 is 9, expected 0 to 2 because state has 3 rows",
                       ShapeError);
}
