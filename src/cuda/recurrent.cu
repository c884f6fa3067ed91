#include "emshap/ops/recurrent.h"

#include "core/mat.h"
#include "cuda/gru_unit.cuh"
#include "cuda/pointwise.cuh"
#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"
#include "math/token_shape.h"

#define EMSHAP_BACKEND cuda
#include "ops/recurrent_backend.h"

// The gates are bound by memory: one thread is one unit of one row, reads each number of its unit once and
// keeps all gates in registers, so that a step is a single pass (52 bytes a unit forward with kept gates).
// Outputs may lie over inputs because no thread reads another's unit.

namespace emshap::cuda {
namespace {

template <class T>
__device__ math::GruGates<T> load_gates(const T* gates, std::int64_t H) {
  return {gates[0], gates[H], gates[2 * H], gates[3 * H]};
}

template <class T>
struct Forward {
  Mat<const T> gi, gh, h;
  Mat<T> h_next, gates;
  __device__ void operator()(std::int64_t b, std::int64_t i) const {
    const std::int64_t H = h.cols;
    const T* in = row_of(gi, b) + i;
    forward_unit<T>({in[0], in[H], in[2 * H]}, row_of(gh, b) + i, row_of(h, b) + i, H, row_of(h_next, b) + i,
                    gates.data == nullptr ? nullptr : row_of(gates, b) + i);
  }
};

/// Lines of wa and wb come from the caches: the tables are small.
template <class T>
struct TokenForward {
  const T* value;
  const std::int32_t *feature, *slot;
  Mat<const T> wa, wb, gh, h;
  Mat<T> h_next, gates;
  __device__ void operator()(std::int64_t b, std::int64_t i) const {
    const std::int64_t H = h.cols;
    const std::int32_t f = feature[b];
    if (f < 0) {
      row_of(h_next, b)[i] = row_of(h, b)[i];
      return;
    }
    const T x = value[b];
    const T *a = row_of(wa, f) + i, *s = row_of(wb, slot[b]) + i;
    forward_unit(token_input(x, a, s, H), row_of(gh, b) + i, row_of(h, b) + i, H, row_of(h_next, b) + i,
                 gates.data == nullptr ? nullptr : row_of(gates, b) + i);
  }
};

template <class T>
struct Backward {
  Mat<const T> gates, h, dh_next;
  Mat<T> dgi, dgh, dh;
  __device__ void operator()(std::int64_t b, std::int64_t i) const {
    const std::int64_t H = h.cols;
    const auto d =
        math::gru_gradients(load_gates(row_of(gates, b) + i, H), row_of(h, b)[i], row_of(dh_next, b)[i]);
    T *in = row_of(dgi, b) + i, *state = row_of(dgh, b) + i;
    in[0] = d.r;
    in[H] = d.z;
    in[2 * H] = d.gi_n;
    state[0] = d.r;
    state[H] = d.z;
    state[2 * H] = d.gh_n;
    row_of(dh, b)[i] = d.h;
  }
};

template <class T>
struct TokenBackward {
  const std::int32_t* feature;
  Mat<const T> h;
  Mat<T> gates, dh;
  __device__ void operator()(std::int64_t b, std::int64_t i) const {
    const std::int64_t H = h.cols;
    T* kept = row_of(gates, b) + i;
    if (feature[b] < 0) {
      kept[0] = kept[H] = kept[2 * H] = kept[3 * H] = T(0);
      return;
    }
    const auto d = math::gru_gradients(load_gates<T>(kept, H), row_of(h, b)[i], row_of(dh, b)[i]);
    kept[0] = d.r;
    kept[H] = d.z;
    kept[2 * H] = d.gh_n;
    kept[3 * H] = d.gi_n;
    row_of(dh, b)[i] = d.h;
  }
};

/// What the table kernels share: lines 0 .. F of the tables are those of dwa, the others those of dwb.
template <class T>
struct Tables {
  const T* value;
  const std::int32_t *feature, *slot;
  Mat<const T> gates;  ///< with dgi, as TokenBackward leaves it
  Mat<T> dwa, dwb;
  std::int64_t rows, H, part_rows, parts;
  T* partial;  ///< (parts, lines, 3 H), or null when there is one part

