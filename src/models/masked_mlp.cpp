#include "emshap/models/masked_mlp.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "core/mat.h"
#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/masked_input.h"
#include "emshap/ops/reduction.h"
#include "layers/scratch.h"
#include "models/proposal_args.h"

namespace emshap {
namespace {

constexpr std::int64_t draw_tile = 256;  ///< completions that are drawn together

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

}  // namespace

struct MaskedMlp::Impl {
  /// What one member keeps between the passes of a step.
  struct Member {
    Tensor x, mask, weight, numeric_weight, mu, log_sd;  // (B, F)
    Tensor input;                                        // (B, 4 F + V)
    std::vector<Tensor> h;                               // (B, H): after the first layer and each block
    Tensor top;                                          // (B, H): relu of the last
    Tensor head, logits;                                 // (B, 3 C F), (B, V); their gradients afterwards
    Tensor value;                                        // (B, F): the terms of the loss
    Tensor dtop, dh, dother;                             // (B, H)
    MlpBlock::Cache first;
    std::vector<ResidualBlock::Cache> blocks;
    Linear::Cache mixture, category;
  };

  const std::int64_t F, V, H, C;
  const FeatureLayout& layout;
  std::vector<std::int64_t> offset;                    // (F + 1)
  Tensor mean, cov;                                    // (F), (F, F) of float64
  Tensor offsets, frequencies, values, numeric, zero;  // (F + 1) i32, (V), (V), (F): 1 = numeric, (F)
  MlpBlock first;
  std::vector<ResidualBlock> blocks;
  Linear mixture;
  std::optional<Linear> category;
  std::vector<Member> members;

  Impl(const MaskedMlpOptions& o, ParameterStore& store)
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

  static std::vector<ResidualBlock> make_blocks(const MaskedMlpOptions& o, ParameterStore& store) {
    std::vector<ResidualBlock> blocks;
    for (int i = 0; i < o.blocks; ++i)
      blocks.emplace_back(store, fmt::format("block{}", i),
                          ResidualBlockOptions{.features = o.hidden, .batch_norm = false});
    return blocks;
  }

  /// Near the base: components spread a little around its mean, widths near its own; categories as often as
  /// in the training rows.
  void initialise(const MaskedMlpOptions& o, ParameterStore& store, DType dtype, Device device) {
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

    const auto to_device = [&](const Tensor& host, DType type) {
      Tensor t(host.shape(), type, device);
      Context ctx(device);
      ops::copy(ctx, host, t);
      ctx.synchronize();
      return t;
    };
    mean = to_device(Tensor::from(o.base.mean, {F}), DType::f64);
    cov = to_device(Tensor::from(o.base.covariance, {F, F}), DType::f64);
    std::vector<double> is_numeric;
    for (std::int64_t t = 0; t < F; ++t) is_numeric.push_back(layout.categorical(t) ? 0 : 1);
    numeric = to_device(Tensor::from(is_numeric, {F}), dtype);
    zero = Tensor::zeros({F}, dtype, device);
    if (V == 0) return;
    frequencies = to_device(Tensor::from(layout.frequencies, {V}), dtype);
    values = to_device(Tensor::from(layout.values, {V}), dtype);
    offsets = Tensor::from(std::vector<std::int32_t>(offset.begin(), offset.end()), {F + 1});
  }

  std::int64_t begin(std::int64_t t) const { return offset[static_cast<std::size_t>(t)]; }
  std::int64_t count(std::int64_t t) const { return layout.categories[static_cast<std::size_t>(t)]; }
  /// The part of a vector or of columns (rows, V) that belongs to feature t.
  template <class View>
  View categories_of(std::int64_t t, const View& all) const {
    return all.reshaped({all.rows(), V}).columns(begin(t), count(t));
  }

