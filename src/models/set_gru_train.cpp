// Training of the set-GRU: rows are independent, so that each member of a team works through its shards in
// tiles that stay in its cache, and the shards' gradients are added up at the end.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/product.h"
#include "emshap/ops/recurrent.h"
#include "emshap/ops/set_head.h"
#include "emshap/ops/shard_gradients.h"
#include "models/set_gru_impl.h"

namespace emshap {
namespace {

constexpr std::int64_t rows_of_tile = 32;  ///< its states, gates and gradients fill about half an L2 cache

/// What weighs a pair (prefix of length a, target) of a row with n values present: omega_a / sum_a omega_a (n
/// - a), so that a row's loss is a mean per unknown feature; divided by the rows of the batch.
template <class T>
class PairWeights {
 public:
  /// Tables in the context's workspace.
  PairWeights(Context& ctx, std::span<const double> sizes, std::int64_t total_rows)
      : features_(static_cast<std::int64_t>(sizes.size())) {
    table_ = ctx.workspace().take<T>((features_ + 1) * features_);
    positive_ = ctx.workspace().take<bool>(features_ + 1);
    for (std::int64_t n = 0; n <= features_; ++n) {
      T* row = table_ + n * features_;
      const auto size = [&](std::int64_t a) { return sizes[static_cast<std::size_t>(a)]; };
      double scale = 0;
      for (std::int64_t a = 0; a < n; ++a) scale += size(a) * static_cast<double>(n - a);
      for (std::int64_t a = 0; a < features_; ++a)
        row[a] =
            a < n && scale > 0 ? static_cast<T>(size(a) / (scale * static_cast<double>(total_rows))) : T(0);
      // A schedule without weight on any size that this row can have: the largest one.
      if (n > 0 && !(scale > 0)) row[n - 1] = static_cast<T>(1 / static_cast<double>(total_rows));
      positive_[n] = std::all_of(row, row + n, [](T w) { return w > T(0); });
    }
  }
  const T* row(std::int64_t present) const { return table_ + present * features_; }
  bool all_positive(std::int64_t present) const { return positive_[present]; }

 private:
  std::int64_t features_;
  T* table_;
  bool* positive_;
};

/// Memory of one member for one call, all in its workspace.
struct Buffers {
  TensorView order, count, position;  // (R, F), (R), (R, F) i32
  TensorView mu, log_sd;              // (R, F, F)
  TensorView value, feature, slot;    // (F R): tokens by step
  TensorView h, dh;                   // (F, R, H): state of each prefix, its gradient
  TensorView state, dstate;           // (F, R, H): through the head's first layer
  TensorView gates;                   // (F, R, 4 H)
  TensorView gh;                      // (R, 3 H)
  TensorView u0, u, out;              // (most pairs of a target, .)
  TensorView pair_index, pair_code;   // (pairs of a tile) i32
  TensorView pair_mean, pair_log_sd, pair_x, pair_weight, pair_loss;
};

/// Weights that backward reads transposed.
struct Transposed {
  TensorView weight_hh, state, hidden, mixture, category;
};

template <class T>
class Member {
 public:
  Member(Context& ctx, const SetGruOptions& options, const ParameterStore& store, const SetGru::Impl& impl,
         const ProposalBatch& batch, const PairWeights<T>& weights, const RandomKey& key,
         std::int64_t row_begin)
      : ctx_(ctx),
        options_(options),
        store_(store),
        impl_(impl),
        batch_(batch),
        weights_(weights),
        key_(key),
        row_begin_(row_begin),
        F(options.layout.features()),
        H(options.hidden),
        V(options.layout.total_categories()),
        tokens_(make_tokens(ctx, store, impl.id)) {
    transposed_ = {transpose(impl.id.weight_hh), transpose(impl.id.state), transpose(impl.id.hidden),
                   transpose(impl.id.mixture), V > 0 ? transpose(impl.id.category) : TensorView()};
    dwa_ = make({F, 3 * H});
    dwb_ = make({F + V, 3 * H});
    allocate(std::min<std::int64_t>(rows_of_tile, batch.rows.x.rows()));
  }

