#include "emshap/ops/linear.h"

#include "cpu/product.h"
#include "cpu/shard_sum.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/activation_backend.h"
#include "ops/linear_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Runs `body` on row blocks whose cut does not depend on the number of threads. Register tiles give a row
/// the same bits in any block, so one block does; Eigen's choice of kernel depends on the number of rows, and
/// gets blocks of 64 rows, at whose multiples every member's rows and every tile of rows begin.
template <class Body>
EMSHAP_INLINE void for_row_blocks(std::int64_t rows, const Body& body) {
  if constexpr (product_rows_are_independent) {
    body(Shard{0, 0, rows});
  } else {
    constexpr std::int64_t block = 64;
    for (std::int64_t begin = 0; begin < rows; begin += block)
      body(Shard{begin / block, begin, rows - begin < block ? rows - begin : block});
  }
}

/// columns[n] += sum over rows of m, rows in ascending order.
template <class T>
EMSHAP_INLINE void add_column_sums(const Mat<const T>& m, T* columns) {
  for (std::int64_t r = 0; r < m.rows; ++r) {
    const T* row = m.row(r);
    for (std::int64_t c = 0; c < m.cols; ++c) columns[c] += row[c];
  }
}

template <class T>
EMSHAP_INLINE void set_zero(T* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = T(0);
}

/// The share of one shard, in place of or added to dw (K, N) and, unless null, db (N).
template <class T>
EMSHAP_INLINE void shard_gradient(Workspace& workspace, const Mat<const T>& x, const Mat<const T>& dy,
                                  bool accumulate, T* dw, T* db) {
  Workspace::Scope scope(workspace);
  ProductEpilogue<T> e;
  e.accumulate = accumulate;
  product_at<T>(workspace, x, dy, e, {dw, x.cols, dy.cols, dy.cols});
  if (db == nullptr) return;
  T* sums = accumulate ? workspace.take<T>(dy.cols) : db;
  set_zero(sums, dy.cols);
  add_column_sums(dy, sums);
  if (accumulate)
    for (std::int64_t c = 0; c < dy.cols; ++c) db[c] += sums[c];
}

}  // namespace

template <class T>
void linear_forward(Context& ctx, Mat<const T> x, Mat<const T> w, Mat<const T> bias, Activation activation,
                    Mat<T> y) {
  ProductEpilogue<T> e;
  e.bias = bias.data;
  e.relu = activation == Activation::relu;
  for_row_blocks(x.rows,
                 [&](const Shard& s) { product<T>(ctx.workspace(), rows_of(x, s), w, e, rows_of(y, s)); });
  if (activation != Activation::relu && activation != Activation::identity)
    activation_forward<T>(ctx, activation, {y.data, y.rows, y.cols, y.stride}, y);
}

template <class T>
void linear_backward_input(Context& ctx, Mat<const T> dy, Mat<const T> w, Mat<T> dx, bool accumulate) {
  ProductEpilogue<T> e;
  e.accumulate = accumulate;
  for_row_blocks(
      dy.rows, [&](const Shard& s) { product_bt<T>(ctx.workspace(), rows_of(dy, s), w, e, rows_of(dx, s)); });
}

template <class T>
void linear_backward_params(Context& ctx, Mat<const T> x, Mat<const T> dy, Mat<T> dw, Mat<T> db) {
  const ShardPlan plan = ctx.plan(x.rows);
  const std::int64_t weights = x.cols * dy.cols;
  const bool with_bias = db.data != nullptr;
  const std::int64_t n = weights + (with_bias ? dy.cols : 0);
  if (n == 0) return;
  Workspace& workspace = ctx.workspace();
  Workspace::Scope scope(workspace);

  // Alone in its team a member adds shard after shard to one buffer, and a single shard to the gradient
  // itself: the same additions in the same order as below.
  if (ctx.team().size() == 1) {
    if (plan.local_shards == 0) return;
    if (plan.local_shards == 1) return shard_gradient<T>(workspace, x, dy, true, dw.data, db.data);
    T* total = workspace.take<T>(n);
    for (std::int64_t i = 0; i < plan.local_shards; ++i) {
      const Shard s = plan.shard(i);
      shard_gradient<T>(workspace, rows_of(x, s), rows_of(dy, s), i > 0, total,
                        with_bias ? total + weights : nullptr);
    }
    for (std::int64_t i = 0; i < weights; ++i) dw.data[i] += total[i];
    for (std::int64_t i = weights; i < n; ++i) db.data[i - weights] += total[i];
    return;
  }
  T* partials = workspace.take<T>(plan.local_shards * n);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    const Shard s = plan.shard(i);
    T* mine = partials + i * n;
    shard_gradient<T>(workspace, rows_of(x, s), rows_of(dy, s), false, mine,
                      with_bias ? mine + weights : nullptr);
  }
  ShardSums<T> sums(ctx, partials, plan.local_shards, n);
  const Range own = member_range(ctx.team(), n);
  const std::int64_t cut = own.begin > weights ? own.begin : own.end < weights ? own.end : weights;
  sums.add(own.begin, cut, dw.data);
  if (with_bias) sums.add(cut, own.end, db.data - weights);
  sums.close();
}

#define EMSHAP_INSTANTIATE(T)                                                                              \
  template void linear_forward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Activation, Mat<T>); \
  template void linear_backward_input<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>, bool);              \
  template void linear_backward_params<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
