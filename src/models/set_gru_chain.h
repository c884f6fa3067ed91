#pragma once
// Many draws of each row: one row after another, so that all draws in work stand at the same feature and lie
// side by side. What a step needs is then a few contiguous vectors, and states never leave the cache.
#include "emshap/ops/density.h"
#include "emshap/ops/draw_step.h"
#include "emshap/ops/gaussian_base.h"
#include "models/proposal_args.h"
#include "models/sequences.h"
#include "models/set_gru_network.h"

namespace emshap::set_gru {

/// From so many draws a row on a row alone fills the register tiles.
inline constexpr std::int64_t draws_of_chain = 32;

template <class T>
class Chain {
 public:
  /// `out` is started: known entries copied, the others 0 and -1, log_q 0 or empty.
  Chain(Context& ctx, const SetGruOptions& o, const ParameterStore& store, const SetGru::Impl& impl,
        const Rows<T>& in, std::int64_t draws, ConstTensorView noise, const std::int64_t* order, Draws& out)
      : ctx_(ctx),
        store_(store),
        impl_(impl),
        in_(in),
        F(o.layout.features()),
        H(o.hidden),
        K(draws),
        noise_(noise),
        shared_(noise.rows() == draws),
        order_(order),
        out_(out),
        part_(std::min(draws, rows_of_tile)),
        rows_(std::min(in.rows.x.rows(), rows_with_gains(F))),
        net_(ctx, o, store, impl, std::max(rows_, part_)),
        active_(ctx, rows_),
        sequence_(scratch_i32(ctx, {rows_, F})),
        count_(scratch_i32(ctx, {rows_})),
        known_(scratch_i32(ctx, {rows_})),
        code_(scratch_i32(ctx, {part_})),
        slot_(scratch_i32(ctx, {part_})),
        mu_(net_.make({rows_, F})),
        spare_(net_.make({rows_, F})),
        gains_(net_.make({rows_ * F, F})),
        log_sd_(net_.make({rows_, F})),
        uniforms_(net_.make({shared_ ? F : 1, shared_ ? draws : part_})),
        h_(net_.make({part_, H})),
        x_(net_.make({F, part_})),
        surprise_(net_.make({F, part_})),
        mean_(net_.make({part_})),
        log_sds_(net_.make({part_})),
        log_q_(net_.make({part_})),
        head_(net_.make({part_ * widest(o.layout, o.components)})) {
    if (shared_)
      for (std::int64_t c = 0; c < F; ++c) column_of_noise(0, c, draws, row_of(uniforms_, c));
  }

  /// All rows, drawing what wanted(row, t) says.
  template <class Wanted>
  void run(const Wanted& wanted) {
    const std::int64_t B = in_.rows.x.rows();
    for (std::int64_t begin = 0; begin < B; begin += rows_) {
      const std::int64_t R = std::min(rows_, B - begin);
      const TensorView context = out_.context.view().rows(begin, R);
      scan(net_, in_, begin, F, active_, context);
      ops::base_conditionals(ctx_, impl_.mean, impl_.covariance, in_.rows.x.rows(begin, R),
                             in_.mask.rows(begin, R), mu_.rows(0, R), spare_.rows(0, R));
      for (std::int64_t r = 0; r < R; ++r) {
        const SequenceCounts n = make_sequence(
            in_.mask.template ptr<T>() + (begin + r) * in_.mask.row_stride(), F,
            [&](std::int64_t t) { return wanted(begin + r, t); }, sequence_.ptr<std::int32_t>() + r * F,
            order_);
        count_.ptr<std::int32_t>()[r] = n.used;
        known_.ptr<std::int32_t>()[r] = n.known;
      }
      ops::base_gains(ctx_, impl_.covariance, sequence_.rows(0, R), net_.vector(count_, R),
                      gains_.rows(0, R * F).reshaped({R, F, F}), log_sd_.rows(0, R));
      for (std::int64_t r = 0; r < R; ++r)
        for (std::int64_t k = 0; k < K; k += part_)
          draw(begin, r, k, std::min(part_, K - k), context.rows(r, 1));
    }
  }

 private:
  T* row_of(const TensorView& m, std::int64_t r) const { return m.ptr<T>() + r * m.row_stride(); }
  static TensorView part(const TensorView& m, std::int64_t r, std::int64_t from, std::int64_t n) {
    return m.rows(r, 1).columns(from, n).reshaped({n});
  }
  void column_of_noise(std::int64_t first, std::int64_t column, std::int64_t n, T* to) const {
    const T* from = noise_.ptr<T>() + first * noise_.row_stride() + column;
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i * noise_.row_stride()];
  }

