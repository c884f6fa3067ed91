#include "emshap/ops/gaussian_base.h"

#include "cpu/lanes.h"
#include "math/exp_log.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/gaussian_base_backend.h"

// One lane is one row: as many rows as a pack has lanes are eliminated together, each in its own order.

namespace emshap::cpu::EMSHAP_ISA {
namespace {

using P = NativePack<double>;
constexpr int lanes = native_lanes<double>;

EMSHAP_INLINE P at(const double* array, std::int64_t i) {
  return P::load(array + i * lanes);
}
EMSHAP_INLINE void put(double* array, std::int64_t i, P value) {
  value.store(array + i * lanes);
}

/// The state of a group of rows; position i of a lane stands for the i-th feature of its row's sequence.
struct Group {
  std::int64_t features;
  double* c;                 // (F, F, lanes): lower triangle of the conditional covariance
  double* mean;              // (F, lanes)
  double* x;                 // (F, lanes)
  double* floor;             // (F, lanes): smallest pivots
  double* column;            // (F, lanes): column k of c before step k
  std::int32_t* sequence;    // (lanes, F)
  std::int64_t used[lanes];  // positions in use; the others are independent with mean 0 and variance 1
  std::int64_t longest;      // largest of them

  EMSHAP_INLINE explicit Group(Workspace& memory, std::int64_t F) : features(F), longest(0) {
    c = memory.take<double>(F * F * lanes);
    mean = memory.take<double>(F * lanes);
    x = memory.take<double>(F * lanes);
    floor = memory.take<double>(F * lanes);
    column = memory.take<double>(F * lanes);
    sequence = memory.take<std::int32_t>(F * lanes);
  }

  EMSHAP_INLINE void set_used(int lane, std::int64_t count) {
    used[lane] = count;
    if (lane == 0 || count > longest) longest = count;
  }

  /// Covariances, means (with `center`) by the sequences; only positions below `longest` are set.
  EMSHAP_INLINE void gather(Mat<const double> cov, const double* center) {
    for (int lane = 0; lane < lanes; ++lane) {
      const std::int32_t* s = sequence + lane * features;
      for (std::int64_t i = 0; i < longest; ++i) {
        double* to = c + i * features * lanes + lane;
        if (i < used[lane]) {
          const double* from = cov.row(s[i]);
          for (std::int64_t j = 0; j <= i; ++j) to[j * lanes] = from[s[j]];
          mean[i * lanes + lane] = center == nullptr ? 0 : center[s[i]];
          floor[i * lanes + lane] = 1e-12 * from[s[i]];
        } else {
          for (std::int64_t j = 0; j <= i; ++j) to[j * lanes] = i == j ? 1 : 0;
          mean[i * lanes + lane] = 0;
          floor[i * lanes + lane] = 1e-12;
        }
      }
    }
  }

  EMSHAP_INLINE P variance(std::int64_t i) const { return math::max(at(c, i * features + i), at(floor, i)); }

