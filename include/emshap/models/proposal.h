#pragma once
// The proposal q(x_U | x_S) = prod_t q(x_t | x_S, x_{U before t}): what every proposal network (and the plain
// Gaussian) can do. Features are generated in ascending order, S ascending, then U ascending, unless draws
// are asked for in another.
//
// All functions work on the rows they are given, alone: members of a team call them for their own rows with
// contexts of their own, and results do not depend on how rows are cut into calls.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor.h"
#include "emshap/models/feature_layout.h"

namespace emshap {

class ParameterStore;
class GraphWriter;
struct GraphValue;

/// Rows in model space. Entries that are not known may hold anything finite and are never read.
struct FeatureRows {
  ConstTensorView x;     ///< (B, F), of the proposal's element type
  ConstTensorView code;  ///< (B, F) i32: category of a categorical feature from 0, -1 for numeric ones; may
                         ///< be empty when the layout has no categorical feature
};

/// The conditional distributions of single features. Entries of features not asked for are 0.
struct Conditionals {
  Tensor mixture;  ///< (B, F, 3 C): per numeric feature C log-weights (normalised), C means, C log standard
                   ///< deviations
  Tensor categorical;  ///< (B, V): log-probabilities of the categories, see FeatureLayout
  Tensor context;      ///< (B, H): the state for x_S, input of the energy network
};

/// K completions of each row.
struct Draws {
  Tensor x;      ///< (B K, F): row b K + k; known entries copied
  Tensor code;   ///< (B K, F) i32, only with categorical features
  Tensor log_q;  ///< (B K): log q of the drawn entries, density of numeric and mass of categorical ones
  bool log_q_wanted = true;  ///< set before the call: false lets a proposal save it and leave log_q empty
  Tensor context;            ///< (B, H)
};

enum class DrawMode : std::uint8_t {
  autoregressive,  ///< x_t ~ q(. | x_S, draws before t)
  one_shot,  ///< x_t ~ q(. | x_S), independent given x_S: cheap, but what q says of features together is
             ///< lost; an energy trained on autoregressive draws does not bring it back
};

class EMSHAP_API Proposal {
 public:
  virtual ~Proposal();
  virtual const FeatureLayout& layout() const = 0;
  virtual std::int64_t components() const = 0;     ///< C
  virtual std::int64_t context_width() const = 0;  ///< H
  virtual DType dtype() const = 0;
  virtual Device device() const = 0;

  /// q(x_t | x_S) for every t outside S. `mask` (B, F), 1 = known (in S), 0 = not.
  virtual void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                            Conditionals& out) const = 0;
  /// q(x_t | x_S, x_{U before t}) with the rows' own values for t in U, where `target` (B, F) is 1; features
  /// that are neither known nor target (missing) take no part. Their sum of log-densities is log q(x_U |
  /// x_S).
  virtual void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                          Conditionals& out) const = 0;
  /// `draws` completions of each row. `noise` (B K, F), or (K, F) shared by all rows, uniform on (0, 1), of
  /// the proposal's element type: the draw of feature t is the quantile at column t, or the category.
  /// `target` (B, F) as in sequential, so that log_q belongs to the same density: missing features are not
  /// drawn (x 0, code -1). An empty view: everything unknown is drawn. `order`: a permutation of the F
  /// features, in which the unknown ones are generated (empty: ascending); log_q is the density in that
  /// order.
  virtual void draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                    ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target = {},
                    std::span<const std::int64_t> order = {}) const = 0;
};

/// A batch to train on, this member's rows of it, in host memory whatever the device.
struct ProposalBatch {
  FeatureRows rows;
  ConstTensorView observed;  ///< (B, F): 1 where the value is there; missing ones are unknown and no target
};

class EMSHAP_API TrainableProposal : public Proposal {
 public:
  virtual ParameterStore& store() = 0;
  virtual const ParameterStore& store() const = 0;

  /// Once before training: at most `members` members of a team and `rows` rows of a member.
  virtual void prepare(int members, std::int64_t rows) = 0;
  /// Collective: the negative log-likelihood per unknown feature over the whole team's batch in `loss` (1),
  /// same bits for every member, and its gradient added to the store. `sizes` (F): weight of |S| = 0..F-1 in
  /// the loss, sum 1; for a row with n < F values present the weights of 0..n-1 are rescaled. Random orders
  /// or masks depend on `key` and the row's number in the batch only.
  virtual void train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch,
                     std::span<const double> sizes, const RandomKey& key, TensorView loss) = 0;
};

}  // namespace emshap
