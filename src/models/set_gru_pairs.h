#pragma once
// What a tile of rows trains on: a random order of the values present in each row, and the pairs (prefix of
// the order, target behind it) with their weights in the loss. Lists are written in host memory, as batches
// are; on a GPU they are sent there, and the base's moments, which only the GPU has, are picked there.
#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "emshap/core/random.h"
#include "emshap/ops/gather.h"
#include "layers/send.h"
#include "models/set_gru_impl.h"

namespace emshap::set_gru {

/// What weighs a pair (prefix of length a, target) of a row with n values present: omega_a / sum_a omega_a (n
/// - a), so that a row's loss is a mean per unknown feature; divided by the rows of the batch.
template <class T>
class PairWeights {
 public:
  /// Tables in `host`, a workspace in host memory.
  PairWeights(Workspace& host, std::span<const double> sizes, std::int64_t total_rows)
      : features_(static_cast<std::int64_t>(sizes.size())) {
    table_ = host.take<T>((features_ + 1) * features_);
    positive_ = host.take<bool>(features_ + 1);
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
  /// (F), by the length of the prefix.
  const T* of(std::int64_t present) const { return table_ + present * features_; }
  bool all_positive(std::int64_t present) const { return positive_[present]; }

 private:
  std::int64_t features_;
  T* table_;
  bool* positive_;
};

/// Tiles of at most R rows. Pairs stand target after target; of one target first those with the empty prefix,
/// then row after row by prefix. The states they point to stand as one row for the empty prefix, then `rows`
/// rows for each longer one.
template <class T>
class TilePairs {
 public:
  /// `host`: a workspace in host memory for what ops do not read.
  TilePairs(Context& ctx, Workspace& host, const SetGruOptions& o, const PairWeights<T>& weights,
            std::int64_t R)
      : F(o.layout.features()),
        sampled_(F > o.all_pairs_up_to ? o.sampled_pairs : 0),
        most_(R * (sampled_ > 0 ? sampled_ : F)),
        weights_(weights),
        order_(ctx, {R, F}, DType::i32),
        count_(ctx, {R}, DType::i32),
        position_(host_scratch(host, {R, F}, DType::i32)) {
    const Shape pairs{R * (sampled_ > 0 ? sampled_ : F * (F + 1) / 2)};
    const DType type = dtype_of<T>();
    index_ = Sent(ctx, pairs, DType::i32);
    code_ = Sent(ctx, pairs, DType::i32);
    x_ = Sent(ctx, pairs, type);
    weight_ = Sent(ctx, pairs, type);
    mean_ = scratch(ctx, pairs, type);
    log_sd_ = scratch(ctx, pairs, type);
    if (on_gpu(ctx)) moments_ = Sent(ctx, pairs, DType::i32);
    sample_ = host.template take<Sample>(R * sampled_);
    targets_ = host.template take<Target>(F);
  }

  struct Target {
    std::int64_t begin = 0, count = 0;
    std::int64_t unconditional = 0;  ///< pairs with the empty prefix, the first ones
  };

  ConstTensorView order(std::int64_t rows) const { return order_.there().rows(0, rows); }
  ConstTensorView count(std::int64_t rows) const { return part(count_.there(), 0, rows); }
  std::int32_t present(std::int64_t r) const { return count_.ptr<std::int32_t>()[r]; }
  /// The i-th feature of row r's order.
  std::int32_t feature(std::int64_t r, std::int64_t i) const { return order_.ptr<std::int32_t>()[r * F + i]; }
  /// Most pairs that one target can have.
  std::int64_t most() const { return most_; }
  /// Most pairs of a tile.
  std::int64_t capacity() const { return mean_.elements(); }
  /// Pairs listed.
  std::int64_t count() const { return F == 0 ? 0 : targets_[F - 1].begin + targets_[F - 1].count; }
  /// Prefixes of length 0 .. prefixes() - 1 are in use.
  std::int64_t prefixes() const { return prefixes_; }
  const Target& target(std::int64_t t) const { return targets_[t]; }

  ConstTensorView index(std::int64_t begin, std::int64_t n) const { return part(index_.there(), begin, n); }
  ConstTensorView code(std::int64_t begin, std::int64_t n) const { return part(code_.there(), begin, n); }
  ConstTensorView mean(std::int64_t begin, std::int64_t n) const { return part(mean_, begin, n); }
  ConstTensorView log_sd(std::int64_t begin, std::int64_t n) const { return part(log_sd_, begin, n); }
  ConstTensorView x(std::int64_t begin, std::int64_t n) const { return part(x_.there(), begin, n); }
  ConstTensorView weight(std::int64_t begin, std::int64_t n) const { return part(weight_.there(), begin, n); }

