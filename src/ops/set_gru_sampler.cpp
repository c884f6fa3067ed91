#include "emshap/ops/set_gru_sampler.h"

#include "emshap/ops/elementwise.h"
#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/set_gru_sampler_backend.h"

namespace emshap::ops {
namespace {

using cuda::SetGruMode;
using cuda::SetGruParameters;
using cuda::SetGruTask;

constexpr const char* on_the_gpu_only =
    "the fused set-GRU runs on a GPU only; on the CPU SetGru goes step by step";

SetGruParameters parameters_of(const char* op, const Context& ctx, const SetGruWeights& w) {
  check::same_kind(op, ctx,
                   {{"wa", w.wa},
                    {"wb", w.wb},
                    {"weight_hh", w.weight_hh},
                    {"bias_hh", w.bias_hh},
                    {"start", w.start},
                    {"state", w.state},
                    {"moments", w.moments},
                    {"feature", w.feature},
                    {"hidden", w.hidden},
                    {"mixture", w.mixture},
                    {"mixture_bias", w.mixture_bias},
                    {"category", w.category},
                    {"category_bias", w.category_bias},
                    {"values", w.values},
                    {"frequencies", w.frequencies}});
  const std::int64_t F = w.feature.rows(), H = w.weight_hh.rows(), O = w.mixture.cols(),
                     V = w.values.elements();
  constexpr const char *of_units = "weight_hh has H rows",
                       *of_tables = "there are F features and V categories";
  check::shape(op, {"wa", w.wa}, Shape{F, 3 * H}, of_tables);
  check::shape(op, {"wb", w.wb}, Shape{F + V, 3 * H}, of_tables);
  check::shape(op, {"weight_hh", w.weight_hh}, Shape{H, 3 * H}, of_units);
  check::vector(op, {"bias_hh", w.bias_hh}, 3 * H, of_units);
  check::vector(op, {"start", w.start}, H, of_units);
  check::shape(op, {"state", w.state}, Shape{H, H}, of_units);
  check::shape(op, {"moments", w.moments}, Shape{2, H}, of_units);
  check::shape(op, {"feature", w.feature}, Shape{F, H}, of_units);
  check::shape(op, {"hidden", w.hidden}, Shape{H, H}, of_units);
  check::shape(op, {"mixture", w.mixture}, Shape{H, O}, of_units);
  check::vector(op, {"mixture_bias", w.mixture_bias}, O, "mixture has as many columns");
  if (O == 0 || O % 3 != 0)
    throw ShapeError(fmt::format("{}: mixture has {} columns, expected 3 for each component", op, O));
  SetGruParameters p{};
  p.sizes = {F, H, O / 3, V, V > 0 ? w.widest : 0};
  p.wa = mat<float>(w.wa);
  p.wb = mat<float>(w.wb);
  p.weight_hh = mat<float>(w.weight_hh);
  p.state = mat<float>(w.state);
  p.moments = mat<float>(w.moments);
  p.feature = mat<float>(w.feature);
  p.hidden = mat<float>(w.hidden);
  p.mixture = mat<float>(w.mixture);
  p.bias_hh = w.bias_hh.ptr<float>();
  p.start = w.start.ptr<float>();
  p.mixture_bias = w.mixture_bias.ptr<float>();
  if (V == 0) return p;
  check::shape(op, {"category", w.category}, Shape{H, V}, of_tables);
  check::vector(op, {"category_bias", w.category_bias}, V, of_tables);
  check::vector(op, {"frequencies", w.frequencies}, V, of_tables);
  check::same_kind(op, ctx, {{"offsets", w.offsets}});
  check::vector(op, {"offsets", w.offsets}, F + 1, of_tables);
  p.category = mat<float>(w.category);
  p.category_bias = w.category_bias.ptr<float>();
  p.values = w.values.ptr<float>();
  p.frequencies = w.frequencies.ptr<float>();
  p.offsets = w.offsets.ptr<std::int32_t>();
  return p;
}

SetGruTask task_of(const char* op, const Context& ctx, SetGruMode mode, const SetGruWeights& w,
                   const SetGruRows& rows) {
  const std::int64_t B = rows.x.rows(), F = w.feature.rows();
  constexpr const char* why = "the model has F features and x B rows";
  check::same_kind(op, ctx, {{"x", rows.x}, {"mask", rows.mask}});
  check::same_kind(
      op, ctx,
      {{"sequence", rows.sequence}, {"known", rows.known}, {"count", rows.count}, {"code", rows.code}});
  check::shape(op, {"x", rows.x}, Shape{B, F}, why);
  check::shape(op, {"mask", rows.mask}, Shape{B, F}, why);
  check::shape(op, {"sequence", rows.sequence}, Shape{B, F}, why);
  check::vector(op, {"known", rows.known}, B, why);
  check::vector(op, {"count", rows.count}, B, why);
  SetGruTask task{};
  task.mode = mode;
  task.rows = B;
  task.draws = 1;
  task.x = mat<float>(rows.x);
  task.mask = mat<float>(rows.mask);
  task.sequence = mat<std::int32_t>(rows.sequence);
  task.known = rows.known.ptr<std::int32_t>();
  task.count = rows.count.ptr<std::int32_t>();
  if (w.values.elements() == 0) return task;
  check::shape(op, {"code", rows.code}, Shape{B, F}, why);
  task.code = mat<std::int32_t>(rows.code);
  return task;
}

void set_base(const char* op, const Context& ctx, const SetGruBase& base, const ConstTensorView& context,
              std::int64_t hidden, SetGruTask& task) {
  const std::int64_t B = task.rows, F = task.x.cols;
  check::same_kind(
      op, ctx,
      {{"base mean", base.mean}, {"base log_sd", base.log_sd}, {"gains", base.gains}, {"context", context}});
  constexpr const char* why = "x has B rows and F columns";
  check::shape(op, {"base mean", base.mean}, Shape{B, F}, why);
  check::shape(op, {"base log_sd", base.log_sd}, Shape{B, F}, why);
  check::shape(op, {"context", context}, Shape{B, hidden}, "the model has H units");
  if (cuda::takes_in(task.mode)) check::shape(op, {"gains", base.gains}, Shape{B, F, F}, why);
  task.base_mean = mat<float>(base.mean);
  task.base_log_sd = mat<float>(base.log_sd);
  task.gains = mat<float>(base.gains);
  task.context_in = mat<float>(context);
}

Mat<float> wanted_vector(const char* op, const char* name, const TensorView& v, std::int64_t count) {
  if (v.elements() == 0) return {};
  check::vector(op, {name, v}, count, "there is one a draw");
  return mat<float>(v);
}

/// mixture as one row a feature, zeros to begin with.
void set_distributions(const char* op, Context& ctx, const SetGruParameters& p, TensorView mixture,
                       TensorView categorical, SetGruTask& task) {
  const std::int64_t B = task.rows, F = p.sizes.features, O = 3 * p.sizes.components;
  if (mixture.elements() > 0) {
    check::shape(op, {"mixture", mixture}, Shape{B, F, O}, "there are 3 C numbers a feature");
    check::same_kind(op, ctx, {{"mixture", mixture}});
    check::contiguous(op, {"mixture", mixture}, "entries without a distribution are cleared at once");
    fill(ctx, 0, mixture);
    task.mixture = {mixture.ptr<float>(), B * F, O, O};
  }
  if (categorical.elements() > 0) {
    check::shape(op, {"categorical", categorical}, Shape{B, p.sizes.categories}, "there are V categories");
    check::same_kind(op, ctx, {{"categorical", categorical}});
    fill(ctx, 0, categorical);
    task.categorical = mat<float>(categorical);
  }
}

}  // namespace

bool fused_set_gru(const Context& ctx) {
  return ctx.backend() == Backend::cuda;
}

void set_sequences(Context& ctx, ConstTensorView mask, ConstTensorView target,
                   std::span<const std::int64_t> order, TensorView sequence, TensorView known,
                   TensorView count) {
  constexpr const char* op = "set_sequences";
  const std::int64_t B = mask.rows(), F = mask.cols();
  check::same_kind(op, ctx, {{"mask", mask}, {"target", target}});
  check::same_kind(op, ctx, {{"sequence", sequence}, {"known", known}, {"count", count}});
  check::shape(op, {"sequence", sequence}, Shape{B, F}, "mask has B rows and F columns");
  check::vector(op, {"known", known}, B, "mask has B rows");
  check::vector(op, {"count", count}, B, "mask has B rows");
  if (target.elements() > 0) check::same_extent(op, {"target", target}, {"mask", mask});
  if (!order.empty() && static_cast<std::int64_t>(order.size()) != F)
    throw ShapeError(fmt::format("{}: the order has {} entries, expected {}", op, order.size(), F));
  EMSHAP_TRACE(ctx, op);
  if (B == 0) return;
  EMSHAP_DISPATCH_CUDA(
      ctx, on_the_gpu_only,
      set_sequences(ctx, mat<float>(mask), target.elements() > 0 ? mat<float>(target) : Mat<const float>{},
                    order.empty() ? nullptr : order.data(), mat<std::int32_t>(sequence),
                    known.ptr<std::int32_t>(), count.ptr<std::int32_t>()));
}

void set_gru_context(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows, TensorView context) {
  constexpr const char* op = "set_gru_context";
  const SetGruParameters p = parameters_of(op, ctx, weights);
  SetGruTask task = task_of(op, ctx, SetGruMode::context, weights, rows);
  check::same_kind(op, ctx, {{"context", context}});
  check::shape(op, {"context", context}, Shape{task.rows, p.sizes.hidden}, "the model has H units");
  task.context = mat<float>(context);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, on_the_gpu_only, run_set_gru(ctx, p, task));
}

