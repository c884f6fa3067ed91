#pragma once
// The set-GRU's network on tiles of rows, for everything but training.
#include <algorithm>

#include "emshap/ops/gather.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/recurrent.h"
#include "emshap/ops/set_head.h"
#include "models/set_gru_impl.h"

namespace emshap::set_gru {

inline constexpr std::int64_t rows_of_tile = 256;  ///< or draws; they stay in the L2 cache through all steps

/// Rows whose gains (F, F) are held at once: at most 2^20 numbers.
inline std::int64_t rows_with_gains(std::int64_t features) {
  return std::clamp<std::int64_t>((std::int64_t{1} << 20) / (features * features), 1, rows_of_tile);
}

inline bool known(double mask) {
  return mask > .5;
}

/// Rows of a tile that take part in a step, ascending. Neighbours that are known to have the same state share
/// a leader, for which what depends on the state alone is computed.
class Active {
 public:
  Active(Context& ctx, std::int64_t most)
      : index_(scratch_i32(ctx, {most})),
        leaders_(scratch_i32(ctx, {most})),
        leader_of_(scratch_i32(ctx, {most})),
        rows_(index_.ptr<std::int32_t>()),
        leader_rows_(leaders_.ptr<std::int32_t>()),
        numbers_(leader_of_.ptr<std::int32_t>()) {}

  void clear() { n_ = leading_ = 0; }
  /// `same`: the state is that of the row pushed before.
  void push(std::int64_t row, bool same = false) {
    rows_[n_] = static_cast<std::int32_t>(row);
    if (!same) leader_rows_[leading_++] = static_cast<std::int32_t>(row);
    numbers_[n_++] = static_cast<std::int32_t>(leading_ - 1);
  }
  std::int64_t size() const { return n_; }
  std::int32_t operator[](std::int64_t i) const { return rows_[i]; }
  ConstTensorView view() const { return index_.columns(0, n_).reshaped({n_}); }

  bool shared() const { return leading_ < n_; }
  std::int64_t leading() const { return leading_; }
  ConstTensorView leaders() const { return leaders_.columns(0, leading_).reshaped({leading_}); }
  /// (n): number of each row's leader.
  ConstTensorView leader_of() const { return leader_of_.columns(0, n_).reshaped({n_}); }

 private:
  const TensorView index_, leaders_, leader_of_;
  std::int32_t *rows_, *leader_rows_, *numbers_;
  std::int64_t n_ = 0, leading_ = 0;
};

/// The network on tiles of at most `most` rows; memory in the context's workspace.
template <class T>
class Network {
 public:
  Network(Context& ctx, const SetGruOptions& options, const ParameterStore& store, const SetGru::Impl& impl,
          std::int64_t most)
      : ctx_(ctx),
        options_(options),
        store_(store),
        impl_(impl),
        F(options.layout.features()),
        H(options.hidden),
        tokens_(make_tokens(ctx, store, impl.id)),
        state_(make({most, H})),
        next_(make({most, H})),
        u_(make({most, H})),
        gh_(make({most, 3 * H})),
        leader_gh_(make({most, 3 * H})),
        value_(make({most})),
        feature_(scratch_i32(ctx, {most})),
        slot_(scratch_i32(ctx, {most})),
        straight_(scratch_i32(ctx, {most})) {
    for (std::int64_t r = 0; r < most; ++r) straight_.ptr<std::int32_t>()[r] = static_cast<std::int32_t>(r);
  }

  TensorView make(Shape shape) { return scratch(ctx_, shape, store_.dtype()); }
  std::int64_t categories(std::int64_t t) const {
    return options_.layout.categories[static_cast<std::size_t>(t)];
  }
  std::int64_t outputs(std::int64_t t) const {
    return categories(t) > 0 ? categories(t) : 3 * options_.components;
  }
  ConstTensorView frequencies(std::int64_t t) const { return of_feature(impl_.frequencies.view(), t); }
  ConstTensorView values(std::int64_t t) const { return of_feature(impl_.values.view(), t); }

  /// h (R, H) = h_{}.
  void start(TensorView h) const {
    const T* from = store_.value(impl_.id.start).template ptr<T>();
    for (std::int64_t r = 0; r < h.rows(); ++r) std::copy(from, from + H, h.ptr<T>() + r * H);
  }

