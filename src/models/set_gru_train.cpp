// Training of the set-GRU: rows are independent, so that each member of a team works through its shards in
// tiles that stay in its cache, and the shards' gradients are added up at the end.
//
// What does not depend on a row is computed once a tile: the state of the empty prefix, and the head's output
// for a target given nothing.
//
// On a GPU a tile is the whole batch if it fits: few, large launches. Orders, pairs and tokens are drawn on
// the host, with the same numbers, and sent; gradients go into the store and losses stay there.
#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gather.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/product.h"
#include "emshap/ops/recurrent.h"
#include "emshap/ops/reduction.h"
#include "emshap/ops/set_head.h"
#include "emshap/ops/shard_gradients.h"
#include "models/set_gru_tokens.h"

namespace emshap {
namespace {

using namespace set_gru;

constexpr std::int64_t rows_of_tile = 32;  ///< states, gates and their gradients fill about half an L2 cache
constexpr std::int64_t cache_line = 16;    ///< elements: rows of outputs begin at multiples of it

std::int64_t padded(std::int64_t columns) {
  return (columns + cache_line - 1) / cache_line * cache_line;
}

/// Of a batch of `rows` rows, those of a tile.
std::int64_t tile_of(const Context& ctx, const SetGruOptions& o, std::int64_t rows) {
  if (!on_gpu(ctx)) return std::min(rows_of_tile, rows);
  return std::min(std::max<std::int64_t>(rows, 1), gpu_tile_rows(o));
}

/// One member's part of a training step; all memory is in its workspace.
template <class T>
class Member {
 public:
  /// `host`: a workspace in host memory.
  Member(Context& ctx, Workspace& host, const SetGruOptions& options, const ParameterStore& store,
         const SetGru::Impl& impl, const ProposalBatch& batch, const PairWeights<T>& weights,
         const RandomKey& key, std::int64_t row_begin)
      : ctx_(ctx),
        options_(options),
        store_(store),
        impl_(impl),
        id(impl.id),
        batch_(batch),
        key_(key),
        row_begin_(row_begin),
        F(options.layout.features()),
        H(options.hidden),
        V(options.layout.total_categories()),
        R_(tile_of(ctx, options, batch.rows.x.rows())),
        gpu_(on_gpu(ctx)),
        pairs_(ctx, host, options, weights, R_),
        token_(ctx, impl, F, R_),
        tokens_(make_tokens(ctx, store, impl.id)),
        weight_hh_t_(transpose(id.weight_hh)),
        state_t_(transpose(id.state)),
        hidden_t_(transpose(id.hidden)),
        mixture_t_(transpose(id.mixture)),
        category_t_(V > 0 ? transpose(id.category) : TensorView()),
        mixture_(rows_with_gaps(H, 3 * options.components)),
        dwa_(make({F, 3 * H})),
        dwb_(make({F + V, 3 * H})),
        mu_(make({R_ * F, F})),
        log_sd_(make({R_ * F, F})),
        zeros_(scratch_i32(ctx, {pairs_.most()})),
        h_(make({1 + F * R_, H})),
        dh_(make({1 + F * R_, H})),
        state_(make({1 + F * R_, H})),
        dstate_(make({1 + F * R_, H})),
        start_(make({R_, H})),
        gates_(make({F * R_, 4 * H})),
        gh_(make({R_, 3 * H})),
        dgh_(make({1, 3 * H})),
        u0_(make({pairs_.most(), H})),
        u_(make({pairs_.most(), H})),
        out_(make({pairs_.most() * padded(widest())})),
        loss_(make({gpu_ ? pairs_.capacity() : pairs_.most()})),
        tile_loss_(make({1})) {
    ops::copy(ctx, value(id.mixture), mixture_);
    // Zero has the same bits as an integer.
    ops::fill(ctx, 0, TensorView(zeros_.data(), zeros_.shape(), DType::f32, ctx.device()));
  }

  /// Adds the gradient of rows [begin, begin + rows) to `slab` and returns their share of the loss.
  double shard(std::int64_t begin, std::int64_t rows, TensorView slab) {
    ops::fill(ctx_, 0, slab);
    start_sums(slab);
    double loss = 0;
    for (std::int64_t r = 0; r < rows; r += rows_of_tile) {
      const std::int64_t at = begin + r, R = std::min(rows_of_tile, rows - r);
      pairs_.draw(batch_, at, R, key_, row_begin_);
      base_moments(batch_.rows.x.rows(at, R), R);
      pairs_.list(batch_.rows, at, R, mu_.ptr<T>(), log_sd_.ptr<T>());
      loss += tile(at, R);
    }
    finish_tokens();
    return loss;
  }