  /// Position k becomes known in the lanes where `active` is 1. Of the rows from `inner` on only the columns
  /// before `inner` and the diagonal are kept up. gain(j, g) sees the gain of each later position.
  template <class Gain>
  EMSHAP_INLINE void step(std::int64_t k, P active, std::int64_t inner, const Gain& gain) {
    const std::int64_t F = features;
    const P inverse = active / variance(k);
    const P surprise = at(x, k) - at(mean, k);
    for (std::int64_t j = k + 1; j < longest; ++j) put(column, j, at(c, j * F + k));
    for (std::int64_t j = k + 1; j < longest; ++j) {
      const P g = at(column, j) * inverse;
      gain(j, g);
      put(mean, j, math::mul_add(g, surprise, at(mean, j)));
      double* row = c + j * F * lanes;
      const std::int64_t end = j < inner ? j + 1 : inner;
      for (std::int64_t m = k + 1; m < end; ++m) put(row, m, math::mul_add(-g, at(column, m), at(row, m)));
      if (j >= inner) put(row, j, math::mul_add(-g, at(column, j), at(row, j)));
    }
  }
};

/// log sqrt(variance) in T.
template <class T>
EMSHAP_INLINE math::Pack<T, lanes> log_sd_of(P variance) {
  using V = math::Pack<T, lanes>;
  return V(T(.5)) * math::log(math::convert<T>(variance));
}

/// body(first row, rows) for each group of rows.
template <class Body>
EMSHAP_INLINE void for_each_group(std::int64_t rows, const Body& body) {
  for (std::int64_t r = 0; r < rows; r += lanes)
    body(r, static_cast<int>(rows - r < lanes ? rows - r : lanes));
}

template <class T>
EMSHAP_INLINE void clear(Mat<T> m, std::int64_t begin, std::int64_t rows) {
  for (std::int64_t r = begin; r < begin + rows; ++r) {
    T* to = m.row(r);
    for_each_pack<T>(m.cols, [&](auto place) EMSHAP_INLINE_LAMBDA { place.store(to, NativePack<T>()); });
  }
}

/// Sequences and counts of rows [r, r + rows); lanes without a row use nothing.
EMSHAP_INLINE void read_sequences(Group& group, Mat<const std::int32_t> sequence,
                                  Mat<const std::int32_t> count, std::int64_t r, int rows) {
  for (int lane = 0; lane < lanes; ++lane) {
    const bool there = lane < rows;
    group.set_used(lane, there ? count.data[r + lane] : 0);
    for (std::int64_t i = 0; i < group.used[lane]; ++i)
      group.sequence[lane * group.features + i] = sequence.row(r + lane)[i];
  }
}

}  // namespace

template <class T>
void base_prefix_moments(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                         Mat<const std::int32_t> order, Mat<const std::int32_t> count, Mat<T> mu,
                         Mat<T> log_sd) {
  using V = math::Pack<T, lanes>;
  const std::int64_t F = mean.cols;
  Workspace::Scope scope(ctx.workspace());
  Group group(ctx.workspace(), F);
  T* means = ctx.workspace().take<T>(F * F * lanes);  // [position][prefix][lane]
  T* logs = ctx.workspace().take<T>(F * F * lanes);
  for_each_group(x.rows, [&](std::int64_t r, int rows) EMSHAP_INLINE_LAMBDA {
    read_sequences(group, order, count, r, rows);
    group.gather(cov, mean.data);
    for (std::int64_t i = 0; i < group.longest; ++i)
      for (int lane = 0; lane < lanes; ++lane)
        group.x[i * lanes + lane] =
            i < group.used[lane] ? double(x.row(r + lane)[group.sequence[lane * F + i]]) : 0;
    for (std::int64_t k = 0; k < group.longest; ++k) {
      for (std::int64_t t = k; t < group.longest; ++t) {
        math::convert<T>(at(group.mean, t)).store(means + (t * F + k) * lanes);
        V(log_sd_of<T>(group.variance(t))).store(logs + (t * F + k) * lanes);
      }
      group.step(k, P(1.), group.longest, [](std::int64_t, P) EMSHAP_INLINE_LAMBDA {});
    }
    clear(mu, r * F, rows * F);
    clear(log_sd, r * F, rows * F);
    for (int lane = 0; lane < rows; ++lane)
      for (std::int64_t t = 0; t < group.used[lane]; ++t) {
        const std::int64_t to = (r + lane) * F + group.sequence[lane * F + t];
        const std::int64_t from = t * F * lanes + lane;
        for (std::int64_t k = 0; k <= t; ++k) mu.row(to)[k] = means[from + k * lanes];
        for (std::int64_t k = 0; k <= t; ++k) log_sd.row(to)[k] = logs[from + k * lanes];
      }
  });
}

template <class T>
void base_conditionals(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                       Mat<const T> mask, Mat<T> mu, Mat<T> log_sd) {
  using V = math::Pack<T, lanes>;
  const std::int64_t F = mean.cols;
  Workspace::Scope scope(ctx.workspace());
  Group group(ctx.workspace(), F);
  T* logs = ctx.workspace().take<T>(F * lanes);
  for_each_group(x.rows, [&](std::int64_t r, int rows) EMSHAP_INLINE_LAMBDA {
    std::int64_t known[lanes] = {};
    std::int64_t most = 0;
    for (int lane = 0; lane < lanes; ++lane) {
      group.set_used(lane, lane < rows ? F : 0);
      if (lane >= rows) continue;
      const T* m = mask.row(r + lane);
      std::int32_t* s = group.sequence + lane * F;
      std::int64_t n = 0;
      for (std::int64_t t = 0; t < F; ++t)
        if (m[t] > T(.5)) s[n++] = static_cast<std::int32_t>(t);
      known[lane] = n;
      if (n > most) most = n;
      for (std::int64_t t = 0; t < F; ++t)
        if (!(m[t] > T(.5))) s[n++] = static_cast<std::int32_t>(t);
    }
    group.gather(cov, mean.data);
    for (int lane = 0; lane < lanes; ++lane)
      for (std::int64_t k = 0; k < most; ++k)
        group.x[k * lanes + lane] =
            k < known[lane] ? double(x.row(r + lane)[group.sequence[lane * F + k]]) : 0;
    for (std::int64_t k = 0; k < most; ++k) {
      P active;
      for (int lane = 0; lane < lanes; ++lane) active.set(lane, k < known[lane] ? 1. : 0.);
      group.step(k, active, most, [](std::int64_t, P) EMSHAP_INLINE_LAMBDA {});
    }
    for (std::int64_t t = 0; t < F; ++t) V(log_sd_of<T>(group.variance(t))).store(logs + t * lanes);
    for (int lane = 0; lane < rows; ++lane)
      for (std::int64_t t = 0; t < F; ++t) {
        const std::int32_t feature = group.sequence[lane * F + t];
        const bool given = t < known[lane];
        mu.row(r + lane)[feature] = given ? x.row(r + lane)[feature] : T(group.mean[t * lanes + lane]);
        log_sd.row(r + lane)[feature] = given ? T(ops::base_known_log_sd) : logs[t * lanes + lane];
      }
  });
}

template <class T>
void base_gains(Context& ctx, Mat<const double> cov, Mat<const std::int32_t> sequence,
                Mat<const std::int32_t> count, Mat<T> gains, Mat<T> log_sd) {
  using V = math::Pack<T, lanes>;
  const std::int64_t F = cov.cols;
  Workspace::Scope scope(ctx.workspace());
  Group group(ctx.workspace(), F);
  T* found = ctx.workspace().take<T>(F * F * lanes);  // [step][position][lane]
  T* logs = ctx.workspace().take<T>(F * lanes);
  for (std::int64_t i = 0; i < F; ++i) put(group.x, i, P(0.));
  for_each_group(sequence.rows, [&](std::int64_t r, int rows) EMSHAP_INLINE_LAMBDA {
    read_sequences(group, sequence, count, r, rows);
    group.gather(cov, nullptr);
    for (std::int64_t k = 0; k < group.longest; ++k) {
      V(log_sd_of<T>(group.variance(k))).store(logs + k * lanes);
      group.step(k, P(1.), group.longest, [&](std::int64_t j, P g) EMSHAP_INLINE_LAMBDA {
        math::convert<T>(g).store(found + (k * F + j) * lanes);
      });
    }
    clear(gains, r * F, rows * F);
    clear(log_sd, r, rows);
    for (int lane = 0; lane < rows; ++lane)
      for (std::int64_t k = 0; k < group.used[lane]; ++k) {
        log_sd.row(r + lane)[k] = logs[k * lanes + lane];
        T* to = gains.row((r + lane) * F + k);
        for (std::int64_t j = k + 1; j < group.used[lane]; ++j)
          to[group.sequence[lane * F + j]] = found[(k * F + j) * lanes + lane];
      }
  });
}

template <class T>
void base_update(Context&, Mat<const T> gains, Mat<const std::int32_t> sequence,
                 Mat<const std::int32_t> position, Mat<const T> x, Mat<T> mean) {
  const std::int64_t F = mean.cols;
  const std::int64_t draws = sequence.rows > 0 ? mean.rows / sequence.rows : 0;
  for (std::int64_t b = 0; b < sequence.rows; ++b) {
    const std::int64_t k = position.data[b];
    if (k < 0) continue;
    const T* g = gains.row(b * F + k);
    const std::int32_t t = sequence.row(b)[k];
    for (std::int64_t r = b * draws; r < (b + 1) * draws; ++r) {
      T* m = mean.row(r);
      const NativePack<T> surprise(x.row(r)[t] - m[t]);
      for_each_pack<T>(F, [&](auto place) EMSHAP_INLINE_LAMBDA {
        place.store(m, math::mul_add(place.load(g), surprise, place.load(m)));
      });
    }
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                                \
  template void base_prefix_moments<T>(Context&, Mat<const double>, Mat<const double>, Mat<const T>,         \
                                       Mat<const std::int32_t>, Mat<const std::int32_t>, Mat<T>, Mat<T>);    \
  template void base_conditionals<T>(Context&, Mat<const double>, Mat<const double>, Mat<const T>,           \
                                     Mat<const T>, Mat<T>, Mat<T>);                                          \
  template void base_gains<T>(Context&, Mat<const double>, Mat<const std::int32_t>, Mat<const std::int32_t>, \
                              Mat<T>, Mat<T>);                                                               \
  template void base_update<T>(Context&, Mat<const T>, Mat<const std::int32_t>, Mat<const std::int32_t>,     \
                               Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
