// The steps of drawing against the ops that they join.
#include "emshap/ops/draw_step.h"

#include "emshap/ops/density.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/recurrent.h"
#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

Values uniform_values(std::int64_t n, std::uint64_t seed) {
  Values u = random_values(n, seed);
  for (double& v : u) v = .5 * std::erfc(-v * M_SQRT1_2);
  return u;
}

Values repeated(const Values& row, std::int64_t times) {
  Values out;
  for (std::int64_t i = 0; i < times; ++i) out.insert(out.end(), row.begin(), row.end());
  return out;
}

}  // namespace

TEST_CASE("a draw from the state is that of head, mixture and draw one after another") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t P : {1, 15, 16, 47, 48, 49, 128})
        for (const std::int64_t H : {3, 24, 64})
          for (const std::int64_t C : {1, 5})
            for (const bool shared : {false, true}) {
              CAPTURE(name_of(level));
              CAPTURE(P);
              CAPTURE(H);
              CAPTURE(shared);
              Context ctx(level);
              const std::int64_t N = shared ? 1 : P, O = 3 * C;
              const double sd = 1 / std::sqrt(static_cast<double>(H)), log_sd = -.4;
              const Values h = random_values(N * H, 1), mean = random_values(N, 2);
              const Matrix state(random_values(H * H, 3, 0, sd), H, H, dtype),
                  moments(random_values(2 * H, 4, 0, .3), 2, H, dtype),
                  feature(random_values(H, 5, 0, .3), 1, H, dtype),
                  hidden(random_values(H * H, 6, 0, sd), H, H, dtype),
                  out(random_values(H * O, 7, 0, sd), H, O, dtype),
                  bias(random_values(O, 8, 0, .3), 1, O, dtype);
              const Values u = uniform_values(P, 9), q = random_values(P, 11);
              const ops::SetHeadWeights w{moments, feature.view().reshaped({H}), hidden, out,
                                          bias.view().reshaped({O})};
              Matrix x(1, P, dtype), log_q(q, 1, P, dtype), only_x(1, P, dtype);
              const Matrix states(h, N, H, dtype), means(mean, 1, N, dtype), uniforms(u, 1, P, dtype);
              ops::draw_from_state(ctx, states, means, log_sd, state, w, uniforms, x, log_q);
              ops::draw_from_state(ctx, states, means, log_sd, state, w, uniforms, only_x, {});
              CHECK(only_x.values() == x.values());

              // With each pair's state and mean written out.
              const Matrix all(shared ? repeated(h, P) : h, P, H, dtype),
                  all_means(shared ? repeated(mean, P) : mean, 1, P, dtype),
                  log_sds(Values(static_cast<std::size_t>(P), log_sd), 1, P, dtype);
              Matrix first(P, H, dtype), u0(P, H, dtype), head(P, O, dtype), want(1, P, dtype),
                  want_q(q, 1, P, dtype);
              std::vector<std::int32_t> index;
              for (std::int32_t p = 0; p < P; ++p) index.push_back(p);
              ops::linear_forward(ctx, all, state, {}, Activation::identity, first);
              ops::set_head_forward(ctx, {Tensor::from(index, {P}), all_means, log_sds}, w, first, u0, u0,
                                    head);
              ops::mixture_from_head(ctx, head, all_means, log_sds, {}, head);
              ops::mixture_draw(ctx, head, Matrix(u, P, 1, dtype), {}, want, want_q);
              const double limit = tolerance(dtype, 2e-4, 1e-11);
              check_close(x.values(), want.values(), limit, limit);
              check_close(log_q.values(), want_q.values(), limit, limit);
            }
}

TEST_CASE("a state takes a token in as by product and gates") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t P : {1, 47, 48, 49, 130})
        for (const std::int64_t H : {3, 24, 64})
          for (const bool shared : {false, true})
            for (const bool slots : {false, true}) {
              CAPTURE(name_of(level));
              CAPTURE(P);
              CAPTURE(H);
              Context ctx(level);
              const std::int64_t N = shared ? 1 : P, S = 4;
              const double sd = 1 / std::sqrt(static_cast<double>(H));
              const Values h = random_values(N * H, 1);
              const Matrix value(random_values(P, 2), 1, P, dtype),
                  wa(random_values(3 * H, 3), 1, 3 * H, dtype),
                  wb(random_values(S * 3 * H, 4), S, 3 * H, dtype),
                  weight(random_values(H * 3 * H, 5, 0, sd), H, 3 * H, dtype),
                  bias(random_values(3 * H, 6), 1, 3 * H, dtype);
              std::vector<std::int32_t> slot, none;
              for (std::int64_t p = 0; p < P; ++p) {
                slot.push_back(slots ? static_cast<std::int32_t>(p * p % S) : 0);
                none.push_back(0);
              }
              const Tensor slot_of = Tensor::from(slot, {P});
              Matrix next(P, H, dtype), gh(P, 3 * H, dtype), want(P, H, dtype);
              const Matrix states(h, N, H, dtype), all(shared ? repeated(h, P) : h, P, H, dtype);
              ops::advance_state(ctx, states, value, wa.view().reshaped({3 * H}), wb,
                                 slots ? slot_of.view() : ConstTensorView(), weight,
                                 bias.view().reshaped({3 * H}), next);
              ops::linear_forward(ctx, all, weight, bias.view().reshaped({3 * H}), Activation::identity, gh);
              ops::gru_token_forward(ctx, {value, Tensor::from(none, {P}), slot_of}, wa, wb, gh, all, want,
                                     {});
              const double limit = tolerance(dtype, 1e-5, 1e-12);
              check_close(next.values(), want.values(), limit, limit);
              if (shared) continue;
              Matrix in_place(h, P, H, dtype);
              ops::advance_state(ctx, in_place, value, wa.view().reshaped({3 * H}), wb,
                                 slots ? slot_of.view() : ConstTensorView(), weight,
                                 bias.view().reshaped({3 * H}), in_place);
              CHECK(in_place.values() == next.values());
            }
}

TEST_CASE("what does not fit is refused") {
  Context ctx;
  const Tensor h({3, 4}), weight({4, 12}), bias({12}), wa({12}), wb({2, 12}), value({3});
  Tensor next({3, 4});
  const Tensor outside = Tensor::from(std::vector<std::int32_t>{0, 1, 2}, {3});
  CHECK_THROWS_AS(ops::advance_state(ctx, h, value, wa, wb, outside, weight, bias, next), ShapeError);
  CHECK_THROWS_AS(ops::advance_state(ctx, Tensor({2, 4}), value, wa, wb, {}, weight, bias, next), ShapeError);
  CHECK_THROWS_AS(ops::advance_state(ctx, h, value, wa, Tensor({0, 12}), {}, weight, bias, next), ShapeError);
  const ops::SetHeadWeights w{Tensor({2, 4}), Tensor({4}), Tensor({4, 4}), Tensor({4, 5}), Tensor({5})};
  Tensor x({3});
  CHECK_THROWS_AS(ops::draw_from_state(ctx, h, value, 0, Tensor({4, 4}), w, value, x, {}), ShapeError);
}
