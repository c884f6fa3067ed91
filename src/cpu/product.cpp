// Register-tile products. A tile of MR rows by NV vectors of C stays in registers over the whole inner loop,
// which reads NV vectors of B and broadcasts MR elements of A per step; nothing is packed but a ragged last
// panel of B. Idea: Goto & van de Geijn 2008 without the cache blocking, which our inner extents (at most a
// few hundred) do not need: a panel of B (K x 64 floats) stays in L1 or L2.
#include "cpu/product.h"

#include <cstring>

#include "cpu/transpose.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int rows_for[5] = {0, 12, 12, 8, 6};  // rows of a tile with 1..4 vectors: 32 registers
#elif defined(__AVX2__)
constexpr int rows_for[3] = {0, 10, 6};  // 16 registers
#else
constexpr int rows_for[3] = {0, 10, 6};
#endif
constexpr int most_vectors = static_cast<int>(sizeof(rows_for) / sizeof(int)) - 1;
constexpr int most_rows = 12;

/// Whether a ragged last vector of B is read under a mask; elsewhere from a padded copy of its panel.
#if defined(__AVX512VL__)
constexpr bool masked_reads = true;
#else
constexpr bool masked_reads = false;
#endif

template <class T>
constexpr int lanes = native_lanes<T>;
template <class T>
using Vec = NativePack<T>;

/// A seen through two strides, so that A and A^T are one kernel.
template <class T>
struct Strided {
  const T* data;
  std::int64_t row;    ///< from one row of the tile to the next
  std::int64_t inner;  ///< from one inner index to the next
};

/// One panel of B and what happens to a finished element of C.
template <class T>
struct Panel {
  const T* b;  ///< (K, NV * lanes), row stride `stride`
  std::int64_t stride;
  std::int64_t columns;  ///< columns of C to write, <= NV * lanes
  bool accumulate, relu;
  const T* bias;  ///< NV * lanes elements or null
  const T* plus;  ///< added in the end, from this panel's first column, or null
  std::int64_t plus_stride;
};

/// Vector v of a row of NV; only the last one may be shorter than W.
template <class T, int NV, bool ragged>
struct Place {
  int v, rest;
  EMSHAP_INLINE bool whole() const {
    if constexpr (masked_reads) return !ragged || v < NV - 1;
    return v < NV - 1 || rest == lanes<T>;
  }
  EMSHAP_INLINE Vec<T> load(const T* p) const {
    return whole() ? Vec<T>::load(p + v * lanes<T>) : Vec<T>::load_partial(p + v * lanes<T>, rest);
  }
  /// A row of B, which is padded unless `ragged`.
  EMSHAP_INLINE Vec<T> load_panel(const T* p) const {
    return ragged ? load(p) : Vec<T>::load(p + v * lanes<T>);
  }
  EMSHAP_INLINE void store(T* p, Vec<T> x) const {
    if (whole())
      x.store(p + v * lanes<T>);
    else
      x.store_partial(p + v * lanes<T>, rest);
  }
};

/// NV vectors, and MR rows of NV: nested members instead of arrays, and recursion instead of loops, so that
/// the compiler keeps them in registers whatever else the loop does.
template <class T, int NV>
struct Vectors {
  Vec<T> first;
  Vectors<T, NV - 1> rest;
};
template <class T>
struct Vectors<T, 0> {};
template <class T, int MR, int NV>
struct Block {
  Vectors<T, NV> first;
  Block<T, MR - 1, NV> rest;
};
template <class T, int NV>
struct Block<T, 0, NV> {};

template <class T, int NV, bool ragged, int v>
EMSHAP_INLINE void load_vectors(const Place<T, NV, ragged>& at, const T* p, Vectors<T, v>& b) {
  if constexpr (v > 0) {
    b.first = Place<T, NV, ragged>{NV - v, at.rest}.load_panel(p);
    load_vectors(at, p, b.rest);
  }
}

template <class T, int NV>
EMSHAP_INLINE void add_row(Vec<T> x, const Vectors<T, NV>& b, Vectors<T, NV>& sum) {
  if constexpr (NV > 0) {
    sum.first = math::mul_add(x, b.first, sum.first);
    add_row(x, b.rest, sum.rest);
  }
}

template <class T, int MR, int NV>
EMSHAP_INLINE void add_rows(const T* a, std::int64_t stride, const Vectors<T, NV>& b, Block<T, MR, NV>& sum) {
  if constexpr (MR > 0) {
    add_row(Vec<T>(*a), b, sum.first);
    add_rows(a + stride, stride, b, sum.rest);
  }
}

template <class T, int NV, bool ragged, int v>
EMSHAP_INLINE void store_row(const Vectors<T, v>& sum, const Panel<T>& p, int rest, const T* plus, T* c) {
  if constexpr (v > 0) {
    const Place<T, NV, ragged> at{NV - v, rest};
    Vec<T> x = sum.first;
    if (p.accumulate) {
      x = at.load(c) + x;
    } else {
      if (p.bias != nullptr) x = x + at.load(p.bias);
      if (p.relu) x = math::select(x < Vec<T>(T(0)), Vec<T>(T(0)), x);  // keeps NaN: a bad loss is seen
      if (plus != nullptr) x = x + at.load(plus);
    }
    at.store(c, x);
    store_row<T, NV, ragged>(sum.rest, p, rest, plus, c);
  }
}

