// Categories of ops/density.h, one thread a pair; see row_tile.cuh. Bound by memory: V floats in, V out.
#include "math/category.h"

#include "cuda/pointwise.cuh"
#include "cuda/row_tile.cuh"
#include "emshap/ops/density.h"

#define EMSHAP_BACKEND cuda
#include "ops/density_backend.h"

namespace emshap::cuda {
namespace {

using In = Mat<const float>;
using InInt = Mat<const std::int32_t>;
using Out = Mat<float>;
using Numbers = RowNumbers<const float>;
using OutNumbers = RowNumbers<float>;
using Codes = RowNumbers<const std::int32_t>;
using OutCodes = RowNumbers<std::int32_t>;

struct CategoricalLoss {
  In logits;
  const float* frequencies;
  Codes code;
  Numbers weight;
  OutNumbers value;
  Out dlogits;
  __device__ void load(const RowTile& tile) const { tile.load(logits, 0); }
  __device__ void row(std::int64_t p, float* own) const {
    const int V = static_cast<int>(logits.cols);
    const float w = weight.at(p);
    const bool none = w == 0;
    const float loss = none ? 0.f
                            : math::categorical_loss(V, own, frequencies, static_cast<float>(code.at(p)),
                                                     ops::category_base_share, own);
    value.at(p) = none ? 0.f : w * loss;
    for (int v = 0; v < V; ++v) own[v] = none ? 0.f : w * own[v];
  }
  __device__ void store(const RowTile& tile) const {
    if (dlogits.data != nullptr) tile.store(dlogits, 0);
  }
};

struct CategoricalLogProbabilities {
  In logits;
  const float* frequencies;
  Numbers wanted;
  Out log_p;
  __device__ void load(const RowTile& tile) const { tile.load(logits, 0); }
  __device__ void row(std::int64_t p, float* own) const {
    const int V = static_cast<int>(logits.cols);
    if (wanted.data != nullptr && wanted.at(p) == 0)
      for (int v = 0; v < V; ++v) own[v] = 0;
    else
      math::categorical_log_probabilities(V, own, frequencies, ops::category_base_share, own);
  }
  __device__ void store(const RowTile& tile) const { tile.store(log_p, 0); }
};

/// Probabilities that several pairs in sequence share are read where they lie, as in mixture_draw.
struct CategoricalDraw {
  In log_p, uniforms;
  Numbers wanted;
  OutCodes code;
  OutNumbers log_q;
  std::int64_t share;
  __device__ void load(const RowTile& tile) const {
    if (share == 1) tile.load(log_p, 0);
  }
  __device__ void row(std::int64_t p, const float* own) const {
    const std::int64_t r = share == 1 ? p : p / share;
    if (wanted.data != nullptr && wanted.at(r) == 0) return;
    const float* const numbers = share == 1 ? own : log_p.data + r * log_p.stride;
    const auto drawn = math::categorical_draw(static_cast<int>(log_p.cols), numbers,
                                              uniforms.data[p % uniforms.rows * uniforms.stride]);
    code.at(p) = static_cast<std::int32_t>(drawn.code);
    if (log_q.data != nullptr) log_q.at(p) += drawn.log_p;
  }
  __device__ void store(const RowTile&) const {}
};

struct CategoricalValues {
  const float* values;
  std::int64_t count;
  Codes code;
  OutNumbers x;
  __device__ void operator()(std::int64_t, std::int64_t p) const {
    const std::int32_t v = code.at(p);
    if (v >= 0 && v < count) x.at(p) = values[v];
  }
};

}  // namespace

template <>
void categorical_loss<float>(Context& ctx, In logits, In frequencies, InInt code, In weight, Out value,
                             Out dlogits) {
  row_tiles(
      ctx, "categorical_loss", logits.rows, logits.cols,
      CategoricalLoss{logits, frequencies.data, Codes(code), Numbers(weight), OutNumbers(value), dlogits});
}

template <>
void categorical_log_probabilities<float>(Context& ctx, In logits, In frequencies, In wanted, Out log_p) {
  row_tiles(ctx, "categorical_log_probabilities", logits.rows, logits.cols,
            CategoricalLogProbabilities{logits, frequencies.data, Numbers(wanted), log_p});
}

template <>
void categorical_draw<float>(Context& ctx, In log_p, In uniforms, In wanted, Mat<std::int32_t> code,
                             Out log_q) {
  const std::int64_t pairs = code.rows * code.cols;
  if (pairs == 0) return;
  const std::int64_t share = pairs / log_p.rows;
  row_tiles(ctx, "categorical_draw", pairs, share == 1 ? log_p.cols : 1,
            CategoricalDraw{log_p, uniforms, Numbers(wanted), OutCodes(code), OutNumbers(log_q), share});
}

template <>
void categorical_values<float>(Context& ctx, In values, InInt code, Out x) {
  pointwise(ctx, "categorical_values", 1, code.rows * code.cols,
            CategoricalValues{values.data, values.rows * values.cols, Codes(code), OutNumbers(x)});
}

}  // namespace emshap::cuda