  __device__ std::int64_t lines() const { return dwa.rows + dwb.rows; }
  __device__ T* line_of(std::int64_t line) const {
    return line < dwa.rows ? row_of(dwa, line) : row_of(dwb, line - dwa.rows);
  }
};

/// Block (line and 32 units, part). A block reads the numbers of all tokens of its part, which the caches
/// hold, and only its own rows of the gradient: each of these is read twice in all, once for each table. The
/// order of the sum is fixed by the sizes: rows of a warp ascending, then warps, then parts.
template <class T>
__global__ void __launch_bounds__(math::token_threads) table_lines_kernel(Tables<T> t) {
  const int lane = static_cast<int>(threadIdx.x) % math::warp_threads;
  const int warp = static_cast<int>(threadIdx.x) / math::warp_threads;
  T* sums = shared_memory<T>();                                    // (warps, 3, 32)
  T* factors = sums + math::token_warps * 3 * math::warp_threads;  // (warps, window)
  auto* rows = reinterpret_cast<std::int32_t*>(factors + math::token_warps * math::token_window);
  factors += warp * math::token_window;
  rows += warp * math::token_window;

  const std::int64_t line = blockIdx.x % t.lines(), unit = blockIdx.x / t.lines() * math::warp_threads + lane;
  const bool first_table = line < t.dwa.rows;
  const std::int32_t wanted = static_cast<std::int32_t>(first_table ? line : line - t.dwa.rows);
  const std::int32_t* number = first_table ? t.feature : t.slot;
  const std::int64_t part = static_cast<std::int64_t>(blockIdx.y) * t.part_rows;
  const std::int64_t end = part + t.part_rows < t.rows ? part + t.part_rows : t.rows;
  T r(0), z(0), n(0);
  for (std::int64_t begin = part + warp * math::token_window; begin < end;
       begin += math::token_warps * math::token_window) {
    int found = 0;
    for (int k = 0; k < math::token_window; k += math::warp_threads) {
      const std::int64_t b = begin + k + lane;
      const bool mine = b < end && t.feature[b] >= 0 && number[b] == wanted;
      const unsigned all = __ballot_sync(whole_warp, mine);
      if (mine) {
        const int at = found + __popc(all & ((1u << lane) - 1));
        rows[at] = static_cast<std::int32_t>(b - begin);
        factors[at] = first_table ? t.value[b] : T(1);
      }
      found += __popc(all);
    }
    __syncwarp();
    if (unit < t.H) {
      for (int k = 0; k < found; ++k) {
        const T* d = row_of(t.gates, begin + rows[k]) + unit;
        const T x = factors[k];
        r = math::mul_add(x, d[0], r);
        z = math::mul_add(x, d[t.H], z);
        n = math::mul_add(x, d[3 * t.H], n);
      }
    }
    __syncwarp();
  }
  T* mine = sums + warp * 3 * math::warp_threads + lane;
  mine[0] = r;
  mine[math::warp_threads] = z;
  mine[2 * math::warp_threads] = n;
  __syncthreads();
  const int gate = warp;
  if (gate >= 3 || unit >= t.H) return;
  T sum(0);
  for (int w = 0; w < math::token_warps; ++w) sum += sums[(w * 3 + gate) * math::warp_threads + lane];
  const std::int64_t column = gate * t.H + unit;
  if (t.partial == nullptr)
    t.line_of(line)[column] += sum;
  else
    t.partial[(blockIdx.y * t.lines() + line) * 3 * t.H + column] = sum;
}

template <class T>
struct AddParts {
  Tables<T> t;
  __device__ void operator()(std::int64_t line, std::int64_t column) const {
    T sum(0);
    for (std::int64_t p = 0; p < t.parts; ++p) sum += t.partial[(p * t.lines() + line) * 3 * t.H + column];
    t.line_of(line)[column] += sum;
  }
};

}  // namespace

template <class T>
void gru_forward(Context& ctx, Mat<const T> gi, Mat<const T> gh, Mat<const T> h, Mat<T> h_next,
                 Mat<T> gates) {
  pointwise(ctx, "gru_forward", h.rows, h.cols, Forward<T>{gi, gh, h, h_next, gates});
}

template <class T>
void gru_backward(Context& ctx, Mat<const T> gates, Mat<const T> h, Mat<const T> dh_next, Mat<T> dgi,
                  Mat<T> dgh, Mat<T> dh) {
  pointwise(ctx, "gru_backward", h.rows, h.cols, Backward<T>{gates, h, dh_next, dgi, dgh, dh});
}

template <class T>
void gru_token_forward(Context& ctx, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                       Mat<const T> wa, Mat<const T> wb, Mat<const T> gh, Mat<const T> h, Mat<T> h_next,
                       Mat<T> gates) {
  pointwise(ctx, "gru_token_forward", h.rows, h.cols,
            TokenForward<T>{value, feature, slot, wa, wb, gh, h, h_next, gates});
}

template <class T>
void gru_token_backward(Context& ctx, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                        Mat<const T> h, Mat<T> gates, Mat<T> dh, Mat<T> dwa, Mat<T> dwb) {
  const Workspace::Scope scope(ctx.workspace());
  const math::TokenShape shape = math::token_shape(h.rows);
  const std::int64_t lines = dwa.rows + dwb.rows;
  pointwise(ctx, "gru_token_backward", h.rows, h.cols, TokenBackward<T>{feature, h, gates, dh});
  if (h.rows == 0 || h.cols == 0) return;
  Tables<T> tables{value,
                   feature,
                   slot,
                   {gates.data, gates.rows, gates.cols, gates.stride},
                   dwa,
                   dwb,
                   h.rows,
                   h.cols,
                   shape.part_rows,
                   shape.parts,
                   nullptr};
  if (shape.parts > 1) tables.partial = ctx.workspace().take<T>(shape.parts * lines * 3 * h.cols);
  constexpr std::int64_t shared =
      math::token_warps * (3 * math::warp_threads * sizeof(T) + math::token_window * (sizeof(T) + 4));
  launch(ctx, "gru_token_backward, tables", table_lines_kernel<T>,
         Grid{lines * math::ceil_div(h.cols, math::warp_threads), math::token_threads, shared, shape.parts},
         tables);
  if (shape.parts > 1) pointwise(ctx, "gru_token_backward, parts", lines, 3 * h.cols, AddParts<T>{tables});
}

template void gru_forward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>, Mat<float>,
                                 Mat<float>);
template void gru_backward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>, Mat<float>,
                                  Mat<float>, Mat<float>);
template void gru_token_forward<float>(Context&, const float*, const std::int32_t*, const std::int32_t*,
                                       Mat<const float>, Mat<const float>, Mat<const float>, Mat<const float>,
                                       Mat<float>, Mat<float>);
template void gru_token_backward<float>(Context&, const float*, const std::int32_t*, const std::int32_t*,
                                        Mat<const float>, Mat<float>, Mat<float>, Mat<float>, Mat<float>);

}  // namespace emshap::cuda