template <class T, int NV, bool ragged, int MR>
EMSHAP_INLINE void store_rows(const Block<T, MR, NV>& sum, const Panel<T>& p, int rest, const T* plus, T* c,
                              std::int64_t c_stride) {
  if constexpr (MR > 0) {
    store_row<T, NV, ragged>(sum.first, p, rest, plus, c);
    store_rows<T, NV, ragged>(sum.rest, p, rest, plus == nullptr ? nullptr : plus + p.plus_stride,
                              c + c_stride, c_stride);
  }
}

/// `ragged`: the last vector of B has columns - (NV - 1) * lanes elements and is read under a mask.
template <class T, int MR, int NV, bool ragged>
void tile(const Strided<T>& a, const Panel<T>& p, std::int64_t inner, const T* plus, T* c,
          std::int64_t c_stride) {
  Block<T, MR, NV> sum;
  const T* ap = a.data;
  const T* bp = p.b;
  const int rest = static_cast<int>(p.columns) - (NV - 1) * lanes<T>;
  const std::int64_t a_row = a.row, a_inner = a.inner, b_stride = p.stride;
  for (std::int64_t k = 0; k < inner; ++k) {
    Vectors<T, NV> b;
    load_vectors(Place<T, NV, ragged>{0, rest}, bp, b);
    add_rows(ap, a_row, b, sum);
    ap += a_inner;
    bp += b_stride;
  }
  store_rows<T, NV, ragged>(sum, p, rest, plus, c, c_stride);
}

template <class T>
using TileFunction = void (*)(const Strided<T>&, const Panel<T>&, std::int64_t, const T*, T*, std::int64_t);

template <class T, int NV, bool ragged, int MR>
EMSHAP_INLINE TileFunction<T> pick_rows(std::int64_t rows) {
  if constexpr (MR == 0) {
    return nullptr;
  } else {
    if (rows == MR) return tile<T, MR, NV, ragged>;
    return pick_rows<T, NV, ragged, MR - 1>(rows);
  }
}

/// All rows of one panel, cut into tiles of nearly equal height.
template <class T, int NV, bool ragged>
EMSHAP_INLINE void run_rows(const Strided<T>& a, std::int64_t rows, const Panel<T>& p, std::int64_t inner,
                            T* c, std::int64_t c_stride) {
  constexpr int MR = rows_for[NV];
  static_assert(MR <= most_rows);
  const std::int64_t tiles = (rows + MR - 1) / MR;
  const std::int64_t height = rows / tiles, taller = rows - height * tiles;
  const TileFunction<T> tall = pick_rows<T, NV, ragged, MR>(height + 1),
                        low = pick_rows<T, NV, ragged, MR>(height);
  std::int64_t r = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const bool is_tall = t < taller;
    const Strided<T> at{a.data + r * a.row, a.row, a.inner};
    (is_tall ? tall : low)(at, p, inner, p.plus == nullptr ? nullptr : p.plus + r * p.plus_stride,
                           c + r * c_stride, c_stride);
    r += is_tall ? height + 1 : height;
  }
}

template <class T, int NV>
EMSHAP_INLINE void run_panel(const Strided<T>& a, std::int64_t rows, const Panel<T>& p, std::int64_t inner,
                             T* c, std::int64_t c_stride) {
  if constexpr (masked_reads)
    if (p.columns < NV * lanes<T>) return run_rows<T, NV, true>(a, rows, p, inner, c, c_stride);
  run_rows<T, NV, false>(a, rows, p, inner, c, c_stride);
}

/// One output column: dot products along rows when A is contiguous there. Lanes are added in a fixed order.
template <class T>
void single_column(const Strided<T>& a, std::int64_t rows, const T* b, std::int64_t inner,
                   const ProductEpilogue<T>& e, T* c, std::int64_t c_stride) {
  constexpr int W = lanes<T>;
  const std::int64_t whole = inner / W * W;
  const int rest = static_cast<int>(inner - whole);
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* x = a.data + r * a.row;
    Vec<T> sum(T(0));
    for (std::int64_t k = 0; k < whole; k += W)
      sum = math::mul_add(Vec<T>::load(x + k), Vec<T>::load(b + k), sum);
    if (rest > 0)
      sum = math::mul_add(Vec<T>::load_partial(x + whole, rest), Vec<T>::load_partial(b + whole, rest), sum);
    T y = math::horizontal_sum(sum);
    if (e.accumulate) {
      y = c[r * c_stride] + y;
    } else {
      if (e.bias != nullptr) y = y + e.bias[0];
      if (e.relu) y = y < T(0) ? T(0) : y;
    }
    c[r * c_stride] = y;
  }
}

