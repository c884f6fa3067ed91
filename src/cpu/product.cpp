// Register-tile products. A tile of MR rows by NV vectors of C stays in registers over the whole inner loop,
// which reads NV vectors of B and broadcasts MR elements of A per step; nothing is packed but a ragged last
// panel of B. Idea: Goto & van de Geijn 2008 without the cache blocking, which our inner extents (at most a
// few hundred) do not need: a panel of B (K x 64 floats) stays in L1 or L2.
#include "cpu/product.h"

#include <cstring>

#include "math/pack.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int rows_for[5] = {0, 12, 12, 8, 6};  // rows of a tile with 1..4 vectors: 32 registers
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
constexpr int rows_for[3] = {0, 10, 6};  // 16 registers
#else
constexpr int vector_bytes = 16;
constexpr int rows_for[3] = {0, 10, 6};
#endif
constexpr int most_vectors = static_cast<int>(sizeof(rows_for) / sizeof(int)) - 1;
constexpr int most_rows = 12;

template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
template <class T>
using Vec = math::Pack<T, lanes<T>>;

/// A seen through two strides, so that A and A^T are one kernel.
template <class T>
struct Strided {
  const T* data;
  std::int64_t row;    ///< from one row of the tile to the next
  std::int64_t inner;  ///< from one inner index to the next
};

template <class T>
struct Panel {
  const T* b;  ///< (K, NV * lanes), row stride `stride`
  std::int64_t stride;
  const T* bias;         ///< NV * lanes elements or null
  std::int64_t columns;  ///< columns of C to write, <= NV * lanes
  const T* plus;         ///< first row and column of this panel, or null
  std::int64_t plus_stride;
};

template <class T, int NV>
EMSHAP_INLINE void store_row(const Vec<T>* acc, const Panel<T>& p, bool relu, bool accumulate, const T* plus,
                             T* c) {
  constexpr int W = lanes<T>;
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    const std::int64_t left = p.columns - v * W;
    if (left <= 0) return;
    Vec<T> x = acc[v];
    if (p.bias != nullptr) x = x + Vec<T>::load(p.bias + v * W);
    if (relu) x = math::select(x < Vec<T>(T(0)), Vec<T>(T(0)), x);  // keeps NaN, so that a bad loss is seen
    if (left >= W) {
      if (accumulate) x = Vec<T>::load(c + v * W) + x;
      if (plus != nullptr) x = x + Vec<T>::load(plus + v * W);
      x.store(c + v * W);
    } else {
      const int n = static_cast<int>(left);
      if (accumulate) x = Vec<T>::load_partial(c + v * W, n) + x;
      if (plus != nullptr) x = x + Vec<T>::load_partial(plus + v * W, n);
      x.store_partial(c + v * W, n);
    }
  }
}

template <class T, int MR, int NV>
void tile(const Strided<T>& a, const Panel<T>& p, std::int64_t inner, bool relu, bool accumulate, T* c,
          std::int64_t c_stride) {
  constexpr int W = lanes<T>;
  Vec<T> acc[MR][NV];
#pragma GCC unroll 12
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[r][v] = Vec<T>(T(0));
  const T* ap = a.data;
  const T* bp = p.b;
  for (std::int64_t k = 0; k < inner; ++k) {
    Vec<T> b[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) b[v] = Vec<T>::load(bp + v * W);
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r) {
      const Vec<T> x(ap[r * a.row]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] = math::mul_add(x, b[v], acc[r][v]);
    }
    ap += a.inner;
    bp += p.stride;
  }
#pragma GCC unroll 12
  for (int r = 0; r < MR; ++r) {
    const T* plus = p.plus == nullptr ? nullptr : p.plus + r * p.plus_stride;
    store_row<T, NV>(acc[r], p, relu, accumulate, plus, c + r * c_stride);
  }
}

template <class T>
using TileFunction = void (*)(const Strided<T>&, const Panel<T>&, std::int64_t, bool, bool, T*, std::int64_t);