  /// Adds the gradient of rows [begin, begin + rows) to `slab` and returns their share of the loss.
  double shard(std::int64_t begin, std::int64_t rows, TensorView slab) {
    slab_ = slab;
    ops::fill(ctx_, 0, slab);
    ops::fill(ctx_, 0, dwa_);
    ops::fill(ctx_, 0, dwb_);
    double loss = 0;
    for (std::int64_t r = 0; r < rows; r += rows_of_tile)
      loss += tile(begin + r, std::min(rows_of_tile, rows - r));
    finish_tokens();
    return loss;
  }

 private:
  TensorView make(Shape shape) { return scratch(ctx_, shape, store_.dtype()); }
  ConstTensorView value(ParameterId id) const { return store_.value(id); }
  TensorView transpose(ParameterId id) {
    const ConstTensorView w = value(id);
    const TensorView t = make({w.cols(), w.rows()});
    ops::transpose(ctx_, w, t);
    return t;
  }
  /// A parameter's gradient in the slab of the shard.
  TensorView gradient(ParameterId id) const {
    const auto& entry = store_.parameters()[static_cast<std::size_t>(id.index)];
    return {slab_.ptr<T>() + entry.offset, entry.shape, store_.dtype(), store_.device()};
  }
  bool sampled() const { return F > options_.all_pairs_up_to; }
  std::int64_t pairs_of_row() const { return sampled() ? options_.sampled_pairs : F * (F + 1) / 2; }
  std::int64_t outputs() const {
    std::int64_t most = 3 * options_.components;
    for (const std::int64_t v : options_.layout.categories) most = std::max(most, v);
    return most;
  }

  void allocate(std::int64_t R) {
    const std::int64_t most = R * (sampled() ? options_.sampled_pairs : F);
    Buffers& b = buffers_;
    b.order = scratch_i32(ctx_, {R, F});
    b.count = scratch_i32(ctx_, {R});
    b.position = scratch_i32(ctx_, {R, F});
    b.mu = make({R, F, F});
    b.log_sd = make({R, F, F});
    b.value = make({F * R});
    b.feature = scratch_i32(ctx_, {F * R});
    b.slot = scratch_i32(ctx_, {F * R});
    b.h = make({F * R, H});
    b.dh = make({F * R, H});
    b.state = make({F * R, H});
    b.dstate = make({F * R, H});
    b.gates = make({F * R, 4 * H});
    b.gh = make({R, 3 * H});
    b.u0 = make({most, H});
    b.u = make({most, H});
    b.out = make({most * outputs()});
    const std::int64_t pairs = R * pairs_of_row();
    b.pair_index = scratch_i32(ctx_, {pairs});
    b.pair_code = scratch_i32(ctx_, {pairs});
    b.pair_mean = make({pairs});
    b.pair_log_sd = make({pairs});
    b.pair_x = make({pairs});
    b.pair_weight = make({pairs});
    b.pair_loss = make({most});
    pair_begin_ = ctx_.workspace().take<std::int64_t>(F + 1);
    sample_ = scratch_i32(ctx_, {pairs, 2});
  }

  double tile(std::int64_t begin, std::int64_t R) {
    draw_orders(begin, R);
    const Buffers& b = buffers_;
    ops::base_prefix_moments(ctx_, impl_.mean, impl_.covariance, batch_.rows.x.rows(begin, R),
                             b.order.rows(0, R), b.count.columns(0, R).reshaped({R}),
                             b.mu.rows(0, R * F).reshaped({R, F, F}),
                             b.log_sd.rows(0, R * F).reshaped({R, F, F}));
    make_pairs(begin, R);
    if (prefixes_ == 0) return 0;
    run_states(begin, R);
    ops::fill(ctx_, 0, b.dstate.rows(0, prefixes_ * R));
    double loss = 0;
    for (std::int64_t t = 0; t < F; ++t)
      loss += target(t, pair_begin_[t], pair_begin_[t + 1] - pair_begin_[t], R);
    backward_states(R);
    return loss;
  }