  /// On a GPU: adds the gradient of all rows to `gradient`; loss (1) = theirs.
  void batch(Staging& staging, TensorView gradient, TensorView loss) {
    staging.begin(ctx_);
    start_sums(gradient);
    ops::fill(ctx_, 0, loss);
    const std::int64_t rows = batch_.rows.x.rows();
    for (std::int64_t at = 0; at < rows; at += R_) {
      const std::int64_t R = std::min(R_, rows - at);
      send_tile(staging, at, R);
      if (pairs_.count() == 0) continue;
      tile(at, R);
      ops::sum(ctx_, part(loss_, pairs_.count()), tile_loss_);
      ops::add(ctx_, loss, tile_loss_, loss);
    }
    finish_tokens();
  }

 private:
  TensorView make(Shape shape) const { return scratch(ctx_, shape, store_.dtype()); }
  /// (rows, columns) whose rows begin at multiples of a cache line.
  TensorView rows_with_gaps(std::int64_t rows, std::int64_t columns) const {
    return make({rows, padded(columns)}).columns(0, columns);
  }
  ConstTensorView value(ParameterId parameter) const { return store_.value(parameter); }
  TensorView transpose(ParameterId parameter) const {
    const ConstTensorView w = value(parameter);
    const TensorView t = make({w.cols(), w.rows()});
    ops::transpose(ctx_, w, t);
    return t;
  }
  /// A parameter's gradient in the slab of the shard.
  TensorView gradient(ParameterId parameter) const {
    const auto& entry = store_.parameters()[static_cast<std::size_t>(parameter.index)];
    return {slab_.ptr<T>() + entry.offset, entry.shape, store_.dtype(), store_.device()};
  }
  std::int64_t widest() const {
    std::int64_t most = 3 * options_.components;
    for (const std::int64_t v : options_.layout.categories) most = std::max(most, v);
    return most;
  }

  static TensorView part(const TensorView& all, std::int64_t n) { return all.columns(0, n).reshaped({n}); }

  void start_sums(TensorView slab) {
    slab_ = slab;
    ops::fill(ctx_, 0, dwa_);
    ops::fill(ctx_, 0, dwb_);
  }

  void base_moments(ConstTensorView x, std::int64_t R) {
    ops::base_prefix_moments(ctx_, impl_.mean, impl_.covariance, x, pairs_.order(R), pairs_.count(R),
                             mu_.rows(0, R * F).reshaped({R, F, F}),
                             log_sd_.rows(0, R * F).reshaped({R, F, F}));
  }

  /// On a GPU: draws, lists and sends all that a tile reads.
  void send_tile(Staging& staging, std::int64_t begin, std::int64_t R) {
    pairs_.take(staging);
    token_.take(staging);
    const ConstTensorView x = staged(staging, batch_.rows.x.rows(begin, R));
    pairs_.draw(batch_, begin, R, key_, row_begin_);
    pairs_.list(batch_.rows, begin, R, nullptr, nullptr);
    for (std::int64_t i = 0; i + 1 < pairs_.prefixes(); ++i) token_.read(batch_, pairs_, begin, R, i);
    staging.send(ctx_);
    if (pairs_.count() == 0) return;
    base_moments(x, R);
    pairs_.pick(ctx_, mu_.rows(0, R * F), log_sd_.rows(0, R * F));
  }

  /// Rows [begin, begin + R), whose pairs are listed. The sum of their losses; on a GPU 0, and the losses lie
  /// in loss_.
  double tile(std::int64_t begin, std::int64_t R) {
    rows_ = R;
    if (pairs_.prefixes() == 0) return 0;
    run_states(begin);
    ops::fill(ctx_, 0, dstate_.rows(0, states()));
    double loss = 0;
    for (std::int64_t t = 0; t < F; ++t) loss += target(t);
    backward_states();
    return loss;
  }