void set_gru_draw(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows, const SetGruBase& base,
                  ConstTensorView context, const SetGruNoise& noise, TensorView x, TensorView code,
                  TensorView log_q) {
  constexpr const char* op = "set_gru_draw";
  const SetGruParameters p = parameters_of(op, ctx, weights);
  const bool chained = base.gains.elements() > 0 || rows.x.rows() == 0;
  SetGruTask task = task_of(op, ctx, chained ? SetGruMode::draw : SetGruMode::draw_one_shot, weights, rows);
  set_base(op, ctx, base, context, p.sizes.hidden, task);
  const std::int64_t B = task.rows, F = p.sizes.features, N = x.rows();
  check::same_kind(op, ctx, {{"x", x}, {"log_q", log_q}, {"noise", noise.uniforms}});
  if (x.cols() != F || (B == 0 ? N != 0 : N % B != 0))
    throw ShapeError(fmt::format("{}: x has shape {}, expected K rows for each of {} and {} columns", op,
                                 x.shape().str(), B, F));
  if (N == 0) return;
  task.draws = N / B;
  task.drawn = mat<float>(x);
  task.log_q = wanted_vector(op, "log_q", log_q, N);
  if (p.sizes.categories > 0) {
    check::same_kind(op, ctx, {{"code", code}});
    check::shape(op, {"code", code}, Shape{N, F}, "x has as many rows");
    task.drawn_code = mat<std::int32_t>(code);
  }
  if (noise.uniforms.elements() > 0) {
    const bool shared = noise.uniforms.rows() == task.draws;
    check::shape(op, {"noise", noise.uniforms}, Shape{shared ? task.draws : N, F}, "a draw takes F numbers");
    task.noise = mat<float>(noise.uniforms);
  } else {
    if (noise.kind != DrawNoise::independent)
      throw ConfigError(
          fmt::format("{}: only independent noise is made in the kernel; others are given", op));
    check::same_kind(op, ctx, {{"numbers", noise.numbers}});
    check::vector(op, {"numbers", noise.numbers}, B, "each row has a number");
    if ((F + 3) / 4 * (noise.first_draw + task.draws) > std::int64_t{1} << 28)
      throw ConfigError(fmt::format("{}: {} draws of {} numbers are more than a row's stream holds", op,
                                    noise.first_draw + task.draws, F));
    task.key = noise.key;
    task.numbers = noise.numbers.ptr<std::int32_t>();
    task.first_draw = noise.first_draw;
  }
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, on_the_gpu_only, run_set_gru(ctx, p, task));
}