  /// A random order of the values present in each row, by its number in the batch.
  void draw_orders(std::int64_t begin, std::int64_t R) {
    const auto* observed = batch_.observed.ptr<T>();
    const std::int64_t stride = batch_.observed.row_stride();
    for (std::int64_t r = 0; r < R; ++r) {
      std::int32_t* order = buffers_.order.ptr<std::int32_t>() + r * F;
      std::int32_t* position = buffers_.position.ptr<std::int32_t>() + r * F;
      std::int32_t n = 0;
      for (std::int64_t t = 0; t < F; ++t) {
        position[t] = -1;
        if (observed[(begin + r) * stride + t] > T(.5)) order[n++] = static_cast<std::int32_t>(t);
      }
      Generator random(key_, static_cast<std::uint64_t>(row_begin_ + begin + r));
      for (std::int32_t i = n - 1; i > 0; --i)
        std::swap(order[i], order[random.below(static_cast<std::uint64_t>(i) + 1)]);
      for (std::int32_t i = 0; i < n; ++i) position[order[i]] = i;
      buffers_.count.ptr<std::int32_t>()[r] = n;
      if (sampled()) sample_pairs(random, n, r);
    }
  }

  /// `sampled_pairs` pairs of a row: prefix a with probability omega_a (n - a) / c, then one of its targets.
  void sample_pairs(Generator& random, std::int32_t n, std::int64_t r) {
    std::int32_t* out = sample_.ptr<std::int32_t>() + r * options_.sampled_pairs * 2;
    for (std::int64_t s = 0; s < options_.sampled_pairs; ++s, out += 2) {
      out[0] = out[1] = -1;
      if (n == 0) continue;
      double left = random.uniform() * rows_share(n);
      std::int32_t a = 0, chosen = 0;
      for (; a < n; ++a) {
        const double mass = static_cast<double>(weights_.row(n)[a]) * static_cast<double>(n - a);
        if (mass > 0) chosen = a;
        left -= mass;
        if (left < 0) break;
      }
      out[0] = chosen;
      out[1] = chosen + static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(n - chosen)));
    }
  }
  /// Sum of the weights of all pairs of a row with n values: 1 / rows of the batch.
  double rows_share(std::int64_t n) const {
    double sum = 0;
    for (std::int64_t a = 0; a < n; ++a)
      sum += static_cast<double>(weights_.row(n)[a]) * static_cast<double>(n - a);
    return sum;
  }

  void push_pair(std::int64_t begin, std::int64_t R, std::int64_t r, std::int64_t prefix, std::int64_t t,
                 T weight, std::int64_t at) {
    const Buffers& b = buffers_;
    const std::int64_t moments = (r * F + t) * F + prefix;
    b.pair_index.ptr<std::int32_t>()[at] = static_cast<std::int32_t>(prefix * R + r);
    b.pair_mean.ptr<T>()[at] = b.mu.ptr<T>()[moments];
    b.pair_log_sd.ptr<T>()[at] = b.log_sd.ptr<T>()[moments];
    b.pair_x.ptr<T>()[at] = batch_.rows.x.ptr<T>()[(begin + r) * batch_.rows.x.row_stride() + t];
    b.pair_code.ptr<std::int32_t>()[at] = code_at(batch_.rows, begin + r, t);
    b.pair_weight.ptr<T>()[at] = weight;
    prefixes_ = std::max(prefixes_, prefix + 1);
  }

