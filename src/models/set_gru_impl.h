#pragma once
// What the files of the set-GRU share: its parameters by name, and the tables that a call derives from them.
#include <string>
#include <vector>

#include "core/staging.h"
#include "emshap/models/set_gru.h"
#include "layers/scratch.h"

namespace emshap {

struct SetGru::Impl {
  struct Ids {
    ParameterId scale, shift, weight_ih, weight_hh, bias_ih, bias_hh, start;
    ParameterId state, moments, feature, hidden, mixture, mixture_bias, category, category_bias;
  } id;
  std::vector<std::int64_t> offsets;  ///< (F + 1), of the categories
  Tensor mean, covariance;            ///< f64: (F), (F, F)
  Tensor values, frequencies;         ///< (V), of the store's type
  Tensor offset_table;                ///< (F + 1) i32: the offsets where ops read them
  Workspace host;                     ///< for training on a GPU: what is drawn on the host,
  Staging staging;                    ///< and what of it is sent

  /// The row of token.shift that feature t reads: its own, or its category's embedding.
  std::int32_t slot(std::int64_t t, std::int32_t code) const {
    const auto i = static_cast<std::size_t>(t);
    const std::int64_t features = static_cast<std::int64_t>(offsets.size()) - 1;
    const bool embedded = code >= 0 && code < offsets[i + 1] - offsets[i];
    return static_cast<std::int32_t>(embedded ? features + offsets[i] + code : t);
  }
};

/// A token enters the GRU linearly, so that its input product is a table: gi = x_t wa[t] + wb[slot] with wa =
/// a W_ih (F, 3H) and wb = b W_ih + b_ih (F + V, 3H). In the context's workspace.
struct SetGruTokens {
  TensorView wa, wb;
};
SetGruTokens make_tokens(Context& ctx, const ParameterStore& store, const SetGru::Impl::Ids& id);

/// A vector of `count` i32 in the context's workspace.
inline TensorView scratch_i32(Context& ctx, Shape shape) {
  return scratch(ctx, shape, DType::i32);
}

namespace set_gru {
/// Rows that pass together when training on a GPU: options.gpu_tile_rows, or as many as need 1 GiB there.
std::int64_t gpu_tile_rows(const SetGruOptions& options);
}  // namespace set_gru

/// Throws ShapeError unless `rows` are rows of F features with the codes that the layout needs.
void check_rows(const char* what, const FeatureLayout& layout, const FeatureRows& rows, DType dtype);
/// Throws ShapeError unless `mask` is (B, F) like the rows.
void check_mask(const char* what, const char* name, const FeatureRows& rows, const ConstTensorView& mask);

/// The code of feature t in a row, -1 without.
inline std::int32_t code_at(const FeatureRows& rows, std::int64_t row, std::int64_t t) {
  if (rows.code.elements() == 0) return -1;
  return rows.code.ptr<std::int32_t>()[row * rows.code.row_stride() + t];
}

}  // namespace emshap
