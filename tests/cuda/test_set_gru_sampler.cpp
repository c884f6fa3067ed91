// The fused set-GRU against the model on the CPU, for the same uniform numbers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/set_gru_device.h"
#include "emshap/core/error.h"
#include "math/sampler_shape.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double near = 1e-4;  // of the features' standard deviations, which are about 1

std::vector<Backend> gpus() {
  std::vector<Backend> found;
  for (const Backend b : backends())
    if (b == Backend::cuda) found.push_back(b);
  return found;
}

struct Setup {
  Setup(Backend backend, const std::vector<std::int64_t>& categories, std::int64_t B, std::int64_t hidden,
        std::int64_t components = 2)
      : ctx(make_context(backend)),
        memory(ctx->device()),
        model([&] {
          SetGruOptions o = set_gru_options(categories, hidden);
          o.components = components;
          return o;
        }()),
        rows(set_gru_rows(model.layout(), B, DType::f32, .2)),
        mask(set_gru_masks(B, F(), DType::f32)) {
    randomise(model.store(), 2);
    // Missing entries are neither known nor target.
    std::vector<double> known = to_doubles(mask), wanted(known.size(), 0);
    const auto observed = to_doubles(rows.observed);
    for (std::size_t i = 0; i < known.size(); ++i) {
      known[i] *= observed[i];
      wanted[i] = observed[i] > 0 && known[i] == 0 ? 1 : 0;
    }
    mask = make_tensor(known, {B, F()}, DType::f32);
    target = make_tensor(wanted, {B, F()}, DType::f32);
    weights = device_weights(model, memory);
  }
  std::int64_t F() const { return model.layout().features(); }
  std::int64_t H() const { return model.context_width(); }

  std::unique_ptr<Context> ctx;
  OnDevice memory;
  SetGru model;
  SetGruRows rows;
  Tensor mask, target;
  ops::SetGruWeights weights;
};

/// At least 99.9 % of the draws within `near`: the others had a uniform number at an edge.
void check_draws(const std::string& what, const std::vector<double>& got, const std::vector<double>& ref) {
  REQUIRE(got.size() == ref.size());
  std::size_t far = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE_MESSAGE(std::isfinite(got[i]), what);
    if (std::abs(got[i] - ref[i]) > near * std::max(1., std::abs(ref[i]))) ++far;
  }
  INFO(what << ": " << far << " of " << got.size() << " draws away from the CPU's");
  CHECK(static_cast<double>(far) <= .001 * static_cast<double>(got.size()));
}

void check_draw(Setup& s, std::int64_t K, bool shared, bool all, std::span<const std::int64_t> order) {
  const std::int64_t B = s.rows.x.rows(), F = s.F();
  const Tensor noise = uniform_noise(shared ? K : B * K, F, DType::f32);
  const ConstTensorView target = all ? ConstTensorView() : s.target.view();
  Context cpu;
  Draws ref;
  s.model.draw(cpu, s.rows.rows(), s.mask, K, noise, DrawMode::autoregressive, ref, target, order);
  const DeviceRows d = device_rows(*s.ctx, s.model, s.rows, s.mask, target, order, s.memory);
  const TensorView context = s.memory.make({B, s.H()}), x = s.memory.make({B * K, F}),
                   log_q = s.memory.make({B * K});
  const bool categorical = s.model.layout().total_categories() > 0;
  const TensorView code = s.memory.make({categorical ? B * K : 0, F}, DType::i32);
  ops::set_gru_context(*s.ctx, s.weights, d.rows, context);
  ops::SetGruNoise given;
  given.uniforms = s.memory.copy(noise);
  ops::set_gru_draw(*s.ctx, s.weights, d.rows, d.base, context, given, x, code, log_q);
  const std::string what = fmt::format("{} features, {} rows of {} draws, {} units", F, B, K, s.H());
  check_close(what + ", context", context, ref.context, {2e-5, 2e-5});
  check_draws(what, to_doubles(x), to_doubles(ref.x));
  if (categorical) {
    const auto got = integers_of(code), expected = integers_of(ref.code);
    check_draws(what + ", codes", {got.begin(), got.end()}, {expected.begin(), expected.end()});
  }
  const auto got = to_doubles(log_q), expected = to_doubles(ref.log_q);
  std::size_t far = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    if (!(std::abs(got[i] - expected[i]) <= 1e-3 * std::max(1., std::abs(expected[i])))) ++far;
  CHECK(static_cast<double>(far) <= .002 * static_cast<double>(got.size() * static_cast<std::size_t>(F)));
  // Again, and without log q: the same bits.
  const TensorView again = s.memory.make({B * K, F});
  ops::set_gru_draw(*s.ctx, s.weights, d.rows, d.base, context, given, again, code, {});
  check_same_bits(what + ", again", to_doubles(again), to_doubles(x));
}

}  // namespace