  /// top (n, H) from rows seen through masks, with the base's moments mu and log_sd (n, F).
  void encode(Context& ctx, ConstTensorView x, ConstTensorView code, ConstTensorView mask, TensorView mu,
              TensorView log_sd, TensorView top) const {
    const Workspace::Scope scope(ctx.workspace());
    const std::int64_t n = x.rows();
    ops::base_conditionals(ctx, mean, cov, x, mask, mu, log_sd);
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

  /// q(x_t | what is known) of n rows: a mixture (n, 3 C) or log-probabilities (n, V_t).
  void feature_head(Context& ctx, std::int64_t t, ConstTensorView top, ConstTensorView mu,
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

  std::int64_t width(std::int64_t t) const { return layout.categorical(t) ? count(t) : 3 * C; }

  /// mixture (B, 3 C F), categorical (B, V), context (B, H).
  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask, TensorView out_mixture,
                    TensorView out_categorical, TensorView out_context) const {
    const DType dtype = rows.x.dtype();
    for_row_tiles(rows.x.rows(), [&](std::int64_t from, std::int64_t n) {
      const Workspace::Scope scope(ctx.workspace());
      const TensorView mu = scratch(ctx, {n, F}, dtype), log_sd = scratch(ctx, {n, F}, dtype);
      const TensorView unknown = scratch(ctx, {n, F}, dtype), wanted = scratch(ctx, {n, F}, dtype);
      const TensorView top = out_context.rows(from, n);
      const ConstTensorView m = mask.rows(from, n);
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

  ConstTensorView code_rows(const FeatureRows& rows, std::int64_t from, std::int64_t n) const {
    return V == 0 ? ConstTensorView() : rows.code.rows(from, n);
  }

  /// The state for x_S alone.
  void contexts(Context& ctx, const FeatureRows& rows, ConstTensorView mask, TensorView context) const {
    for_row_tiles(rows.x.rows(), [&](std::int64_t from, std::int64_t n) {
      const Workspace::Scope scope(ctx.workspace());
      const TensorView mu = scratch(ctx, {n, F}, rows.x.dtype()),
                       log_sd = scratch(ctx, {n, F}, rows.x.dtype());
      encode(ctx, rows.x.rows(from, n), code_rows(rows, from, n), mask.rows(from, n), mu, log_sd,
             context.rows(from, n));
    });
  }

  /// Rows brought together for one pass of one feature.
  struct Gathered {
    TensorView x, mask, code, uniforms, top, mu, log_sd;
    std::int64_t* row;
    std::int64_t n = 0;
  };
  Gathered gathered(Context& ctx, std::int64_t most, DType dtype) const {
    const Shape rows{most, F};
    return {scratch(ctx, rows, dtype),      scratch(ctx, rows, dtype),
            scratch(ctx, rows, DType::i32), scratch(ctx, {most, 2}, dtype),
            scratch(ctx, {most, H}, dtype), scratch(ctx, rows, dtype),
            scratch(ctx, rows, dtype),      ctx.workspace().take<std::int64_t>(most)};
  }
  TensorView pass(Context& ctx, std::int64_t t, const Gathered& g, TensorView buffer) const {
    const std::int64_t n = g.n;
    encode(ctx, g.x.rows(0, n), V == 0 ? ConstTensorView() : g.code.rows(0, n), g.mask.rows(0, n),
           g.mu.rows(0, n), g.log_sd.rows(0, n), g.top.rows(0, n));
    const TensorView q = buffer.columns(0, n * width(t)).reshaped({n, width(t)});
    feature_head(ctx, t, g.top.rows(0, n), g.mu.rows(0, n), g.log_sd.rows(0, n), q);
    return q;
  }
  std::int64_t widest() const {
    std::int64_t most = 3 * C;
    for (std::int64_t t = 0; t < F; ++t) most = std::max(most, count(t));
    return most;
  }

  template <class T>
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                  Conditionals& out) const {
    const Mat<const T> x = mat<T>(rows.x), m = mat<T>(mask), wanted = mat<T>(target);
    const Mat<const std::int32_t> code = V == 0 ? Mat<const std::int32_t>() : mat<std::int32_t>(rows.code);
    const Workspace::Scope scope(ctx.workspace());
    Gathered g = gathered(ctx, tile_rows, rows.x.dtype());
    const TensorView buffer = scratch(ctx, {tile_rows * widest()}, rows.x.dtype());
    for (std::int64_t t = 0; t < F; ++t) {
      const auto flush = [&] {
        const TensorView q = pass(ctx, t, g, buffer);
        for (std::int64_t i = 0; i < g.n; ++i)
          std::copy_n(q.ptr<T>() + i * q.cols(), q.cols(),
                      layout.categorical(t) ? out.categorical.ptr<T>() + g.row[i] * V + begin(t)
                                            : out.mixture.ptr<T>() + (g.row[i] * F + t) * 3 * C);
        g.n = 0;
      };
      for (std::int64_t r = 0; r < x.rows; ++r) {
        if (m.row(r)[t] > T(.5) || !(wanted.row(r)[t] > T(.5))) continue;
        g.row[g.n] = r;
        std::copy_n(x.row(r), F, g.x.ptr<T>() + g.n * F);
        if (V > 0) std::copy_n(code.row(r), F, g.code.ptr<std::int32_t>() + g.n * F);
        for (std::int64_t s = 0; s < F; ++s)
          g.mask.ptr<T>()[g.n * F + s] = T(m.row(r)[s] > T(.5) || (s < t && wanted.row(r)[s] > T(.5)));
        if (++g.n == tile_rows) flush();
      }
      if (g.n > 0) flush();
    }
  }

  /// Completions [from, from + n) of all, feature after feature; `x`, `code` and `log_q` of `out` are
  /// started.
  template <class T>
  void draw_chain(Context& ctx, Mat<const T> mask, const proposal_args::Wanted<T>& wanted, std::int64_t draws,
                  ConstTensorView noise, std::int64_t from, std::int64_t n, Draws& out) const {
    const Workspace::Scope scope(ctx.workspace());
    const DType dtype = out.x.dtype();
    Gathered g = gathered(ctx, n, dtype);
    const TensorView buffer = scratch(ctx, {n * widest()}, dtype), drawn = scratch(ctx, {n}, dtype);
    const TensorView log_q = scratch(ctx, {n}, dtype), codes = scratch(ctx, {n}, DType::i32);
    const Mat<const T> u = mat<T>(noise);
    for (std::int64_t t = 0; t < F; ++t) {
      g.n = 0;
      for (std::int64_t r = from; r < from + n; ++r) {
        const T* m = mask.row(r / draws);
        if (m[t] > T(.5) || !wanted(r / draws, t)) continue;
        g.row[g.n] = r;
        std::copy_n(out.x.ptr<T>() + r * F, F, g.x.ptr<T>() + g.n * F);
        if (V > 0) std::copy_n(out.code.ptr<std::int32_t>() + r * F, F, g.code.ptr<std::int32_t>() + g.n * F);
        for (std::int64_t s = 0; s < F; ++s)
          g.mask.ptr<T>()[g.n * F + s] = T(m[s] > T(.5) || (s < t && wanted(r / draws, s)));
        std::copy_n(u.row(r % u.rows) + 2 * t, 2, g.uniforms.ptr<T>() + 2 * g.n);
        ++g.n;
      }
      if (g.n == 0) continue;
      const TensorView q = pass(ctx, t, g, buffer);
      const TensorView values_drawn = drawn.columns(0, g.n), log_q_drawn = log_q.columns(0, g.n);
      ops::fill(ctx, 0, log_q_drawn);
      if (layout.categorical(t)) {
        ops::categorical_draw(ctx, q, g.uniforms.rows(0, g.n).columns(0, 1), {}, codes.columns(0, g.n),
                              log_q_drawn);
        ops::categorical_values(ctx, categories_of(t, values.view()), codes.columns(0, g.n), values_drawn);
      } else {
        ops::mixture_draw(ctx, q, g.uniforms.rows(0, g.n), {}, values_drawn, log_q_drawn);
      }
      for (std::int64_t i = 0; i < g.n; ++i) {
        out.x.ptr<T>()[g.row[i] * F + t] = drawn.ptr<T>()[i];
        out.log_q.ptr<T>()[g.row[i]] += log_q.ptr<T>()[i];
        if (layout.categorical(t))
          out.code.ptr<std::int32_t>()[g.row[i] * F + t] = codes.ptr<std::int32_t>()[i];
      }
    }
  }

  /// All features of the completions of rows [from, from + n) at once, from the rows' conditionals.
  void draw_at_once(Context& ctx, ConstTensorView unknown, std::int64_t draws, ConstTensorView noise,
                    ConstTensorView mixtures, ConstTensorView categories, std::int64_t from, std::int64_t n,
                    Draws& out) const {
    const std::int64_t pairs = n * draws;
    const ConstTensorView u = noise.rows() == draws ? noise : noise.rows(from * draws, pairs);
    const TensorView x = out.x.view().rows(from * draws, pairs);
    const TensorView log_q = out.log_q.view().reshaped({out.log_q.elements(), 1}).rows(from * draws, pairs);
    for (std::int64_t t = 0; t < F; ++t) {
      if (layout.categorical(t)) {
        const TensorView code = out.code.view().rows(from * draws, pairs).columns(t, 1);
        ops::categorical_draw(ctx, categories_of(t, categories.rows(from, n)), u.columns(2 * t, 1),
                              unknown.rows(from, n).columns(t, 1), code, log_q);
        ops::categorical_values(ctx, categories_of(t, values.view()), code, x.columns(t, 1));
      } else {
        ops::mixture_draw(ctx, mixtures.rows(from, n).columns(3 * C * t, 3 * C), u.columns(2 * t, 2),
                          unknown.rows(from, n).columns(t, 1), x.columns(t, 1), log_q);
      }
    }
  }

  template <class T>
  void draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
            ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target) const {
    const proposal_args::Wanted<T> wanted(target);
    const Mat<const T> x = mat<T>(rows.x), m = mat<T>(mask);
    for (std::int64_t r = 0; r < out.x.rows(); ++r) {
      std::copy_n(x.row(r / draws), F, out.x.ptr<T>() + r * F);
      if (V > 0)
        std::copy_n(mat<std::int32_t>(rows.code).row(r / draws), F, out.code.ptr<std::int32_t>() + r * F);
      for (std::int64_t t = 0; t < F; ++t) {
        if (m.row(r / draws)[t] > T(.5)) continue;
        out.x.ptr<T>()[r * F + t] = 0;
        if (V > 0) out.code.ptr<std::int32_t>()[r * F + t] = -1;
      }
    }
    ops::fill(ctx, 0, out.log_q);
    if (mode == DrawMode::one_shot) {
      const Workspace::Scope scope(ctx.workspace());
      const TensorView mixtures = scratch(ctx, {x.rows, 3 * C * F}, out.x.dtype());
      const TensorView categories = scratch(ctx, {x.rows, V}, out.x.dtype());
      conditionals(ctx, rows, mask, mixtures, categories, out.context);
      const TensorView unknown = scratch(ctx, {x.rows, F}, out.x.dtype());
      for (std::int64_t r = 0; r < x.rows; ++r)
        for (std::int64_t t = 0; t < F; ++t)
          unknown.ptr<T>()[r * F + t] = T(!(m.row(r)[t] > T(.5)) && wanted(r, t));
      for_row_tiles(x.rows, [&](std::int64_t from, std::int64_t n) {
        draw_at_once(ctx, unknown, draws, noise, mixtures, categories, from, n, out);
      });
      return;
    }
    contexts(ctx, rows, mask, out.context);
    for (std::int64_t from = 0; from < out.x.rows(); from += draw_tile)
      draw_chain(ctx, m, wanted, draws, noise, from, std::min(draw_tile, out.x.rows() - from), out);
  }

  void size_member(Member& m, std::int64_t rows, DType dtype, Device device) const {
    for (Tensor* t : {&m.x, &m.mask, &m.weight, &m.numeric_weight, &m.mu, &m.log_sd, &m.value})
      t->ensure({rows, F}, dtype, device);
    m.input.ensure({rows, 4 * F + V}, dtype, device);
    m.h.resize(blocks.size() + 1);
    m.blocks.resize(blocks.size());
    for (Tensor& h : m.h) h.ensure({rows, H}, dtype, device);
    for (Tensor* t : {&m.top, &m.dtop, &m.dh, &m.dother}) t->ensure({rows, H}, dtype, device);
    m.head.ensure({rows, 3 * C * F}, dtype, device);
    m.logits.ensure({rows, V}, dtype, device);
  }

  /// The terms of the loss in m.value, their gradients in m.head and m.logits.
  void losses(Context& ctx, Member& m, ConstTensorView x, ConstTensorView code) {
    const std::int64_t rows = x.rows();
    ConstTensorView weight = m.weight;
    if (V > 0) {
      ops::scale_shift_columns(ctx, m.weight, numeric, zero, m.numeric_weight);
      weight = m.numeric_weight;
    }
    const TensorView pairs = m.head.view().reshaped({rows * F, 3 * C});
    ops::mixture_loss(ctx, pairs, m.mu, m.log_sd, x, weight, m.value, pairs);
    for (std::int64_t t = 0; t < F && V > 0; ++t)
      if (layout.categorical(t))
        ops::categorical_loss(ctx, categories_of(t, m.logits.view()), categories_of(t, frequencies.view()),
                              code.columns(t, 1), m.weight.view().columns(t, 1), m.value.view().columns(t, 1),
                              categories_of(t, m.logits.view()));
  }

  void backward(Context& ctx, Member& m) {
    mixture.backward(ctx, m.mixture, m.head, m.dtop);
    if (V > 0) {
      category->backward(ctx, m.category, m.logits, m.dother);
      ops::add(ctx, m.dtop, m.dother, m.dtop);
    }
    ops::activation_backward(ctx, Activation::relu, {}, m.top, m.dtop, m.dh);
    Tensor *dy = &m.dh, *dx = &m.dother;
    for (std::size_t i = blocks.size(); i-- > 0;) {
      blocks[i].backward(ctx, m.blocks[i], *dy, *dx);
      std::swap(dy, dx);
    }
    first.backward(ctx, m.first, *dy, {});
  }

  void train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch, std::span<const double> sizes,
             const RandomKey& key, TensorView loss) {
    Member& m = members.at(static_cast<std::size_t>(ctx.team().rank()));
    const std::int64_t rows = batch.rows.x.rows();
    size_member(m, rows, batch.rows.x.dtype(), ctx.device());
    ops::random_masks(ctx, key, plan.row_begin, sizes,
                      plan.total_rows > 0 ? 1.0 / static_cast<double>(plan.total_rows) : 0, batch.observed,
                      m.mask, m.weight);
    ops::copy(ctx, batch.rows.x, m.x);
    const ConstTensorView code = V > 0 ? batch.rows.code : ConstTensorView();
    ops::base_conditionals(ctx, mean, cov, m.x, m.mask, m.mu, m.log_sd);
    ops::masked_input(ctx, m.x, m.mask, m.mu, m.log_sd, code, offsets, m.input);
    first.forward(ctx, m.input, m.h[0], m.first);
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].forward(ctx, m.h[i], m.h[i + 1], m.blocks[i]);
    ops::activation_forward(ctx, Activation::relu, m.h.back(), m.top);
    mixture.forward(ctx, m.top, m.head, m.mixture);
    if (V > 0) category->forward(ctx, m.top, m.logits, m.category);
    losses(ctx, m, m.x, code);
    ops::sum(ctx, m.value, loss);
    backward(ctx, m);
  }
};

MaskedMlp::MaskedMlp(const MaskedMlpOptions& options, DType dtype, Device device)
    : options_(checked(options)), impl_(std::make_unique<Impl>(options_, store_)) {
  store_.allocate(dtype, device);
  impl_->initialise(options_, store_, dtype, device);
  impl_->members.resize(1);
}

MaskedMlp::~MaskedMlp() = default;

void MaskedMlp::prepare(int members, std::int64_t rows) {
  impl_->members.resize(static_cast<std::size_t>(std::max(members, 1)));
  for (Impl::Member& m : impl_->members) impl_->size_member(m, rows, dtype(), device());
}

void MaskedMlp::train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch,
                      std::span<const double> sizes, const RandomKey& key, TensorView loss) {
  constexpr const char* who = "MaskedMlp::train";
  const std::int64_t B = proposal_args::check_rows(who, *this, batch.rows, batch.observed);
  if (B != plan.local_rows)
    throw ShapeError(
        fmt::format("{}: {} rows, expected the {} rows of this member's plan", who, B, plan.local_rows));
  impl_->train(ctx, plan, batch, sizes, key, loss);
}

