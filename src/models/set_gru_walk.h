#pragma once
// How rows become complete: known features first, then one unknown feature after another, for teacher forcing
// and for drawing.
#include "emshap/ops/gaussian_base.h"
#include "models/sequences.h"
#include "models/set_gru_network.h"

namespace emshap::set_gru {

/// A group of rows that become complete one feature after another, each by K draws at a time.
///
/// walk(visit) calls visit(t, active, mean, log_sd, head) for ascending t, or t in the order given, with the
/// draws for which t comes now; visit sees to it that x and code of these draws hold the value, which then
/// enters their states.
template <class T>
class Walk {
 public:
  Walk(Context& ctx, const SetGruOptions& o, const ParameterStore& store, const SetGru::Impl& impl,
       std::int64_t most_rows, std::int64_t most_draws, const std::int64_t* order = nullptr)
      : ctx_(ctx),
        impl_(impl),
        order_(order),
        F(o.layout.features()),
        H(o.hidden),
        net_(ctx, o, store, impl, std::max(most_rows, most_draws)),
        active_(ctx, std::max(most_rows, most_draws)),
        later_(ctx, most_draws),
        sequence_(scratch_i32(ctx, {most_rows, F})),
        count_(scratch_i32(ctx, {most_rows})),
        known_(scratch_i32(ctx, {most_rows})),
        position_(scratch_i32(ctx, {most_rows})),
        now_(scratch_i32(ctx, {most_rows})),
        mu_(net_.make({most_rows, F})),
        spare_(net_.make({most_rows, F})),
        gains_(net_.make({most_rows * F, F})),
        log_sd_(net_.make({most_rows, F})),
        h_(net_.make({most_draws, H})),
        mean_(net_.make({most_draws, F})),
        active_mean_(net_.make({most_draws})),
        active_sd_(net_.make({most_draws})),
        leader_mean_(net_.make({most_draws})),
        leader_sd_(net_.make({most_draws})),
        leader_head_(net_.make({most_draws * widest(o.layout, o.components)})),
        head_(net_.make({most_draws * widest(o.layout, o.components)})) {}

  Network<T>& net() { return net_; }

  /// Rows [begin, begin + R): their states in `context` (R, H), what is known of the base and the order in
  /// which the features for which wanted(row, t) holds will come.
  template <class Wanted>
  void begin_rows(const Rows<T>& in, std::int64_t begin, std::int64_t R, TensorView context,
                  const Wanted& wanted) {
    rows_ = R;
    context_ = context;
    scan(net_, in, begin, F, active_, context);
    ops::base_conditionals(ctx_, impl_.mean, impl_.covariance, in.rows.x.rows(begin, R),
                           in.mask.rows(begin, R), mu_.rows(0, R), spare_.rows(0, R));
    for (std::int64_t r = 0; r < R; ++r) {
      const T* mask = in.mask.template ptr<T>() + (begin + r) * in.mask.row_stride();
      const SequenceCounts n = make_sequence(
          mask, F, [&](std::int64_t t) { return wanted(begin + r, t); },
          sequence_.ptr<std::int32_t>() + r * F, order_);
      count_.ptr<std::int32_t>()[r] = n.used;
      known_.ptr<std::int32_t>()[r] = n.known;
    }
    ops::base_gains(ctx_, impl_.covariance, sequence_.rows(0, R), net_.vector(count_, R),
                    gains_.rows(0, R * F).reshaped({R, F, F}), log_sd_.rows(0, R));
  }

  /// `draws` draws of each row; x (R draws, F) and code(draw, t) give the values that have come.
  template <class Code, class Visit>
  void walk(std::int64_t draws, TensorView x, const Code& code, const Visit& visit) {
    const std::int64_t N = rows_ * draws;
    const TensorView h = h_.rows(0, N), mean = mean_.rows(0, N);
    for (std::int64_t d = 0; d < N; ++d) {
      const std::int64_t r = d / draws;
      const T* from = context_.ptr<T>() + r * H;
      std::copy(from, from + H, h.ptr<T>() + d * H);
      const T* moments = mu_.ptr<T>() + r * F;
      std::copy(moments, moments + F, mean.ptr<T>() + d * F);
    }
    std::int32_t* next = position_.ptr<std::int32_t>();  // of each row: where its sequence stands
    std::copy(known_.ptr<std::int32_t>(), known_.ptr<std::int32_t>() + rows_, next);
    for (std::int64_t i = 0; i < F; ++i)
      step(order_ == nullptr ? i : order_[i], draws, x, h, mean, code, visit);
  }