  /// Rows of states: one for the empty prefix, rows_ for each longer one.
  std::int64_t states() const { return 1 + (pairs_.prefixes() - 1) * rows_; }
  /// The rows_ states of the prefix of length i >= 1.
  TensorView prefix(const TensorView& all, std::int64_t i) const {
    return all.rows(1 + (i - 1) * rows_, rows_);
  }
  /// y (n, .) = x (1, .) in each row.
  void repeat(ConstTensorView x, TensorView y) const {
    if (y.rows() > 0) ops::gather_rows(ctx_, x, zeros_.columns(0, y.rows()).reshaped({y.rows()}), y);
  }

  /// States of all prefixes in use, and their share of the head's first layer.
  void run_states(std::int64_t begin) {
    const TensorView start = start_.rows(0, rows_), gh = gh_.rows(0, rows_);
    ops::copy(ctx_, value(id.start).reshaped({1, H}), h_.rows(0, 1));
    repeat(h_.rows(0, 1), start);
    for (std::int64_t i = 0; i + 1 < pairs_.prefixes(); ++i) {
      if (!gpu_) token_.read(batch_, pairs_, begin, rows_, i);
      const ConstTensorView h = i == 0 ? start : prefix(h_, i);
      // The product with h_{} is the same for all rows.
      ops::linear_forward(ctx_, i == 0 ? h.rows(0, 1) : h, value(id.weight_hh), value(id.bias_hh),
                          Activation::identity, i == 0 ? dgh_ : gh);
      if (i == 0) repeat(dgh_, gh);
      ops::gru_token_forward(ctx_, token_.of_step(i, rows_), tokens_.wa, tokens_.wb, gh, h, prefix(h_, i + 1),
                             gates_.rows(i * rows_, rows_));
    }
    ops::linear_forward(ctx_, h_.rows(0, states()), value(id.state), {}, Activation::identity,
                        state_.rows(0, states()));
  }

  /// Forward, loss and backward of all pairs whose target is t.
  double target(std::int64_t t) {
    const auto& pairs = pairs_.target(t);
    const std::int64_t P = pairs.count;
    if (P == 0) return 0;
    // Pairs given nothing share one output: that of the last of them, from which on the head is computed.
    const std::int64_t shared = std::max<std::int64_t>(0, pairs.unconditional - 1);
    const std::int64_t first = pairs.begin + shared, n = P - shared;
    const auto row = [&](const auto& all) { return all.rows(t, 1).reshaped({H}); };
    const auto at = static_cast<std::size_t>(t);
    const std::int64_t categories = options_.layout.categories[at], offset = impl_.offsets[at];
    const std::int64_t O = categories > 0 ? categories : 3 * options_.components;
    const ops::SetHeadPairs head{pairs_.index(first, n), pairs_.mean(first, n), pairs_.log_sd(first, n)};
    ops::SetHeadWeights weights{value(id.moments), row(value(id.feature)), value(id.hidden), mixture_,
                                value(id.mixture_bias)};
    ops::SetHeadGradients gradients{gradient(id.moments), row(gradient(id.feature)), gradient(id.hidden),
                                    gradient(id.mixture), gradient(id.mixture_bias)};
    if (categories > 0) {
      weights.out = value(id.category).columns(offset, O);
      weights.bias = value(id.category_bias).columns(offset, O).reshaped({O});
      gradients.out = gradient(id.category).columns(offset, O);
      gradients.bias = gradient(id.category_bias).columns(offset, O).reshaped({O});
    }
    const TensorView all = out_.columns(0, P * padded(O)).reshaped({P, padded(O)}).columns(0, O);
    const TensorView out = all.rows(shared, n), u0 = u0_.rows(0, n), u = u_.rows(0, n);
    ops::set_head_forward(ctx_, head, weights, state_.rows(0, states()), u0, u, out);
    repeat(out.rows(0, 1), all.rows(0, shared));
    const double loss = losses(t, all);
    if (shared > 0) ops::add_column_sums(ctx_, all.rows(0, shared), out.rows(0, 1));
    ops::set_head_backward(ctx_, head, hidden_t_, categories > 0 ? category_t_.rows(offset, O) : mixture_t_,
                           out, u0, u, dstate_.rows(0, states()), gradients);
    return loss;
  }