  /// h of the active rows takes in feature t: x(row) and code(row) give its value.
  template <class X, class Code>
  void take_in(std::int64_t t, const Active& active, TensorView h, const X& x, const Code& code) {
    const std::int64_t n = active.size();
    if (n == 0) return;
    T* values = value_.ptr<T>();
    std::int32_t* slots = slot_.ptr<std::int32_t>();
    for (std::int64_t i = 0; i < n; ++i) values[i] = x(active[i]);
    for (std::int64_t i = 0; i < n; ++i) slots[i] = impl_.slot(t, categories(t) > 0 ? code(active[i]) : -1);
    std::fill_n(feature_.ptr<std::int32_t>(), n, static_cast<std::int32_t>(t));
    const bool all = n == h.rows();
    const TensorView from = all ? h : state_.rows(0, n);
    if (!all) ops::gather_rows(ctx_, h, active.view(), from);
    const TensorView gh = gh_.rows(0, n);
    if (active.shared()) {
      const TensorView leaders = next_.rows(0, active.leading());
      const TensorView found = leader_gh_.rows(0, active.leading());
      ops::gather_rows(ctx_, h, active.leaders(), leaders);
      recurrent_product(leaders, found);
      ops::gather_rows(ctx_, found, active.leader_of(), gh);
    } else {
      recurrent_product(from, gh);
    }
    ops::gru_token_forward(ctx_, {vector(value_, n), vector(feature_, n), vector(slot_, n)}, tokens_.wa,
                           tokens_.wb, gh, from, from, {});
    if (!all) ops::scatter_rows(ctx_, from, active.view(), h);
  }

  /// The head's first layer for states h (n, H), in memory of the network.
  TensorView first_layer(ConstTensorView h) {
    const TensorView state = next_.rows(0, h.rows());
    ops::linear_forward(ctx_, h, store_.value(impl_.id.state), {}, Activation::identity, state);
    return state;
  }
  /// The same for the leaders of the active rows of h.
  TensorView first_layer(ConstTensorView h, const Active& active) {
    const std::int64_t n = active.leading();
    if (n == h.rows()) return first_layer(h);
    ops::gather_rows(ctx_, h, active.leaders(), state_.rows(0, n));
    return first_layer(state_.rows(0, n));
  }

  /// out (n, outputs): raw head of feature t on rows `index` of `state`, with moments (n) of the base.
  void head(std::int64_t t, ConstTensorView index, ConstTensorView mean, ConstTensorView log_sd,
            ConstTensorView state, TensorView out) {
    const TensorView u = u_.rows(0, out.rows());
    ops::set_head_forward(ctx_, {index, mean, log_sd}, head_weights(t), state, u, u, out);
  }
  ops::SetHeadWeights head_weights(std::int64_t t) const {
    const SetGru::Impl::Ids& id = impl_.id;
    ops::SetHeadWeights w{store_.value(id.moments), store_.value(id.feature).rows(t, 1).reshaped({H}),
                          store_.value(id.hidden), store_.value(id.mixture), store_.value(id.mixture_bias)};
    if (categories(t) > 0) {
      w.out = store_.value(id.category).columns(impl_.offsets[static_cast<std::size_t>(t)], categories(t));
      w.bias = of_feature(store_.value(id.category_bias), t);
    }
    return w;
  }
  const SetGruTokens& tokens() const { return tokens_; }
  /// 0, 1, 2 ...: every row of a state.
  ConstTensorView every(std::int64_t n) const { return vector(straight_, n); }

  static TensorView vector(const TensorView& all, std::int64_t n) { return all.columns(0, n).reshaped({n}); }

 private:
  void recurrent_product(ConstTensorView h, TensorView gh) {
    ops::linear_forward(ctx_, h, store_.value(impl_.id.weight_hh), store_.value(impl_.id.bias_hh),
                        Activation::identity, gh);
  }
  ConstTensorView of_feature(const ConstTensorView& all, std::int64_t t) const {
    return all.columns(impl_.offsets[static_cast<std::size_t>(t)], categories(t)).reshaped({categories(t)});
  }
  Context& ctx_;
  const SetGruOptions& options_;
  const ParameterStore& store_;
  const SetGru::Impl& impl_;
  const std::int64_t F, H;
  const SetGruTokens tokens_;
  const TensorView state_, next_, u_, gh_, leader_gh_, value_, feature_, slot_, straight_;
};

/// What the rows of a call are, with typed access.
template <class T>
struct Rows {
  const FeatureRows& rows;
  ConstTensorView mask;
  bool is_known(std::int64_t r, std::int64_t t) const {
    return known(static_cast<double>(mask.ptr<T>()[r * mask.row_stride() + t]));
  }
  T x(std::int64_t r, std::int64_t t) const { return rows.x.ptr<T>()[r * rows.x.row_stride() + t]; }
  std::int32_t code(std::int64_t r, std::int64_t t) const { return code_at(rows, r, t); }
};

/// h (R, H) = states of the known features of rows [begin, begin + R).
template <class T>
void scan(Network<T>& net, const Rows<T>& in, std::int64_t begin, std::int64_t F, Active& active,
          TensorView h) {
  net.start(h);
  for (std::int64_t t = 0; t < F; ++t) {
    active.clear();
    for (std::int64_t r = 0; r < h.rows(); ++r)
      if (in.is_known(begin + r, t)) active.push(r);
    net.take_in(
        t, active, h, [&](std::int64_t r) { return in.x(begin + r, t); },
        [&](std::int64_t r) { return in.code(begin + r, t); });
  }
}

/// Columns of the widest head.
inline std::int64_t widest(const FeatureLayout& layout, std::int64_t components) {
  std::int64_t most = 3 * components;
  for (const std::int64_t v : layout.categories) most = std::max(most, v);
  return most;
}

}  // namespace emshap::set_gru