  /// Random orders (Fisher-Yates) of what rows [begin, begin + rows) have, by their numbers in the batch.
  void draw(const ProposalBatch& batch, std::int64_t begin, std::int64_t rows, const RandomKey& key,
            std::int64_t batch_row) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* observed = batch.observed.ptr<T>() + (begin + r) * batch.observed.row_stride();
      std::int32_t* order = order_.ptr<std::int32_t>() + r * F;
      std::int32_t* position = position_.ptr<std::int32_t>() + r * F;
      std::int32_t n = 0;
      for (std::int64_t t = 0; t < F; ++t) {
        position[t] = -1;
        if (observed[t] > T(.5)) order[n++] = static_cast<std::int32_t>(t);
      }
      Generator random(key, static_cast<std::uint64_t>(batch_row + begin + r));
      for (std::int32_t i = n - 1; i > 0; --i)
        std::swap(order[i], order[random.below(static_cast<std::uint64_t>(i) + 1)]);
      for (std::int32_t i = 0; i < n; ++i) position[order[i]] = i;
      count_.ptr<std::int32_t>()[r] = n;
      if (sampled_ > 0) sample(random, n, sample_ + r * sampled_);
    }
  }

  /// On a GPU, before a tile is drawn: memory for its lists.
  void take(Staging& staging) {
    for (Sent* list : {&order_, &count_, &index_, &code_, &x_, &weight_, &moments_}) list->take(staging);
  }

  /// Lists the pairs, with the base's moments mu, log_sd (rows, F, F) by row, target and prefix. On a GPU
  /// those are null: `pick` reads them there.
  void list(const FeatureRows& rows, std::int64_t begin, std::int64_t R, const T* mu, const T* log_sd) {
    Source source{rows, begin, R, mu, log_sd};
    prefixes_ = 0;
    std::int64_t at = 0;
    for (std::int64_t t = 0; t < F; ++t) {
      Target& target = targets_[t];
      target.begin = at;
      for (std::int64_t r = 0; r < R; ++r) at = push_unconditional(source, r, t, at);
      target.unconditional = at - target.begin;
      for (std::int64_t r = 0; r < R; ++r) at = push_conditional(source, r, t, at);
      target.count = at - target.begin;
    }
  }

  /// On a GPU, when the lists are sent: the pairs' moments from mu and log_sd (rows, F, F).
  void pick(Context& ctx, ConstTensorView mu, ConstTensorView log_sd) const {
    const std::int64_t n = count();
    const auto from = [&](ConstTensorView table, const TensorView& to) {
      ops::gather_rows(ctx, table.reshaped({table.elements(), 1}), part(moments_.there(), 0, n),
                       to.columns(0, n).reshaped({n, 1}));
    };
    from(mu, mean_);
    from(log_sd, log_sd_);
  }

 private:
  /// A pair that was drawn: the target's position in the order and the length of the prefix.
  struct Sample {
    std::int32_t place, prefix;
  };
  struct Source {
    const FeatureRows& rows;
    std::int64_t begin, R;
    const T *mu, *log_sd;
    T x(std::int64_t r, std::int64_t t) const {
      return rows.x.ptr<T>()[(begin + r) * rows.x.row_stride() + t];
    }
  };

  static ConstTensorView part(const TensorView& all, std::int64_t begin, std::int64_t n) {
    return all.columns(begin, n).reshaped({n});
  }

  /// `sampled_` pairs of a row: prefix a with probability omega_a (n - a) / c, then one of its targets.
  void sample(Generator& random, std::int32_t n, Sample* pairs) const {
    if (n == 0) return;
    const double total = share(n);
    for (std::int64_t s = 0; s < sampled_; ++s) {
      double left = random.uniform() * total;
      std::int32_t chosen = 0;
      for (std::int32_t a = 0; a < n && left >= 0; ++a) {
        const double mass = static_cast<double>(weights_.of(n)[a]) * static_cast<double>(n - a);
        if (mass > 0) chosen = a;
        left -= mass;
      }
      const auto behind = static_cast<std::uint64_t>(n - chosen);
      pairs[s] = {chosen + static_cast<std::int32_t>(random.below(behind)), chosen};
    }
    std::sort(pairs, pairs + sampled_, [](const Sample& x, const Sample& y) {
      return x.place != y.place ? x.place < y.place : x.prefix < y.prefix;
    });
  }
  /// Weight of all pairs of a row with n values.
  double share(std::int64_t n) const {
    double sum = 0;
    for (std::int64_t a = 0; a < n; ++a)
      sum += static_cast<double>(weights_.of(n)[a]) * static_cast<double>(n - a);
    return sum;
  }