TEST_CASE("small: sequences, known ascending, then the wanted ones in their order") {
  for (const Backend backend : gpus())
    for (const std::int64_t F : {std::int64_t{6}, std::int64_t{700}}) {  // 700: an order in two launches
      const auto ctx = make_context(backend);
      OnDevice memory(ctx->device());
      const std::int64_t B = 33;
      const auto m = random_values(B * F, 1), w = random_values(B * F, 2);
      std::vector<double> mask, target;
      for (const double v : m) mask.push_back(v > 0);
      for (const double v : w) target.push_back(v > 0);
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < F; ++i) order.push_back((i * 11 + 3) % F);
      const ConstTensorView md = memory.copy(make_tensor(mask, {B, F}, DType::f32)),
                            td = memory.copy(make_tensor(target, {B, F}, DType::f32));
      for (const bool all : {false, true})
        for (const bool ordered : {false, true}) {
          const TensorView sequence = memory.make({B, F}, DType::i32), known = memory.make({B}, DType::i32),
                           count = memory.make({B}, DType::i32);
          ops::set_sequences(*ctx, md, all ? ConstTensorView() : td,
                             ordered ? std::span<const std::int64_t>(order) : std::span<const std::int64_t>(),
                             sequence, known, count);
          const auto s = integers_of(sequence), k = integers_of(known), n = integers_of(count);
          bool same = true;
          for (std::int64_t b = 0; b < B; ++b) {
            std::vector<std::int32_t> expected;
            const auto at = [&](std::int64_t t) { return static_cast<std::size_t>(b * F + t); };
            for (std::int64_t t = 0; t < F; ++t)
              if (mask[at(t)] > 0) expected.push_back(static_cast<std::int32_t>(t));
            same = same && k[static_cast<std::size_t>(b)] == static_cast<std::int32_t>(expected.size());
            for (std::int64_t i = 0; i < F; ++i) {
              const std::int64_t t = ordered ? order[static_cast<std::size_t>(i)] : i;
              if (mask[at(t)] == 0 && (all || target[at(t)] > 0))
                expected.push_back(static_cast<std::int32_t>(t));
            }
            same = same && n[static_cast<std::size_t>(b)] == static_cast<std::int32_t>(expected.size()) &&
                   std::equal(expected.begin(), expected.end(), s.begin() + b * F);
          }
          CHECK(same);
        }
    }
}

TEST_CASE("small: draws are those of the CPU for the same uniform numbers") {
  for (const Backend backend : gpus()) {
    for (const std::int64_t hidden : {5, 64}) {
      Setup mixed(backend, {0, 3, 0, 0, 2, 0}, 7, hidden);
      const std::vector<std::int64_t> order{5, 0, 3, 4, 1, 2};
      check_draw(mixed, 5, false, false, {});
      check_draw(mixed, 5, true, true, order);
      Setup numeric(backend, {0, 0, 0, 0}, 5, hidden, hidden == 64 ? 5 : 1);
      check_draw(numeric, 40, true, true, {});
      check_draw(numeric, 33, false, false, {});
    }
    for (const std::int64_t B : {1, 2, 15, 16, 17, 63, 65}) {
      Setup numeric(backend, {0, 0, 2}, B, 6);
      check_draw(numeric, 1, false, false, {});
    }
  }
}

TEST_CASE("small: the score is the sum of the log densities of sequential, and distributions are the CPU's") {
  for (const Backend backend : gpus())
    for (const std::int64_t hidden : {5, 64}) {
      Setup s(backend, {0, 3, 0, 0, 2, 0}, 37, hidden);
      const std::int64_t B = 37, F = s.F(), C = 2, V = 5;
      Context cpu;
      Conditionals ref;
      s.model.sequential(cpu, s.rows.rows(), s.mask, s.target, ref);
      const DeviceRows d = device_rows(*s.ctx, s.model, s.rows, s.mask, s.target, {}, s.memory);
      const TensorView context = s.memory.make({B, hidden}), log_q = s.memory.make({B}),
                       mixture = s.memory.make({B, F, 3 * C}), categorical = s.memory.make({B, V});
      ops::set_gru_context(*s.ctx, s.weights, d.rows, context);
      ops::set_gru_score(*s.ctx, s.weights, d.rows, d.base, context, log_q, mixture, categorical);
      check_close("sequential mixture", mixture, ref.mixture, {1e-4, 1e-4});
      check_close("sequential categorical", categorical, ref.categorical, {1e-4, 1e-4});
      const auto wanted = to_doubles(s.target), x = to_doubles(s.rows.x);
      std::vector<double> expected(static_cast<std::size_t>(B), 0);
      for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t t = 0; t < F; ++t) {
          const auto i = static_cast<std::size_t>(b * F + t);
          if (wanted[i] > 0)
            expected[static_cast<std::size_t>(b)] +=
                log_density(s.model, ref, b, t, x[i], s.rows.code.ptr<std::int32_t>()[i]);
        }
      check_close("score", to_doubles(log_q), expected, {1e-3, 1e-4});

      s.model.conditionals(cpu, s.rows.rows(), s.mask, ref);
      const DeviceRows all = device_rows(*s.ctx, s.model, s.rows, s.mask, {}, {}, s.memory);
      ops::set_gru_conditionals(*s.ctx, s.weights, all.rows, all.one_shot, context, mixture, categorical);
      check_close("one-shot mixture", mixture, ref.mixture, {1e-4, 1e-4});
      check_close("one-shot categorical", categorical, ref.categorical, {1e-4, 1e-4});
      check_close("context", context, ref.context, {2e-5, 2e-5});
    }
}

