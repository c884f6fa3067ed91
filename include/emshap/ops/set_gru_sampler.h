#pragma once
// The set-GRU (models/set_gru.h) through all its steps in one kernel, on a GPU: states, base means and heads
// of a tile of rows or draws stay in the shared memory of a block, and nothing but the results is written. On
// the CPU these ops throw DeviceError: there SetGru goes step by step. B rows, F features, H hidden units, C
// components, V categories, K draws; all f32 unless said.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/draw_noise.h"

namespace emshap::ops {

/// Whether this context has the ops below.
EMSHAP_API bool fused_set_gru(const Context& ctx);

/// The model's parameters, and the tables of its tokens (wa, wb) as in gru_token_forward.
struct SetGruWeights {
  ConstTensorView wa;         ///< (F, 3 H)
  ConstTensorView wb;         ///< (F + V, 3 H): a category's row is F + its place in the list of V
  ConstTensorView weight_hh;  ///< (H, 3 H)
  ConstTensorView bias_hh;    ///< (3 H)
  ConstTensorView start;      ///< (H)
  ConstTensorView state, moments, feature, hidden;  ///< (H, H), (2, H), (F, H), (H, H)
  ConstTensorView mixture, mixture_bias;            ///< (H, 3 C), (3 C)
  ConstTensorView category, category_bias;          ///< (H, V), (V); these five are empty when V = 0
  ConstTensorView values, frequencies;              ///< (V)
  ConstTensorView offsets;                          ///< (F + 1) i32: where a feature's categories begin
  std::int64_t widest = 0;                          ///< most categories of a feature
};

/// Rows and the order in which their features come.
struct SetGruRows {
  ConstTensorView x, mask;       ///< (B, F); 1 = known
  ConstTensorView code;          ///< (B, F) i32, empty without categories
  ConstTensorView sequence;      ///< (B, F) i32, from set_sequences
  ConstTensorView known, count;  ///< (B) i32
};

/// What is known of the Gaussian base: mean and log_sd of base_conditionals, gains of base_gains.
struct SetGruBase {
  ConstTensorView mean;    ///< (B, F)
  ConstTensorView log_sd;  ///< (B, F): of base_gains (by step), or without gains of base_conditionals
  ConstTensorView gains;   ///< (B, F, F); empty where nothing is taken in after x_S
};

/// The uniform numbers of the draws: given, or made in the kernel, with the bits of fill_draw_noise.
struct SetGruNoise {
  ConstTensorView uniforms;  ///< (B K, F), or (K, F) shared by all rows; empty: made from what follows
  DrawNoise kind = DrawNoise::independent;  ///< independent only
  RandomKey key{};
  ConstTensorView numbers;      ///< (B) i32: the rows' numbers
  std::int64_t first_draw = 0;  ///< number of a row's first draw
};

/// sequence (B, F) i32, known (B) i32, count (B) i32 from mask and target (B, F): a row's known features
/// ascending, then those of its unknown ones for which target is above .5 (all when it is empty), in the
/// order of `order` (a permutation of 0..F-1; empty: ascending). Entries from count on are not written.
EMSHAP_API void set_sequences(Context& ctx, ConstTensorView mask, ConstTensorView target,
                              std::span<const std::int64_t> order, TensorView sequence, TensorView known,
                              TensorView count);

/// context (B, H) = h_S, the state after a row's known features.
EMSHAP_API void set_gru_context(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows,
                                TensorView context);

/// K = x.rows() / B completions of each row: x (B K, F), known entries copied, what is not in the sequence 0;
/// code (B K, F) i32 (-1 for 0; empty without categories); log_q (B K), or empty. Without gains
/// each feature is drawn from q(. | x_S), independent of the others.
EMSHAP_API void set_gru_draw(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows,
                             const SetGruBase& base, ConstTensorView context, const SetGruNoise& noise,
                             TensorView x, TensorView code, TensorView log_q);

/// q(x_t | what comes before t in the sequence) with the rows' own values: log_q (B), the sum of the log
/// densities, and the distributions mixture (B, F, 3 C) and categorical (B, V) as in models/proposal.h,
/// entries without a distribution 0. Any of the three may be empty.
EMSHAP_API void set_gru_score(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows,
                              const SetGruBase& base, ConstTensorView context, TensorView log_q,
                              TensorView mixture, TensorView categorical);

/// q(x_t | x_S) for the unknown features of the sequence.
EMSHAP_API void set_gru_conditionals(Context& ctx, const SetGruWeights& weights, const SetGruRows& rows,
                                     const SetGruBase& base, ConstTensorView context, TensorView mixture,
                                     TensorView categorical);

}  // namespace emshap::ops
