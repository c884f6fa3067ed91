#pragma once
// A power model ready for many predictions: raw float32 in, everything that comes before the first activation
// in tables, batch normalisation folded into weights.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/models/predictor.h"
#include "emshap/train/power_model.h"

namespace emshap {

/// Scaling and encoding make every raw column a piecewise-linear function into the first layer's sums; each
/// of its pieces is a line of a table: value at an origin, and slope. A piece begins at a float32, the first
/// that lies on it, so that no raw value is rounded.
class PowerTables {
 public:
  /// Nothing for a model with residual blocks, without hidden layer or with other steps than those of
  /// Preprocessor::fit.
  static std::optional<PowerTables> make(const PowerModel& model);

  /// y (n, 1) in the target's unit from complete rows (n, D) of float32, in groups of `group` rows that agree
  /// in the columns where `same` (n / group, D) is 1; without `same`, each row alone.
  void predict(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same,
               TensorView y) const;

  /// The tables and layers on a GPU, for rows of `inputs` columns of which from[c] is raw column c here.
  std::unique_ptr<Predictor> on_device(Device device, std::span<const std::int64_t> from,
                                       std::int64_t inputs) const;

 private:
  struct Layer {
    Tensor weight, bias;  // (inputs, outputs), (outputs)
  };
  struct Member {
    Tensor table, base;         // (pieces of all columns, 2 H), (H)
    std::vector<Layer> layers;  // after the first, the output included
  };
  /// Lines and distances to their origins (rows, count) of some features' values.
  void find(ConstTensorView raw, const std::int64_t* features, std::int64_t count, TensorView index,
            TensorView factor) const;
  std::int64_t widest() const;

  std::vector<std::int64_t> column_;  // of each feature: its raw column
  std::vector<float> low_, high_;     // of each feature: bounds of its raw values; empty: none
  std::vector<std::int32_t> first_;   // (features + 1): its first line
  std::vector<std::int32_t> knots_;   // (features + 1): its first entry of at_
  std::vector<float> at_;             // where pieces begin, ascending; a feature has one piece more
  std::vector<float> origin_;         // (lines)
  std::vector<Member> members_;
  Activation activation_ = Activation::relu;
  double scale_ = 1, shift_ = 0;  // of the target
};

}  // namespace emshap