  /// The pairs of target t with all prefixes before it in row r, those of weight 0 left out.
  std::int64_t push_prefixes(std::int64_t begin, std::int64_t R, std::int64_t r, std::int64_t t,
                             std::int64_t prefixes, std::int64_t at) {
    const Buffers& b = buffers_;
    const std::int32_t present = b.count.ptr<std::int32_t>()[r];
    const T* weight = weights_.row(present);
    if (!weights_.all_positive(present)) {
      for (std::int64_t a = 0; a < prefixes; ++a)
        if (weight[a] > 0) push_pair(begin, R, r, a, t, weight[a], at++);
      return at;
    }
    const std::int64_t moments = (r * F + t) * F;
    std::int32_t* index = b.pair_index.ptr<std::int32_t>() + at;
    for (std::int64_t a = 0; a < prefixes; ++a) index[a] = static_cast<std::int32_t>(a * R + r);
    std::copy_n(b.mu.ptr<T>() + moments, prefixes, b.pair_mean.ptr<T>() + at);
    std::copy_n(b.log_sd.ptr<T>() + moments, prefixes, b.pair_log_sd.ptr<T>() + at);
    std::copy_n(weight, prefixes, b.pair_weight.ptr<T>() + at);
    std::fill_n(b.pair_x.ptr<T>() + at, prefixes,
                batch_.rows.x.ptr<T>()[(begin + r) * batch_.rows.x.row_stride() + t]);
    if (V > 0)
      std::fill_n(b.pair_code.ptr<std::int32_t>() + at, prefixes, code_at(batch_.rows, begin + r, t));
    prefixes_ = std::max(prefixes_, prefixes);
    return at + prefixes;
  }

  void make_pairs(std::int64_t begin, std::int64_t R) {
    prefixes_ = 0;
    const std::int32_t* count = buffers_.count.ptr<std::int32_t>();
    const std::int32_t* position = buffers_.position.ptr<std::int32_t>();
    std::int64_t n = 0;
    if (sampled()) {
      const std::int32_t* order = buffers_.order.ptr<std::int32_t>();
      const std::int64_t M = options_.sampled_pairs;
      const std::int32_t* sample = sample_.ptr<std::int32_t>();
      std::fill(pair_begin_, pair_begin_ + F + 1, 0);
      for (std::int64_t r = 0; r < R; ++r)
        for (std::int64_t s = 0; s < M && count[r] > 0; ++s)
          ++pair_begin_[order[r * F + sample[(r * M + s) * 2 + 1]] + 1];
      for (std::int64_t t = 0; t < F; ++t) pair_begin_[t + 1] += pair_begin_[t];
      // Filling moves each begin to its end, which is the next begin: one step back afterwards.
      for (std::int64_t r = 0; r < R; ++r)
        for (std::int64_t s = 0; s < M && count[r] > 0; ++s) {
          const std::int32_t* pair = sample + (r * M + s) * 2;
          const std::int32_t t = order[r * F + pair[1]];
          push_pair(begin, R, r, pair[0], t, static_cast<T>(rows_share(count[r]) / static_cast<double>(M)),
                    pair_begin_[t]++);
        }
      for (std::int64_t t = F; t > 0; --t) pair_begin_[t] = pair_begin_[t - 1];
      pair_begin_[0] = 0;
      return;
    }
    for (std::int64_t t = 0; t < F; ++t) {
      pair_begin_[t] = n;
      for (std::int64_t r = 0; r < R; ++r)
        if (position[r * F + t] >= 0) n = push_prefixes(begin, R, r, t, position[r * F + t] + 1, n);
    }
    pair_begin_[F] = n;
  }

  ops::GruTokens tokens_of(std::int64_t step, std::int64_t R) const {
    const Buffers& b = buffers_;
    return {b.value.columns(step * R, R).reshaped({R}), b.feature.columns(step * R, R).reshaped({R}),
            b.slot.columns(step * R, R).reshaped({R})};
  }
  TensorView prefix(const TensorView& all, std::int64_t i, std::int64_t R) const {
    return all.rows(i * R, R);
  }

