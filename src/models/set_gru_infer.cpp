// The set-GRU's conditional distributions. A tile of rows goes through all features in ascending order; at
// each step the rows concerned are gathered, so that whatever the masks are, no work is done for others.
#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/set_gru_sampler.h"
#include "models/set_gru_fused.h"
#include "models/set_gru_walk.h"

namespace emshap {
namespace {

using namespace set_gru;

/// Writes a head's output as distributions: columns of `out`, rows begin + active.
template <class T>
void write_distributions(Context& ctx, Network<T>& net, std::int64_t t, std::int64_t offset,
                         std::int64_t begin, const Active& active, ConstTensorView mean,
                         ConstTensorView log_sd, TensorView head, Conditionals& out) {
  const std::int64_t O = head.cols();
  if (net.categories(t) > 0)
    ops::categorical_log_probabilities(ctx, head, net.frequencies(t), {}, head);
  else
    ops::mixture_from_head(ctx, head, mean, log_sd, {}, head);
  const T* from = head.ptr<T>();
  const bool categorical = net.categories(t) > 0;
  Tensor& table = categorical ? out.categorical : out.mixture;
  const std::int64_t width = categorical ? table.cols() : table.shape()[1] * O;
  const std::int64_t place = categorical ? offset : t * O;
  for (std::int64_t i = 0; i < active.size(); ++i)
    std::copy(from + i * O, from + (i + 1) * O, table.ptr<T>() + (begin + active[i]) * width + place);
}

void prepare_output(Context& ctx, const SetGruOptions& o, std::int64_t B, DType dtype, Conditionals& out) {
  const Device device = ctx.device();
  out.mixture.ensure({B, o.layout.features(), 3 * o.components}, dtype, device);
  out.categorical.ensure({B, o.layout.total_categories()}, dtype, device);
  out.context.ensure({B, o.hidden}, dtype, device);
  ops::fill(ctx, 0, out.mixture);
  if (out.categorical.elements() > 0) ops::fill(ctx, 0, out.categorical);
}

template <class T>
void conditionals_on(Context& ctx, const SetGruOptions& o, const ParameterStore& store,
                     const SetGru::Impl& impl, const Rows<T>& in, Conditionals& out) {
  const std::int64_t B = in.rows.x.rows(), F = o.layout.features();
  prepare_output(ctx, o, B, store.dtype(), out);
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t most = std::min(B, rows_of_tile);
  Network<T> net(ctx, o, store, impl, most);
  Active active(ctx, most);
  const TensorView mu = net.make({most, F}), log_sd = net.make({most, F});
  const TensorView mean = net.make({most}), sd = net.make({most});
  const TensorView head = net.make({most * widest(o.layout, o.components)});
  for (std::int64_t begin = 0; begin < B; begin += most) {
    const std::int64_t R = std::min(most, B - begin);
    const TensorView h = out.context.view().rows(begin, R);
    scan(net, in, begin, F, active, h);
    ops::base_conditionals(ctx, impl.mean, impl.covariance, in.rows.x.rows(begin, R), in.mask.rows(begin, R),
                           mu.rows(0, R), log_sd.rows(0, R));
    const TensorView state = net.first_layer(h);
    for (std::int64_t t = 0; t < F; ++t) {
      active.clear();
      for (std::int64_t r = 0; r < R; ++r) {
        if (in.is_known(begin + r, t)) continue;
        mean.ptr<T>()[active.size()] = mu.ptr<T>()[r * F + t];
        sd.ptr<T>()[active.size()] = log_sd.ptr<T>()[r * F + t];
        active.push(r);
      }
      const std::int64_t n = active.size(), O = net.outputs(t);
      if (n == 0) continue;
      const TensorView raw = head.columns(0, n * O).reshaped({n, O});
      net.head(t, active.view(), net.vector(mean, n), net.vector(sd, n), state, raw);
      write_distributions(ctx, net, t, impl.offsets[static_cast<std::size_t>(t)], begin, active,
                          net.vector(mean, n), net.vector(sd, n), raw, out);
    }
  }
}

template <class T>
void sequential_on(Context& ctx, const SetGruOptions& o, const ParameterStore& store,
                   const SetGru::Impl& impl, const Rows<T>& in, ConstTensorView target, Conditionals& out) {
  const std::int64_t B = in.rows.x.rows(), F = o.layout.features();
  prepare_output(ctx, o, B, store.dtype(), out);
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t most = std::min(B, rows_with_gains(F));
  Walk<T> walk(ctx, o, store, impl, most, most);
  const TensorView x = walk.net().make({most, F});
  const auto wanted = [&](std::int64_t r, std::int64_t t) {
    return known(static_cast<double>(target.ptr<T>()[r * target.row_stride() + t]));
  };
  for (std::int64_t begin = 0; begin < B; begin += most) {
    const std::int64_t R = std::min(most, B - begin);
    walk.begin_rows(in, begin, R, out.context.view().rows(begin, R), wanted);
    ops::copy(ctx, in.rows.x.rows(begin, R), x.rows(0, R));
    walk.walk(
        1, x.rows(0, R), [&](std::int64_t r, std::int64_t t) { return in.code(begin + r, t); },
        [&](std::int64_t t, const Active& active, TensorView mean, TensorView log_sd, TensorView head) {
          write_distributions(ctx, walk.net(), t, impl.offsets[static_cast<std::size_t>(t)], begin, active,
                              mean, log_sd, head, out);
        });
  }
}

template <class T>
void log_density_on(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const Rows<T>& in,
                    ConstTensorView target, TensorView out) {
  const std::int64_t B = in.rows.x.rows(), F = model.layout().features();
  Conditionals q;
  model.sequential(ctx, in.rows, in.mask, target, q);
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const TensorView x = scratch(ctx, {B, F}, model.dtype()), value = scratch(ctx, {B * F}, model.dtype());
  ops::copy(ctx, in.rows.x, x);
  ops::mixture_log_density(ctx, q.mixture.view().reshaped({B * F, 3 * model.components()}),
                           x.reshaped({B * F}), value);
  for (std::int64_t b = 0; b < B; ++b) {
    double sum = 0;
    for (std::int64_t t = 0; t < F; ++t) {
      if (in.is_known(b, t) || !known(static_cast<double>(target.ptr<T>()[b * target.row_stride() + t])))
        continue;
      const bool categorical = model.layout().categorical(t);
      const std::int64_t place = categorical ? impl.offsets[static_cast<std::size_t>(t)] + in.code(b, t) : 0;
      sum += static_cast<double>(categorical ? q.categorical.ptr<T>()[b * q.categorical.cols() + place]
                                             : value.ptr<T>()[b * F + t]);
    }
    out.ptr<T>()[b] = static_cast<T>(sum);
  }
}

}  // namespace

void SetGru::conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                          Conditionals& out) const {
  constexpr const char* what = "set-GRU, conditionals";
  check_rows(what, options_.layout, rows, dtype());
  check_mask(what, "mask", rows, mask);
  if (ops::fused_set_gru(ctx)) return fused_conditionals(ctx, *this, *impl_, rows, mask, out);
  if (dtype() == DType::f32)
    conditionals_on<float>(ctx, options_, store_, *impl_, {rows, mask}, out);
  else
    conditionals_on<double>(ctx, options_, store_, *impl_, {rows, mask}, out);
}