TEST_CASE("a SetGru on the GPU gives what one on the CPU gives") {
  for (const Backend backend : gpus()) {
    Setup s(backend, {0, 3, 0, 0, 2, 0}, 19, 12);
    const std::int64_t B = 19, K = 6, F = s.F();
    SetGru there(s.model.options(), DType::f32, s.ctx->device());
    there.store().copy_from(s.model.store());
    const ConstTensorView mask = s.memory.copy(s.mask), target = s.memory.copy(s.target);
    const FeatureRows rows{s.memory.copy(s.rows.x), s.memory.copy(s.rows.code)};
    Context cpu;
    Conditionals ref, got;
    s.model.conditionals(cpu, s.rows.rows(), s.mask, ref);
    there.conditionals(*s.ctx, rows, mask, got);
    check_close("conditionals", got.mixture, ref.mixture, {1e-4, 1e-4});
    check_close("conditionals, categories", got.categorical, ref.categorical, {1e-4, 1e-4});
    check_close("context", got.context, ref.context, {2e-5, 2e-5});
    s.model.sequential(cpu, s.rows.rows(), s.mask, s.target, ref);
    there.sequential(*s.ctx, rows, mask, target, got);
    check_close("sequential", got.mixture, ref.mixture, {1e-4, 1e-4});
    check_close("sequential, categories", got.categorical, ref.categorical, {1e-4, 1e-4});
    Tensor expected({B});
    s.model.log_density(cpu, s.rows.rows(), s.mask, s.target, expected);
    std::vector<double> sums(static_cast<std::size_t>(B), 0);
    const auto wanted = to_doubles(s.target), x = to_doubles(s.rows.x);
    for (std::int64_t i = 0; i < B * F; ++i)
      if (wanted[static_cast<std::size_t>(i)] > 0)
        sums[static_cast<std::size_t>(i / F)] += log_density(
            s.model, ref, i / F, i % F, x[static_cast<std::size_t>(i)], s.rows.code.ptr<std::int32_t>()[i]);
    check_close("log density on the CPU", to_doubles(expected), sums, {1e-4, 1e-4});
    const TensorView log_q = s.memory.make({B});
    there.log_density(*s.ctx, rows, mask, target, log_q);
    check_close("log density", log_q, expected, {1e-3, 1e-4});

    const Tensor noise = uniform_noise(B * K, F, DType::f32);
    const std::vector<std::int64_t> order{5, 0, 3, 4, 1, 2};
    for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot})
      for (const bool ordered : {false, true}) {
        const std::span<const std::int64_t> given =
            ordered ? std::span<const std::int64_t>(order) : std::span<const std::int64_t>();
        Draws a, b;
        s.model.draw(cpu, s.rows.rows(), s.mask, K, noise, mode, a, s.target, given);
        there.draw(*s.ctx, rows, mask, K, s.memory.copy(noise), mode, b, target, given);
        check_draws("draws", to_doubles(b.x), to_doubles(a.x));
        const auto codes = integers_of(b.code);
        CHECK(std::equal(codes.begin(), codes.end(), a.code.ptr<std::int32_t>()));
        check_close("log q", b.log_q, a.log_q, {2e-3, 1e-3});
        check_close("context", b.context, a.context, {2e-5, 2e-5});
      }
  }
}