void set_gru_score(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows, const SetGruBase& base,
                   ConstTensorView context, TensorView log_q, TensorView mixture, TensorView categorical) {
  constexpr const char* op = "set_gru_score";
  const SetGruParameters p = parameters_of(op, ctx, weights);
  SetGruTask task = task_of(op, ctx, SetGruMode::score, weights, rows);
  set_base(op, ctx, base, context, p.sizes.hidden, task);
  check::same_kind(op, ctx, {{"log_q", log_q}});
  task.log_q = wanted_vector(op, "log_q", log_q, task.rows);
  set_distributions(op, ctx, p, mixture, categorical, task);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, on_the_gpu_only, run_set_gru(ctx, p, task));
}

void set_gru_conditionals(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows,
                          const SetGruBase& base, ConstTensorView context, TensorView mixture,
                          TensorView categorical) {
  constexpr const char* op = "set_gru_conditionals";
  const SetGruParameters p = parameters_of(op, ctx, weights);
  SetGruTask task = task_of(op, ctx, SetGruMode::conditionals, weights, rows);
  set_base(op, ctx, base, context, p.sizes.hidden, task);
  set_distributions(op, ctx, p, mixture, categorical, task);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, on_the_gpu_only, run_set_gru(ctx, p, task));
}

}  // namespace emshap::ops