/// Copies columns [begin, begin + count) of B into a buffer of `width` columns, padded by zeros.
template <class T>
const T* pack_columns(Workspace& workspace, Mat<const T> b, std::int64_t begin, std::int64_t count,
                      std::int64_t width) {
  T* packed = workspace.take<T>(b.rows * width);
  for (std::int64_t k = 0; k < b.rows; ++k) {
    std::memcpy(packed + k * width, b.row(k) + begin, static_cast<std::size_t>(count) * sizeof(T));
    std::memset(packed + k * width + count, 0, static_cast<std::size_t>(width - count) * sizeof(T));
  }
  return packed;
}

/// `b_padded`: rows of B may be read up to the next multiple of the vector width.
template <class T>
void multiply(Workspace& workspace, const Strided<T>& a, std::int64_t rows, std::int64_t inner,
              Mat<const T> b, bool b_padded, const ProductEpilogue<T>& e, Mat<T> c) {
  constexpr int W = lanes<T>;
  if (rows == 0 || c.cols == 0) return;
  Workspace::Scope scope(workspace);
  if (c.cols == 1 && e.plus == nullptr && a.inner == 1 && (b.stride == 1 || b.rows <= 1)) {
    single_column(a, rows, b.data, inner, e, c.data, c.stride);
    return;
  }
  // Panels of nearly equal width; a ragged last vector is read from a padded copy of its panel.
  const std::int64_t vectors = (c.cols + W - 1) / W;
  const std::int64_t panels = (vectors + most_vectors - 1) / most_vectors;
  std::int64_t done = 0;
  for (std::int64_t i = 0; i < panels; ++i) {
    const std::int64_t nv = vectors * (i + 1) / panels - vectors * i / panels;
    const std::int64_t begin = done * W, width = nv * W;
    const std::int64_t columns = width <= c.cols - begin ? width : c.cols - begin;
    Panel<T> p{b.data + begin,
               b.stride,
               columns,
               e.accumulate,
               e.relu,
               e.bias == nullptr ? nullptr : e.bias + begin,
               e.plus == nullptr ? nullptr : e.plus + begin,
               e.plus_stride};
    if (columns < width && !b_padded && !masked_reads) {
      p.b = pack_columns(workspace, b, begin, columns, width);
      p.stride = width;
    }
    T* out = c.data + begin;
    if (nv == 1) run_panel<T, 1>(a, rows, p, inner, out, c.stride);
    if (nv == 2) run_panel<T, 2>(a, rows, p, inner, out, c.stride);
    if constexpr (most_vectors > 2) {
      if (nv == 3) run_panel<T, 3>(a, rows, p, inner, out, c.stride);
      if (nv == 4) run_panel<T, 4>(a, rows, p, inner, out, c.stride);
    }
    done += nv;
  }
}

/// B (N, K) -> (K, width) with zeros beyond N; `width` is a multiple of the vector width.
template <class T>
const T* transpose_padded(Workspace& workspace, Mat<const T> b, std::int64_t width) {
  constexpr int W = lanes<T>;
  T* out = workspace.take<T>(b.cols * width);
  for (std::int64_t n0 = 0; n0 < width; n0 += W) {
    for (std::int64_t k0 = 0; k0 < b.cols; k0 += W) {
      const int ks = static_cast<int>(b.cols - k0 < W ? b.cols - k0 : W);
      Vec<T> rows[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) {
        const T* from = b.data + (n0 + i) * b.stride + k0;
        if (n0 + i < b.rows) rows[i] = ks == W ? Vec<T>::load(from) : Vec<T>::load_partial(from, ks);
      }
      transpose_registers<T, W / 2>(rows);
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i)
        if (i < ks) rows[i].store(out + (k0 + i) * width + n0);
    }
  }
  return out;
}

}  // namespace

template <class T>
void product(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  multiply<T>(workspace, {a.data, a.stride, 1}, a.rows, a.cols, b, false, e, c);
}

template <class T>
void product_at(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  if (c.cols == 1 && c.stride == 1 && e.plus == nullptr && (e.accumulate || e.bias == nullptr)) {
    // A single column of C is a row of C^T = B^T A: the long axis goes along the vectors.
    multiply<T>(workspace, {b.data, 1, b.stride}, 1, a.rows, a, false, e, {c.data, 1, c.rows, c.rows});
    return;
  }
  multiply<T>(workspace, {a.data, 1, a.stride}, a.cols, a.rows, b, false, e, c);
}

template <class T>
void product_bt(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  Workspace::Scope scope(workspace);
  if (b.rows == 0) return;
  const std::int64_t width = (b.rows + lanes<T> - 1) / lanes<T> * lanes<T>;
  const Mat<const T> transposed{transpose_padded(workspace, b, width), b.cols, b.rows, width};
  multiply<T>(workspace, {a.data, a.stride, 1}, a.rows, a.cols, transposed, true, e, c);
}

#define EMSHAP_INSTANTIATE(T)                                                                             \
  template void product<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>);    \
  template void product_at<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>); \
  template void product_bt<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