TEST_CASE("small: noise made in the kernel has the bits of fill_draw_noise") {
  for (const Backend backend : gpus()) {
    Setup s(backend, {0, 0, 3, 0, 0}, 9, 6);
    const std::int64_t B = 9, K = 7, F = s.F();
    const RandomKey key{.seed = 11, .purpose = RandomPurpose::proposal, .step = 3};
    std::vector<std::int64_t> numbers;
    std::vector<std::int32_t> short_numbers;
    for (std::int32_t b = 0; b < B; ++b) {
      numbers.push_back(5 * b + 2);
      short_numbers.push_back(5 * b + 2);
    }
    Context cpu;
    Tensor uniforms({B * K, F});
    ops::fill_draw_noise(cpu, DrawNoise::independent, key, numbers, 4, K, uniforms);
    const DeviceRows d = device_rows(*s.ctx, s.model, s.rows, s.mask, {}, {}, s.memory);
    const TensorView context = s.memory.make({B, s.H()}), x = s.memory.make({B * K, F}),
                     y = s.memory.make({B * K, F}), code = s.memory.make({B * K, F}, DType::i32);
    ops::set_gru_context(*s.ctx, s.weights, d.rows, context);
    ops::SetGruNoise given, made;
    given.uniforms = s.memory.copy(uniforms);
    made.key = key;
    made.numbers = s.memory.copy(Tensor::from(short_numbers, {B}));
    made.first_draw = 4;
    ops::set_gru_draw(*s.ctx, s.weights, d.rows, d.base, context, given, x, code, {});
    ops::set_gru_draw(*s.ctx, s.weights, d.rows, d.base, context, made, y, code, {});
    check_same_bits("draws", to_doubles(y), to_doubles(x));
  }
}

TEST_CASE("no rows are no work, and the CPU says what it does instead") {
  for (const Backend backend : gpus()) {
    Setup s(backend, {0, 0}, 0, 4);
    const DeviceRows d = device_rows(*s.ctx, s.model, s.rows, s.mask, {}, {}, s.memory);
    ops::set_gru_context(*s.ctx, s.weights, d.rows, s.memory.make({0, 4}));
    CHECK(ops::fused_set_gru(*s.ctx));
  }
  Context cpu;
  CHECK_FALSE(ops::fused_set_gru(cpu));
  Tensor mask = Tensor::zeros({1, 2}), sequence({1, 2}, DType::i32), known({1}, DType::i32),
         count({1}, DType::i32);
  CHECK_THROWS_AS(ops::set_sequences(cpu, mask, {}, {}, sequence, known, count), DeviceError);
}

TEST_CASE("tiles fit their shared memory, and what they hold does not overlap") {
  constexpr std::int64_t h100 = 227 * 1024, turing = 64 * 1024;
  for (const std::int64_t limit : {h100, turing})
    for (const std::int64_t F : {1, 8, 21, 300})
      for (const std::int64_t H : {1, 5, 64, 128, 512})
        for (const std::int64_t n : {1, 63, 64, 65, 4096, 1 << 20}) {
          const math::SamplerSizes sizes{F, H, 5, 7, 4};
          const math::SamplerTile t = math::sampler_tile(sizes, n, limit);
          const math::SamplerWeights w = math::sampler_weights(sizes);
          if (t.draws == 0) {
            CHECK(math::sampler_tile_of(sizes, math::sampler_quad, false).bytes > limit);
            continue;
          }
          CHECK(t.bytes <= limit);
          CHECK(t.draws % math::sampler_quad == 0);
          CHECK(t.stride % math::sampler_quad == 0);
          std::int64_t end = t.shared_weights ? w.every_step : 0;
          for (const std::int64_t state : t.states) {
            CHECK(state >= end);
            CHECK(state % math::sampler_quad == 0);
            end = state + (w.units - 1) * t.stride + t.draws;
          }
          CHECK(t.means >= end);
          CHECK(t.heads >= t.means + (t.draws - 1) * t.mean_stride + F);
          CHECK(t.numbers >= t.heads + (t.draws - 1) * t.head_stride + t.head_width + 4 * sizes.components);
          CHECK(t.bytes == 4 * (t.numbers + math::sampler_numbers * t.draws));
        }
  // The default model keeps its weights in shared memory with the largest tile; few draws get small tiles.
  const math::SamplerSizes usual{20, 64, 5, 0, 0};
  CHECK(math::sampler_tile(usual, 1 << 20, h100).draws == math::sampler_most_draws);
  CHECK(math::sampler_tile(usual, 1 << 20, h100).shared_weights);
  CHECK(math::sampler_tile(usual, 100, h100).draws == 16);
  CHECK_FALSE(math::sampler_tile({20, 512, 5, 0, 0}, 1 << 20, h100).shared_weights);
  CHECK(math::sampler_weights({3, 5, 2, 4, 2}).units == 8);
  // The sizes that docs/cuda.md tells.
  const std::int64_t weights = 4 * math::sampler_weights(usual).every_step;
  CHECK((weights + 512) / 1024 == 85);
  CHECK((math::sampler_tile_of(usual, 64, true).bytes - weights + 512) / 1024 == 68);
}