 private:
  template <class Code, class Visit>
  void step(std::int64_t t, std::int64_t draws, TensorView x, TensorView h, TensorView mean, const Code& code,
            const Visit& visit) {
    std::int32_t* next = position_.ptr<std::int32_t>();
    const std::int32_t* count = count_.ptr<std::int32_t>();
    active_.clear();
    later_.clear();
    const T *means = mean.ptr<T>(), *log_sds = log_sd_.ptr<T>(), *xs = x.ptr<T>();
    T *active_mean = active_mean_.ptr<T>(), *active_sd = active_sd_.ptr<T>();
    T *leader_mean = leader_mean_.ptr<T>(), *leader_sd = leader_sd_.ptr<T>();
    for (std::int64_t r = 0; r < rows_; ++r) {
      if (!comes_now(r, t)) continue;
      const T log_sd = log_sds[r * F + next[r]];
      const bool goes_on = next[r] + 1 < count[r];
      // Up to a row's first unknown feature all its draws are the same.
      const bool fresh = next[r] == known_.ptr<std::int32_t>()[r];
      for (std::int64_t d = r * draws; d < (r + 1) * draws; ++d) {
        const bool same = fresh && d > r * draws;
        active_mean[active_.size()] = means[d * F + t];
        active_sd[active_.size()] = log_sd;
        active_.push(d, same);
        leader_mean[active_.leading() - 1] = means[d * F + t];
        leader_sd[active_.leading() - 1] = log_sd;
        if (goes_on) later_.push(d, same);
      }
    }
    const std::int64_t n = active_.size(), m = active_.leading(), O = net_.outputs(t);
    if (n == 0) return;
    const TensorView mu = net_.vector(active_mean_, n), sd = net_.vector(active_sd_, n);
    const TensorView raw = head_.columns(0, n * O).reshaped({n, O});
    const TensorView lead = active_.shared() ? leader_head_.columns(0, m * O).reshaped({m, O}) : raw;
    net_.head(t, net_.every(m), net_.vector(leader_mean_, m), net_.vector(leader_sd_, m),
              net_.first_layer(h, active_), lead);
    if (active_.shared()) ops::gather_rows(ctx_, lead, active_.leader_of(), raw);
    visit(t, active_, mu, sd, raw);
    // Rows whose sequence does not stand at t are left as they are.
    std::int32_t* now = now_.ptr<std::int32_t>();
    for (std::int64_t r = 0; r < rows_; ++r) now[r] = comes_now(r, t) ? next[r] : -1;
    ops::base_update(ctx_, gains_.rows(0, rows_ * F).reshaped({rows_, F, F}), sequence_.rows(0, rows_),
                     net_.vector(now_, rows_), x, mean);
    net_.take_in(
        t, later_, h, [&](std::int64_t d) { return xs[d * F + t]; },
        [&](std::int64_t d) { return code(d, t); });
    for (std::int64_t r = 0; r < rows_; ++r)
      if (now[r] >= 0) ++next[r];
  }
  /// Whether the sequence of row r stands at t.
  bool comes_now(std::int64_t r, std::int64_t t) const {
    const std::int32_t next = position_.ptr<std::int32_t>()[r];
    return next < count_.ptr<std::int32_t>()[r] && sequence_.ptr<std::int32_t>()[r * F + next] == t;
  }

  Context& ctx_;
  const SetGru::Impl& impl_;
  const std::int64_t* const order_;  // null: ascending
  const std::int64_t F, H;
  Network<T> net_;
  Active active_, later_;
  const TensorView sequence_, count_, known_, position_, now_;
  const TensorView mu_, spare_, gains_, log_sd_, h_, mean_, active_mean_, active_sd_, leader_mean_,
      leader_sd_, leader_head_, head_;
  TensorView context_;
  std::int64_t rows_ = 0;
};

}  // namespace emshap::set_gru