  /// visit(prefix, weight) for each sampled pair of row r with target t.
  template <class Visit>
  void for_each_sample(std::int64_t r, std::int64_t t, const Visit& visit) const {
    const std::int32_t place = position_.ptr<std::int32_t>()[r * F + t];
    if (place < 0) return;
    const Sample *first = sample_ + r * sampled_, *end = first + sampled_;
    first = std::lower_bound(first, end, place,
                             [](const Sample& pair, std::int32_t p) { return pair.place < p; });
    if (first == end || first->place != place) return;
    const T weight = static_cast<T>(share(present(r)) / static_cast<double>(sampled_));
    for (; first != end && first->place == place; ++first) visit(first->prefix, weight);
  }

  std::int64_t push(const Source& s, std::int64_t r, std::int64_t t, std::int64_t prefix, T weight,
                    std::int64_t at) {
    const std::int64_t moments = (r * F + t) * F + prefix;
    index_.ptr<std::int32_t>()[at] = static_cast<std::int32_t>(prefix == 0 ? 0 : 1 + (prefix - 1) * s.R + r);
    if (s.mu == nullptr) {
      moments_.ptr<std::int32_t>()[at] = static_cast<std::int32_t>(moments);
    } else {
      mean_.ptr<T>()[at] = s.mu[moments];
      log_sd_.ptr<T>()[at] = s.log_sd[moments];
    }
    x_.ptr<T>()[at] = s.x(r, t);
    code_.ptr<std::int32_t>()[at] = code_at(s.rows, s.begin + r, t);
    weight_.ptr<T>()[at] = weight;
    prefixes_ = std::max(prefixes_, prefix + 1);
    return at + 1;
  }

  std::int64_t push_unconditional(const Source& s, std::int64_t r, std::int64_t t, std::int64_t at) {
    if (sampled_ > 0) {
      for_each_sample(r, t, [&](std::int64_t prefix, T weight) {
        if (prefix == 0) at = push(s, r, t, 0, weight, at);
      });
      return at;
    }
    const T weight = weights_.of(present(r))[0];
    return position_.ptr<std::int32_t>()[r * F + t] >= 0 && weight > 0 ? push(s, r, t, 0, weight, at) : at;
  }

  std::int64_t push_conditional(const Source& s, std::int64_t r, std::int64_t t, std::int64_t at) {
    if (sampled_ > 0) {
      for_each_sample(r, t, [&](std::int64_t prefix, T weight) {
        if (prefix > 0) at = push(s, r, t, prefix, weight, at);
      });
      return at;
    }
    const std::int64_t last = position_.ptr<std::int32_t>()[r * F + t];  // the longest prefix
    if (last <= 0) return at;
    const T* weight = weights_.of(present(r));
    if (!weights_.all_positive(present(r))) {
      for (std::int64_t a = 1; a <= last; ++a)
        if (weight[a] > 0) at = push(s, r, t, a, weight[a], at);
      return at;
    }
    std::int32_t* index = index_.ptr<std::int32_t>() + at;
    for (std::int64_t a = 0; a < last; ++a) index[a] = static_cast<std::int32_t>(1 + a * s.R + r);
    const std::int64_t moments = (r * F + t) * F + 1;
    if (s.mu == nullptr) {
      std::int32_t* first = moments_.ptr<std::int32_t>() + at;
      std::iota(first, first + last, static_cast<std::int32_t>(moments));
    } else {
      std::copy_n(s.mu + moments, last, mean_.ptr<T>() + at);
      std::copy_n(s.log_sd + moments, last, log_sd_.ptr<T>() + at);
    }
    std::copy_n(weight + 1, last, weight_.ptr<T>() + at);
    std::fill_n(x_.ptr<T>() + at, last, s.x(r, t));
    std::fill_n(code_.ptr<std::int32_t>() + at, last, code_at(s.rows, s.begin + r, t));
    prefixes_ = std::max(prefixes_, last + 1);
    return at + last;
  }

  const std::int64_t F;
  const std::int64_t sampled_;  ///< pairs a row, 0: all of them
  const std::int64_t most_;
  const PairWeights<T>& weights_;
  Sent order_, count_;              ///< (R, F), (R) i32
  const TensorView position_;       ///< (R, F) i32, -1: absent
  Sent index_, code_, x_, weight_;  ///< (pairs); index and code i32
  Sent moments_;                    ///< (pairs) i32: place of the moments in mu; on a GPU
  TensorView mean_, log_sd_;        ///< (pairs)
  Sample* sample_ = nullptr;        ///< (R, sampled pairs), by place
  Target* targets_ = nullptr;
  std::int64_t prefixes_ = 0;
};

}  // namespace emshap::set_gru