  /// Sum of the losses of target t's pairs; `out` becomes its gradient.
  double losses(std::int64_t t, TensorView out) {
    const std::int64_t begin = pairs_.target(t).begin, P = out.rows(), O = out.cols();
    const TensorView loss = loss_.columns(gpu_ ? begin : 0, P).reshaped({P});
    const std::int64_t offset = impl_.offsets[static_cast<std::size_t>(t)];
    if (options_.layout.categorical(t))
      ops::categorical_loss(ctx_, out, impl_.frequencies.view().columns(offset, O).reshaped({O}),
                            pairs_.code(begin, P), pairs_.weight(begin, P), loss, out);
    else
      ops::mixture_loss(ctx_, out, pairs_.mean(begin, P), pairs_.log_sd(begin, P), pairs_.x(begin, P),
                        pairs_.weight(begin, P), loss, out);
    if (gpu_) return 0;
    const T* values = loss.ptr<T>();
    double sum[4] = {};  // four chains hide each other's latency
    for (std::int64_t p = 0; p < P; ++p) sum[p % 4] += static_cast<double>(values[p]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  /// From dstate through the first layer and the recurrence.
  void backward_states() {
    ops::add_product_at(ctx_, h_.rows(0, states()), dstate_.rows(0, states()), gradient(id.state));
    ops::linear_forward(ctx_, dstate_.rows(0, states()), state_t_, {}, Activation::identity,
                        dh_.rows(0, states()));
    const TensorView start = dh_.rows(0, 1), dstart = gradient(id.start);
    for (std::int64_t i = pairs_.prefixes() - 1; i-- > 0;) {
      const TensorView gates = gates_.rows(i * rows_, rows_), dgh = gates.columns(0, 3 * H);
      const TensorView dh = prefix(dh_, i + 1);
      ops::gru_token_backward(ctx_, token_.of_step(i, rows_), i == 0 ? start_.rows(0, rows_) : prefix(h_, i),
                              gates, dh, dwa_, dwb_);
      if (i > 0) {
        ops::add(ctx_, prefix(dh_, i), dh, prefix(dh_, i));
        ops::add_product(ctx_, dgh, weight_hh_t_, prefix(dh_, i));
        continue;
      }
      ops::add_column_sums(ctx_, dh, start);
      ops::fill(ctx_, 0, dgh_);
      ops::add_column_sums(ctx_, dgh, dgh_);
      ops::add_product(ctx_, dgh_, weight_hh_t_, start);
      ops::add_product_at(ctx_, h_.rows(0, 1), dgh_, gradient(id.weight_hh));
      ops::add_column_sums(ctx_, dgh_, gradient(id.bias_hh));
    }
    ops::add_column_sums(ctx_, start, dstart);
    const std::int64_t later = (pairs_.prefixes() - 2) * rows_;  // steps from prefixes that rows differ in
    if (later <= 0) return;
    const TensorView dgh = gates_.rows(rows_, later).columns(0, 3 * H);
    ops::add_product_at(ctx_, h_.rows(1, later), dgh, gradient(id.weight_hh));
    ops::add_column_sums(ctx_, dgh, gradient(id.bias_hh));
  }

  /// From the tables of tokens to the parameters behind them: wa = a W_ih, wb = b W_ih + b_ih.
  void finish_tokens() {
    ops::linear_backward_input(ctx_, dwa_, value(id.weight_ih), gradient(id.scale), true);
    ops::linear_backward_input(ctx_, dwb_, value(id.weight_ih), gradient(id.shift), true);
    ops::add_product_at(ctx_, value(id.scale), dwa_, gradient(id.weight_ih));
    ops::add_product_at(ctx_, value(id.shift), dwb_, gradient(id.weight_ih));
    ops::add_column_sums(ctx_, dwb_, gradient(id.bias_ih));
  }

  Context& ctx_;
  const SetGruOptions& options_;
  const ParameterStore& store_;
  const SetGru::Impl& impl_;
  const SetGru::Impl::Ids& id;
  const ProposalBatch& batch_;
  const RandomKey key_;
  const std::int64_t row_begin_;
  const std::int64_t F, H, V, R_;
  const bool gpu_;
  TilePairs<T> pairs_;
  TileTokens<T> token_;
  const SetGruTokens tokens_;
  const TensorView weight_hh_t_, state_t_, hidden_t_, mixture_t_, category_t_;  ///< transposed weights
  const TensorView mixture_;                                                    ///< W3 with padded rows
  const TensorView dwa_, dwb_;
  const TensorView mu_, log_sd_;              ///< (R F, F): by row, target and prefix
  const TensorView zeros_;                    ///< i32
  const TensorView h_, dh_, state_, dstate_;  ///< (1 + F R, H): states, and through the head's first layer
  const TensorView start_;                    ///< (R, H): h_{} in each row
  const TensorView gates_;                    ///< (F R, 4 H) by step
  const TensorView gh_, dgh_;                 ///< (R, 3 H), (1, 3 H)
  const TensorView u0_, u_, out_;             ///< (most pairs of a target, .)
  const TensorView loss_, tile_loss_;         ///< of the pairs of a target, on a GPU of the tile; (1)
  TensorView slab_;
  std::int64_t rows_ = 0;  ///< of the tile
};

template <class T>
void train_on_gpu(Context& ctx, const SetGruOptions& options, ParameterStore& store, SetGru::Impl& impl,
                  const ShardPlan& plan, const ProposalBatch& batch, std::span<const double> sizes,
                  const RandomKey& key, TensorView loss) {
  const Workspace::Scope scope(ctx.workspace()), host(impl.host);
  const PairWeights<T> weights(impl.host, sizes, plan.total_rows);
  Member<T>(ctx, impl.host, options, store, impl, batch, weights, key, plan.row_begin)
      .batch(impl.staging, store.flat_gradients(), loss);
}

template <class T>
void train_on(Context& ctx, const SetGruOptions& options, ParameterStore& store, const SetGru::Impl& impl,
              const ShardPlan& plan, const ProposalBatch& batch, std::span<const double> sizes,
              const RandomKey& key, TensorView loss) {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t n = store.flat_size();
  const TensorView slabs = scratch(ctx, {plan.local_shards, n}, store.dtype());
  const TensorView losses = scratch(ctx, {plan.local_shards}, DType::f64);
  {
    const Workspace::Scope inner(ctx.workspace());
    const PairWeights<T> weights(ctx.workspace(), sizes, plan.total_rows);
    Member<T> member(ctx, ctx.workspace(), options, store, impl, batch, weights, key, plan.row_begin);
    for (std::int64_t i = 0; i < plan.local_shards; ++i) {
      const Shard s = plan.shard(i);
      losses.ptr<double>()[i] = member.shard(s.begin, s.rows, slabs.rows(i, 1).reshaped({n}));
    }
  }
  ops::add_shard_gradients(ctx, slabs, losses, store.flat_gradients(), loss);
}

}  // namespace

// Everything lives in the contexts' workspaces.
void SetGru::prepare(int, std::int64_t) {}

std::int64_t set_gru::gpu_tile_rows(const SetGruOptions& o) {
  if (o.gpu_tile_rows > 0) return o.gpu_tile_rows;
  constexpr std::int64_t most_elements = std::int64_t{1} << 28;  // 1 GiB
  const std::int64_t F = o.layout.features(), H = o.hidden;
  const std::int64_t pairs = F > o.all_pairs_up_to ? o.sampled_pairs : F * (F + 1) / 2;
  const std::int64_t of_target = F > o.all_pairs_up_to ? o.sampled_pairs : F;
  const std::int64_t outputs = std::max(3 * o.components, o.layout.total_categories()) + cache_line;
  // States and gates, the head of a target's pairs, the base's moments, the lists.
  const std::int64_t of_row = F * 8 * H + of_target * (2 * H + outputs) + 2 * F * F + 8 * pairs + 5 * F;
  return std::max<std::int64_t>(rows_of_tile, most_elements / of_row);
}

void SetGru::train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch,
                   std::span<const double> sizes, const RandomKey& key, TensorView loss) {
  constexpr const char* what = "set-GRU, train";
  check_rows(what, options_.layout, batch.rows, dtype());
  check_mask(what, "observed", batch.rows, batch.observed);
  if (batch.rows.x.rows() != plan.local_rows)
    throw ShapeError(fmt::format("{}: x has {} rows, expected {} as the plan", what, batch.rows.x.rows(),
                                 plan.local_rows));
  if (static_cast<std::int64_t>(sizes.size()) != options_.layout.features())
    throw ShapeError(fmt::format("{}: {} weights of set sizes, expected {} as features", what, sizes.size(),
                                 options_.layout.features()));
  if (on_gpu(ctx))
    train_on_gpu<float>(ctx, options_, store_, *impl_, plan, batch, sizes, key, loss);
  else if (dtype() == DType::f32)
    train_on<float>(ctx, options_, store_, *impl_, plan, batch, sizes, key, loss);
  else
    train_on<double>(ctx, options_, store_, *impl_, plan, batch, sizes, key, loss);
}

}  // namespace emshap