void SetGru::sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                        Conditionals& out) const {
  constexpr const char* what = "set-GRU, sequential";
  check_rows(what, options_.layout, rows, dtype());
  check_mask(what, "mask", rows, mask);
  check_mask(what, "target", rows, target);
  if (ops::fused_set_gru(ctx)) return fused_sequential(ctx, *this, *impl_, rows, mask, target, out);
  if (dtype() == DType::f32)
    sequential_on<float>(ctx, options_, store_, *impl_, {rows, mask}, target, out);
  else
    sequential_on<double>(ctx, options_, store_, *impl_, {rows, mask}, target, out);
}

void SetGru::log_density(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                         TensorView out) const {
  constexpr const char* what = "set-GRU, log_density";
  check_rows(what, options_.layout, rows, dtype());
  check_mask(what, "mask", rows, mask);
  check_mask(what, "target", rows, target);
  if (out.rows() != 1 || out.cols() != rows.x.rows() || out.dtype() != dtype())
    throw ShapeError(fmt::format("{}: out has shape {} of {}, expected ({}) of {}", what, out.shape().str(),
                                 to_string(out.dtype()), rows.x.rows(), to_string(dtype())));
  if (ops::fused_set_gru(ctx)) return fused_log_density(ctx, *this, *impl_, rows, mask, target, out);
  if (dtype() == DType::f32)
    log_density_on<float>(ctx, *this, *impl_, {rows, mask}, target, out);
  else
    log_density_on<double>(ctx, *this, *impl_, {rows, mask}, target, out);
}

}  // namespace emshap
