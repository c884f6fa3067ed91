#include "emshap/ops/gather.h"

#include "cpu/columns.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/gather_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void gather_rows(Context&, Mat<const T> table, const std::int32_t* index, Mat<T> y) {
  for (std::int64_t b = 0; b < y.rows; ++b) {
    const T* from = table.row(index[b]);
    T* to = y.row(b);
    for_each_pack<T>(y.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
  }
}

template <class T>
void scatter_rows(Context&, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  for (std::int64_t b = 0; b < x.rows; ++b) {
    const T* from = x.row(b);
    T* to = table.row(index[b]);
    for_each_pack<T>(x.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
  }
}

template <class T>
void scatter_add_rows(Context&, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  for (std::int64_t b = 0; b < x.rows; ++b) {
    const T* from = x.row(b);
    T* to = table.row(index[b]);
    for_each_pack<T>(x.cols,
                     [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(to) + at.load(from)); });
  }
}

namespace {

/// Rows whose sums stay in an L1 cache beside the lines that they add.
constexpr std::int64_t sum_rows = 64;

/// y[b, group] (+)= lines i .. i + count - 1 of each row; the first call starts at `base`, the last one
/// rectifies.
template <int count, class T, class Group>
EMSHAP_INLINE void add_lines(const Group& group, const Mat<const T>& table,
                             const Mat<const std::int32_t>& index, const Mat<const T>& factor, std::int64_t i,
                             const T* base, bool relu, std::int64_t begin, std::int64_t end,
                             const Mat<T>& y) {
  using V = NativePack<T>;
  const std::int64_t D = y.cols;
  for (std::int64_t b = begin; b < end; ++b) {
    const std::int32_t* k = index.row(b) + i;
    const T* f = factor.row(b) + i;
    const T* from = base != nullptr ? base : y.row(b);
    V sum[group.packs];
#pragma GCC unroll 8
    for (int g = 0; g < group.packs; ++g) sum[g] = group.pack(g).load(from);
#pragma GCC unroll 4
    for (int n = 0; n < count; ++n) {
      const T* line = table.row(k[n]);
      const V x(f[n]);
#pragma GCC unroll 8
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        sum[g] = math::mul_add(x, at.load(line + D), sum[g] + at.load(line));
      }
    }
#pragma GCC unroll 8
    for (int g = 0; g < group.packs; ++g)
      group.pack(g).store(y.row(b), relu ? math::select(sum[g] < V(T(0)), V(T(0)), sum[g]) : sum[g]);
  }
}

}  // namespace

// A few packs of columns of a block of rows, two functions at a time: their lines are used by all rows of the
// block while they are near.
template <class T>
void sum_table_lines(Context&, Mat<const T> table, Mat<const std::int32_t> index, Mat<const T> factor,
                     const T* base, bool relu, Mat<T> y) {
  const std::int64_t n = index.cols;
  for (std::int64_t begin = 0; begin < y.rows; begin += sum_rows) {
    const std::int64_t end = begin + sum_rows < y.rows ? begin + sum_rows : y.rows;
    for_each_column_group<T, 4>(0, y.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
      if (n == 0) add_lines<0>(group, table, index, factor, 0, base, relu, begin, end, y);
      std::int64_t i = 0;
      if (n % 2 == 1) {
        add_lines<1>(group, table, index, factor, 0, base, relu && n == 1, begin, end, y);
        i = 1;
      }
      for (; i < n; i += 2)
        add_lines<2>(group, table, index, factor, i, i == 0 ? base : static_cast<const T*>(nullptr),
                     relu && i + 2 == n, begin, end, y);
    });
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                               \
  template void gather_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                        \
  template void scatter_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                       \
  template void scatter_add_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                   \
  template void sum_table_lines<T>(Context&, Mat<const T>, Mat<const std::int32_t>, Mat<const T>, const T*, \
                                   bool, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