  /// States of all prefixes in use, and their share of the head's first layer.
  void run_states(std::int64_t begin, std::int64_t R) {
    const Buffers& b = buffers_;
    const std::int32_t *order = b.order.ptr<std::int32_t>(), *count = b.count.ptr<std::int32_t>();
    const T* start = value(impl_.id.start).template ptr<T>();
    for (std::int64_t r = 0; r < R; ++r) std::copy(start, start + H, b.h.ptr<T>() + r * H);
    for (std::int64_t i = 0; i + 1 < prefixes_; ++i) {
      for (std::int64_t r = 0; r < R; ++r) {
        const bool there = i < count[r];
        const std::int32_t t = there ? order[r * F + i] : -1;
        b.feature.ptr<std::int32_t>()[i * R + r] = t;
        b.slot.ptr<std::int32_t>()[i * R + r] =
            there ? impl_.slot(t, code_at(batch_.rows, begin + r, t)) : -1;
        b.value.ptr<T>()[i * R + r] =
            there ? batch_.rows.x.ptr<T>()[(begin + r) * batch_.rows.x.row_stride() + t] : T(0);
      }
      const TensorView h = prefix(b.h, i, R), gh = b.gh.rows(0, R);
      ops::linear_forward(ctx_, h, value(impl_.id.weight_hh), value(impl_.id.bias_hh), Activation::identity,
                          gh);
      ops::gru_token_forward(ctx_, tokens_of(i, R), tokens_.wa, tokens_.wb, gh, h, prefix(b.h, i + 1, R),
                             prefix(b.gates, i, R));
    }
    ops::linear_forward(ctx_, b.h.rows(0, prefixes_ * R), value(impl_.id.state), {}, Activation::identity,
                        b.state.rows(0, prefixes_ * R));
  }