  /// Draws [k, k + n) of row begin + r.
  void draw(std::int64_t begin, std::int64_t r, std::int64_t k, std::int64_t n, ConstTensorView context) {
    const std::int32_t* sequence = sequence_.ptr<std::int32_t>() + r * F;
    const std::int64_t known = known_.ptr<std::int32_t>()[r], used = count_.ptr<std::int32_t>()[r];
    const std::int64_t first = (begin + r) * K + k;  // number of the first draw
    const T* gains = gains_.ptr<T>() + r * F * F;
    const bool scored = out_.log_q.elements() > 0;
    const TensorView log_q = scored ? net_.vector(log_q_, n) : TensorView();
    if (scored) std::fill_n(log_q_.ptr<T>(), n, T(0));
    for (std::int64_t i = known; i < used; ++i) {
      const std::int64_t t = sequence[i];
      // Up to a row's first unknown feature all its draws are the same.
      const std::int64_t states = i == known ? 1 : n;
      const ConstTensorView h = i == known ? context : ConstTensorView(h_.rows(0, n));
      T* mean = mean_.ptr<T>();
      std::fill_n(mean, states, mu_.ptr<T>()[r * F + t]);
      for (std::int64_t j = known; j < i; ++j) {
        const T gain = gains[j * F + t];
        const T* away = row_of(surprise_, j);
        for (std::int64_t d = 0; d < n; ++d) mean[d] += gain * away[d];
      }
      if (!shared_) column_of_noise(first, t, n, row_of(uniforms_, 0));
      const TensorView u = part(uniforms_, shared_ ? t : 0, shared_ ? k : 0, n);
      const TensorView x = part(x_, i, 0, n);
      const T log_sd = log_sd_.ptr<T>()[r * F + i];
      const bool categorical = net_.categories(t) > 0;
      if (categorical)
        draw_category(t, h, log_sd, u.reshaped({n, 1}), x, log_q, first);
      else
        ops::draw_from_state(ctx_, h, net_.vector(mean_, states), static_cast<double>(log_sd),
                             store_.value(impl_.id.state), net_.head_weights(t), u, x, log_q);
      if (i + 1 == used) break;
      T* away = row_of(surprise_, i);
      for (std::int64_t d = 0; d < n; ++d) away[d] = x.ptr<T>()[d] - mean[states == 1 ? 0 : d];
      const SetGruTokens& tokens = net_.tokens();
      ops::advance_state(ctx_, h, x, tokens.wa.rows(t, 1).reshaped({3 * H}),
                         categorical ? tokens.wb : tokens.wb.rows(t, 1),
                         categorical ? net_.vector(slot_, n) : TensorView(), store_.value(impl_.id.weight_hh),
                         store_.value(impl_.id.bias_hh), h_.rows(0, n));
    }
    T* to = out_.x.ptr<T>() + first * F;
    for (std::int64_t i = known; i < used; ++i) {
      const T* x = row_of(x_, i);
      for (std::int64_t d = 0; d < n; ++d) to[d * F + sequence[i]] = x[d];
    }
    if (scored) std::copy_n(log_q_.ptr<T>(), n, out_.log_q.ptr<T>() + first);
  }

  void draw_category(std::int64_t t, ConstTensorView h, T log_sd, ConstTensorView u, TensorView x,
                     TensorView log_q, std::int64_t first) {
    const std::int64_t states = h.rows(), n = x.cols(), V = net_.categories(t);
    std::fill_n(log_sds_.ptr<T>(), states, log_sd);
    const TensorView head = head_.columns(0, states * V).reshaped({states, V}), code = net_.vector(code_, n);
    net_.head(t, net_.every(states), net_.vector(mean_, states), net_.vector(log_sds_, states),
              net_.first_layer(h), head);
    ops::categorical_log_probabilities(ctx_, head, net_.frequencies(t), {}, head);
    ops::categorical_draw(ctx_, head, u, {}, code, log_q);
    ops::categorical_values(ctx_, net_.values(t), code, x);
    for (std::int64_t d = 0; d < n; ++d) {
      const std::int32_t drawn = code.ptr<std::int32_t>()[d];
      slot_.ptr<std::int32_t>()[d] = impl_.slot(t, drawn);
      out_.code.ptr<std::int32_t>()[(first + d) * F + t] = drawn;
    }
  }

  Context& ctx_;
  const ParameterStore& store_;
  const SetGru::Impl& impl_;
  const Rows<T>& in_;
  const std::int64_t F, H, K;
  const ConstTensorView noise_;
  const bool shared_;
  const std::int64_t* const order_;
  Draws& out_;
  const std::int64_t part_, rows_;
  Network<T> net_;
  Active active_;
  const TensorView sequence_, count_, known_, code_, slot_;
  const TensorView mu_, spare_, gains_, log_sd_;
  const TensorView uniforms_;  ///< (2 F, K) where rows share the noise, else (2, part)
  const TensorView h_, x_, surprise_, mean_, log_sds_, log_q_, head_;
};

}  // namespace emshap::set_gru