void MaskedMlp::conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                             Conditionals& out) const {
  const std::int64_t B = proposal_args::check_rows("MaskedMlp::conditionals", *this, rows, mask);
  proposal_args::size_outputs(*this, B, out);
  impl_->conditionals(ctx, rows, mask,
                      out.mixture.view().reshaped({B, out.mixture.cols() * layout().features()}),
                      out.categorical, out.context);
}

void MaskedMlp::sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                           ConstTensorView target, Conditionals& out) const {
  constexpr const char* who = "MaskedMlp::sequential";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_matrix(who, "target", target, B, layout().features(), dtype());
  proposal_args::check_cpu(who, *this);
  proposal_args::size_outputs(*this, B, out);
  ops::fill(ctx, 0, out.mixture);
  ops::fill(ctx, 0, out.categorical);
  impl_->contexts(ctx, rows, mask, out.context);
  if (dtype() == DType::f32)
    impl_->sequential<float>(ctx, rows, mask, target, out);
  else
    impl_->sequential<double>(ctx, rows, mask, target, out);
}

void MaskedMlp::draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                     ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target) const {
  constexpr const char* who = "MaskedMlp::draw";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_draws(who, *this, B, draws, noise, target);
  proposal_args::check_cpu(who, *this);
  proposal_args::size_outputs(*this, B, draws, out);
  if (dtype() == DType::f32)
    impl_->draw<float>(ctx, rows, mask, draws, noise, mode, out, target);
  else
    impl_->draw<double>(ctx, rows, mask, draws, noise, mode, out, target);
}

}  // namespace emshap
