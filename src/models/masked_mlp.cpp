#include "emshap/models/masked_mlp.h"

#include <cmath>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/masked_input.h"
#include "layers/scratch.h"
#include "models/masked_mlp_impl.h"
#include "models/proposal_args.h"

namespace emshap {
namespace {

const MaskedMlpOptions& checked(const MaskedMlpOptions& o) {
  o.layout.check();
  if (o.base.features() != o.layout.features())
    throw ConfigError(fmt::format("the Gaussian base has {} features, expected {} as the layout",
                                  o.base.features(), o.layout.features()));
  if (o.hidden < 1 || o.components < 1 || o.blocks < 0)
    throw ConfigError(
        fmt::format("the masked MLP has {} hidden units, {} components and {} blocks, expected at "
                    "least 1, 1 and 0",
                    o.hidden, o.components, o.blocks));
  return o;
}

std::vector<ResidualBlock> make_blocks(const MaskedMlpOptions& o, ParameterStore& store) {
  std::vector<ResidualBlock> blocks;
  for (int i = 0; i < o.blocks; ++i)
    blocks.emplace_back(store, fmt::format("block{}", i),
                        ResidualBlockOptions{.features = o.hidden, .batch_norm = false});
  return blocks;
}

}  // namespace

MaskedMlp::Impl::Impl(const MaskedMlpOptions& o, ParameterStore& store)
    : F(o.layout.features()),
      V(o.layout.total_categories()),
      H(o.hidden),
      C(o.components),
      layout(o.layout),
      offset(o.layout.offsets()),
      first(store, "input",
            {.inputs = 4 * F + V, .outputs = H, .batch_norm = false, .activation = Activation::relu}),
      blocks(make_blocks(o, store)),
      mixture(store, "mixture", {.inputs = H, .outputs = 3 * C * F, .init = Init::xavier_uniform}) {
  if (V > 0)
    category.emplace(store, "category",
                     LinearOptions{.inputs = H, .outputs = V, .init = Init::xavier_uniform});
}

/// Near the base: components spread a little around its mean, widths near its own; categories as often as
/// in the training rows.
void MaskedMlp::Impl::initialise(const MaskedMlpOptions& o, ParameterStore& store, DType dtype,
                                 Device device) {
  first.initialise(o.seed);
  for (ResidualBlock& b : blocks) b.initialise(o.seed);
  const auto start_small = [&](Linear& head, const std::vector<double>& bias) {
    head.initialise(o.seed);
    std::vector<double> w = store.get(head.weight());
    for (double& v : w) v *= .03;
    store.set(head.weight(), w);
    store.set(head.bias(), bias);
  };
  std::vector<double> bias;
  for (std::int64_t t = 0; t < F; ++t)
    for (std::int64_t c = 0; c < 3 * C; ++c) {
      const double place = C > 1 ? .6 * static_cast<double>(c - C) / static_cast<double>(C - 1) - .3 : 0;
      bias.push_back(c < C ? 0 : c < 2 * C ? place : .54);
    }
  start_small(mixture, bias);
  bias.clear();
  for (const double f : layout.frequencies) bias.push_back(std::log(f));
  if (category) start_small(*category, bias);

  const auto rounded_there = [&](const Tensor& host, DType type) {
    Tensor rounded(host.shape(), type);
    Context here;
    ops::copy(here, host, rounded);
    return to_device(rounded, device);
  };
  mean = rounded_there(Tensor::from(o.base.mean, {F}), DType::f64);
  cov = rounded_there(Tensor::from(o.base.covariance, {F, F}), DType::f64);
  std::vector<double> is_numeric;
  for (std::int64_t t = 0; t < F; ++t) is_numeric.push_back(layout.categorical(t) ? 0 : 1);
  numeric = rounded_there(Tensor::from(is_numeric, {F}), dtype);
  zero = Tensor::zeros({F}, dtype, device);
  if (V == 0) return;
  frequencies = rounded_there(Tensor::from(layout.frequencies, {V}), dtype);
  values = rounded_there(Tensor::from(layout.values, {V}), dtype);
  offsets = to_device(Tensor::from(std::vector<std::int32_t>(offset.begin(), offset.end()), {F + 1}), device);
}

void MaskedMlp::Impl::encode(Context& ctx, ConstTensorView x, ConstTensorView code, ConstTensorView mask,
                             ConstTensorView mu, ConstTensorView log_sd, TensorView top) const {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t n = x.rows();
  const TensorView z = scratch(ctx, {n, 4 * F + V}, x.dtype());
  ops::masked_input(ctx, x, mask, mu, log_sd, code, offsets, z);
  const TensorView buffer[2] = {scratch(ctx, {n, H}, x.dtype()), scratch(ctx, {n, H}, x.dtype())};
  first.infer(ctx, z, buffer[0]);
  std::size_t turn = 0;
  for (const ResidualBlock& b : blocks) {
    b.infer(ctx, buffer[turn], buffer[1 - turn]);
    turn = 1 - turn;
  }
  ops::activation_forward(ctx, Activation::relu, buffer[turn], top);
}

void MaskedMlp::Impl::feature_head(Context& ctx, std::int64_t t, ConstTensorView top, ConstTensorView mu,
                                   ConstTensorView log_sd, TensorView q) const {
  const Linear& layer = layout.categorical(t) ? *category : mixture;
  const std::int64_t at = layout.categorical(t) ? begin(t) : 3 * C * t;
  const ParameterStore& store = layer.store();
  const std::int64_t all = layer.options().outputs;
  ops::linear_forward(ctx, top, store.value(layer.weight()).columns(at, q.cols()),
                      store.value(layer.bias()).reshaped({1, all}).columns(at, q.cols()),
                      Activation::identity, q);
  if (layout.categorical(t))
    ops::categorical_log_probabilities(ctx, q, categories_of(t, frequencies.view()), {}, q);
  else
    ops::mixture_from_head(ctx, q, mu.columns(t, 1), log_sd.columns(t, 1), {}, q);
}

void MaskedMlp::Impl::conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                                   TensorView out_mixture, TensorView out_categorical,
                                   TensorView out_context) const {
  const DType dtype = rows.x.dtype();
  for_row_tiles(rows.x.rows(), [&](std::int64_t from, std::int64_t n) {
    const Workspace::Scope scope(ctx.workspace());
    const TensorView mu = scratch(ctx, {n, F}, dtype), log_sd = scratch(ctx, {n, F}, dtype);
    const TensorView unknown = scratch(ctx, {n, F}, dtype), wanted = scratch(ctx, {n, F}, dtype);
    const TensorView top = out_context.rows(from, n);
    const ConstTensorView m = mask.rows(from, n);
    ops::base_conditionals(ctx, mean, cov, rows.x.rows(from, n), m, mu, log_sd);
    encode(ctx, rows.x.rows(from, n), code_rows(rows, from, n), m, mu, log_sd, top);
    ops::affine(ctx, m, -1, 1, unknown);
    ops::scale_shift_columns(ctx, unknown, numeric, zero, wanted);
    const TensorView head = out_mixture.rows(from, n);
    mixture.infer(ctx, top, head);
    const TensorView pairs = head.reshaped({n * F, 3 * C});
    ops::mixture_from_head(ctx, pairs, mu, log_sd, wanted, pairs);
    if (V == 0) return;
    const TensorView logits = out_categorical.rows(from, n);
    category->infer(ctx, top, logits);
    for (std::int64_t t = 0; t < F; ++t)
      if (layout.categorical(t))
        ops::categorical_log_probabilities(ctx, categories_of(t, logits),
                                           categories_of(t, frequencies.view()), unknown.columns(t, 1),
                                           categories_of(t, logits));
  });
}