template <class T, int NV, int MR>
EMSHAP_INLINE TileFunction<T> pick_rows(std::int64_t rows) {
  if constexpr (MR == 0) {
    return nullptr;
  } else {
    if (rows == MR) return tile<T, MR, NV>;
    return pick_rows<T, NV, MR - 1>(rows);
  }
}

/// All rows of one panel, cut into tiles of nearly equal height.
template <class T, int NV>
EMSHAP_INLINE void run_panel(const Strided<T>& a, std::int64_t rows, Panel<T> p, std::int64_t inner,
                             bool relu, bool accumulate, T* c, std::int64_t c_stride) {
  constexpr int MR = rows_for[NV];
  static_assert(MR <= most_rows);
  const std::int64_t tiles = (rows + MR - 1) / MR;
  const std::int64_t height = rows / tiles, taller = rows - height * tiles;
  const TileFunction<T> tall = pick_rows<T, NV, MR>(height + 1), low = pick_rows<T, NV, MR>(height);
  std::int64_t r = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const bool is_tall = t < taller;
    const Strided<T> at{a.data + r * a.row, a.row, a.inner};
    (is_tall ? tall : low)(at, p, inner, relu, accumulate, c + r * c_stride, c_stride);
    const std::int64_t done = is_tall ? height + 1 : height;
    if (p.plus != nullptr) p.plus += done * p.plus_stride;
    r += done;
  }
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

template <class T>
const T* pad_vector(Workspace& workspace, const T* from, std::int64_t count, std::int64_t width) {
  if (from == nullptr) return nullptr;
  T* padded = workspace.take<T>(width);
  std::memcpy(padded, from, static_cast<std::size_t>(count) * sizeof(T));
  std::memset(padded + count, 0, static_cast<std::size_t>(width - count) * sizeof(T));
  return padded;
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
               e.accumulate || e.bias == nullptr ? nullptr : e.bias + begin,
               columns,
               e.accumulate || e.plus == nullptr ? nullptr : e.plus + begin,
               e.plus_stride};
    if (columns < width) {
      if (!b_padded) {
        p.b = pack_columns(workspace, b, begin, columns, width);
        p.stride = width;
      }
      p.bias = pad_vector(workspace, p.bias, columns, width);
    }
    const bool relu = e.relu && !e.accumulate;
    T* out = c.data + begin;
    if (nv == 1) run_panel<T, 1>(a, rows, p, inner, relu, e.accumulate, out, c.stride);
    if (nv == 2) run_panel<T, 2>(a, rows, p, inner, relu, e.accumulate, out, c.stride);
    if constexpr (most_vectors > 2) {
      if (nv == 3) run_panel<T, 3>(a, rows, p, inner, relu, e.accumulate, out, c.stride);
      if (nv == 4) run_panel<T, 4>(a, rows, p, inner, relu, e.accumulate, out, c.stride);
    }
    done += nv;
  }
}

/// One butterfly of a W x W transposition in registers: rows i and i + half exchange their off-diagonal
/// blocks.
template <class T, int half>
EMSHAP_INLINE void exchange_blocks(Vec<T>* rows) {
  constexpr int W = lanes<T>;
  typename math::Mask<T, W>::Vec low, high;
#pragma GCC unroll 16
  for (int j = 0; j < W; ++j) {
    const bool second = (j & half) != 0;
    low[j] = second ? W + j - half : j;
    high[j] = second ? W + j : j + half;
  }
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if ((i & half) != 0) continue;
    const auto a = rows[i].v, b = rows[i + half].v;
    rows[i].v = __builtin_shuffle(a, b, low);
    rows[i + half].v = __builtin_shuffle(a, b, high);
  }
}

template <class T, int half>
EMSHAP_INLINE void transpose_registers(Vec<T>* rows) {
  if constexpr (half > 0) {
    exchange_blocks<T, half>(rows);
    transpose_registers<T, half / 2>(rows);
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