  /// Forward, loss and backward of all pairs whose target is t.
  double target(std::int64_t t, std::int64_t first, std::int64_t P, std::int64_t R) {
    if (P == 0) return 0;
    const Buffers& b = buffers_;
    const auto part = [&](const TensorView& all) { return all.columns(first, P).reshaped({P}); };
    const auto row = [&](const auto& all) { return all.rows(t, 1).reshaped({H}); };
    const auto at = static_cast<std::size_t>(t);
    const std::int64_t categories = options_.layout.categories[at], offset = impl_.offsets[at];
    const std::int64_t O = categories > 0 ? categories : 3 * options_.components;
    const SetGru::Impl::Ids& id = impl_.id;
    const ops::SetHeadPairs pairs{part(b.pair_index), part(b.pair_mean), part(b.pair_log_sd)};
    ops::SetHeadWeights weights{value(id.moments), row(value(id.feature)), value(id.hidden), {}, {}};
    ops::SetHeadGradients gradients{
        gradient(id.moments), row(gradient(id.feature)), gradient(id.hidden), {}, {}};
    TensorView out_t = transposed_.mixture;
    if (categories > 0) {
      weights.out = value(id.category).columns(offset, O);
      weights.bias = value(id.category_bias).columns(offset, O).reshaped({O});
      gradients.out = gradient(id.category).columns(offset, O);
      gradients.bias = gradient(id.category_bias).columns(offset, O).reshaped({O});
      out_t = transposed_.category.rows(offset, O);
    } else {
      weights.out = value(id.mixture);
      weights.bias = value(id.mixture_bias);
      gradients.out = gradient(id.mixture);
      gradients.bias = gradient(id.mixture_bias);
    }
    const TensorView out = b.out.columns(0, P * O).reshaped({P, O});
    const TensorView u0 = b.u0.rows(0, P), u = b.u.rows(0, P), loss = b.pair_loss.columns(0, P).reshaped({P});
    ops::set_head_forward(ctx_, pairs, weights, b.state.rows(0, prefixes_ * R), u0, u, out);
    if (categories > 0)
      ops::categorical_loss(ctx_, out, impl_.frequencies.view().columns(offset, O).reshaped({O}),
                            part(b.pair_code), part(b.pair_weight), loss, out);
    else
      ops::mixture_loss(ctx_, out, pairs.mean, pairs.log_sd, part(b.pair_x), part(b.pair_weight), loss, out);
    ops::set_head_backward(ctx_, pairs, transposed_.hidden, out_t, out, u0, u,
                           b.dstate.rows(0, prefixes_ * R), gradients);
    const T* values = loss.ptr<T>();
    double sum[4] = {};  // four chains hide each other's latency
    for (std::int64_t p = 0; p < P; ++p) sum[p % 4] += static_cast<double>(values[p]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  /// From dstate through the first layer and the recurrence.
  void backward_states(std::int64_t R) {
    const Buffers& b = buffers_;
    const SetGru::Impl::Ids& id = impl_.id;
    const std::int64_t all = prefixes_ * R, steps = (prefixes_ - 1) * R;
    ops::add_product_at(ctx_, b.h.rows(0, all), b.dstate.rows(0, all), gradient(id.state));
    ops::linear_forward(ctx_, b.dstate.rows(0, all), transposed_.state, {}, Activation::identity,
                        b.dh.rows(0, all));
    for (std::int64_t i = prefixes_ - 1; i-- > 0;) {
      const TensorView gates = prefix(b.gates, i, R), dh = prefix(b.dh, i + 1, R), down = prefix(b.dh, i, R);
      ops::gru_token_backward(ctx_, tokens_of(i, R), prefix(b.h, i, R), gates, dh, dwa_, dwb_);
      ops::add(ctx_, down, dh, down);
      ops::add_product(ctx_, gates.columns(0, 3 * H), transposed_.weight_hh, down);
    }
    ops::add_column_sums(ctx_, b.dh.rows(0, R), gradient(id.start));
    if (steps == 0) return;
    const TensorView dgh = b.gates.rows(0, steps).columns(0, 3 * H);
    ops::add_product_at(ctx_, b.h.rows(0, steps), dgh, gradient(id.weight_hh));
    ops::add_column_sums(ctx_, dgh, gradient(id.bias_hh));
  }

  /// From the tables of tokens to the parameters behind them: wa = a W_ih, wb = b W_ih + b_ih.
  void finish_tokens() {
    const SetGru::Impl::Ids& id = impl_.id;
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
  const ProposalBatch& batch_;
  const PairWeights<T>& weights_;
  const RandomKey key_;
  const std::int64_t row_begin_;
  const std::int64_t F, H, V;
  const SetGruTokens tokens_;
  Transposed transposed_;
  TensorView dwa_, dwb_, slab_;
  Buffers buffers_;
  TensorView sample_;  ///< (R sampled pairs, 2) i32: prefix and position of the target
  std::int64_t* pair_begin_ = nullptr;
  std::int64_t prefixes_ = 0;  ///< of the tile: lengths 0 .. prefixes_ - 1 are in use
};

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
    const PairWeights<T> weights(ctx, sizes, plan.total_rows);
    Member<T> member(ctx, options, store, impl, batch, weights, key, plan.row_begin);
    for (std::int64_t i = 0; i < plan.local_shards; ++i) {
      const Shard s = plan.shard(i);
      losses.ptr<double>()[i] = member.shard(s.begin, s.rows, slabs.rows(i, 1).reshaped({n}));
    }
  }
  ops::add_shard_gradients(ctx, slabs, losses, store.flat_gradients(), loss);
}

}  // namespace

void SetGru::prepare(int, std::int64_t) {}  // everything lives in the contexts' workspaces

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
  if (dtype() == DType::f32)
    train_on<float>(ctx, options_, store_, *impl_, plan, batch, sizes, key, loss);
  else
    train_on<double>(ctx, options_, store_, *impl_, plan, batch, sizes, key, loss);
}

}  // namespace emshap