void MaskedMlp::Impl::contexts(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                               TensorView context) const {
  for_row_tiles(rows.x.rows(), [&](std::int64_t from, std::int64_t n) {
    const Workspace::Scope scope(ctx.workspace());
    const TensorView mu = scratch(ctx, {n, F}, rows.x.dtype()), log_sd = scratch(ctx, {n, F}, rows.x.dtype());
    ops::base_conditionals(ctx, mean, cov, rows.x.rows(from, n), mask.rows(from, n), mu, log_sd);
    encode(ctx, rows.x.rows(from, n), code_rows(rows, from, n), mask.rows(from, n), mu, log_sd,
           context.rows(from, n));
  });
}

MaskedMlp::MaskedMlp(const MaskedMlpOptions& options, DType dtype, Device device)
    : options_(checked(options)), impl_(std::make_unique<Impl>(options_, store_)) {
  store_.allocate(dtype, device);
  impl_->initialise(options_, store_, dtype, device);
  impl_->members.resize(1);
}

MaskedMlp::~MaskedMlp() = default;

void MaskedMlp::conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                             Conditionals& out) const {
  const std::int64_t B = proposal_args::check_rows("MaskedMlp::conditionals", *this, rows, mask);
  proposal_args::size_outputs(*this, B, out);
  impl_->conditionals(ctx, rows, mask,
                      out.mixture.view().reshaped({B, out.mixture.cols() * layout().features()}),
                      out.categorical, out.context);
}

}  // namespace emshap
