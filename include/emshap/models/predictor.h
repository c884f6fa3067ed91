#pragma once
// The model f that is explained: anything that gives one number per row of raw values.
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

class EMSHAP_API Predictor {
 public:
  virtual ~Predictor();
  /// Number of raw columns, D.
  virtual std::int64_t inputs() const = 0;
  /// y (B, 1) from raw (B, D), both f32 on the CPU, B >= 0. Complete rows only: f never sees NaN. Called by
  /// several threads at once, each with a context of its own (alone in its team); the result for a row must
  /// not depend on the other rows of the call. Throws NumericalError when a value is not finite.
  virtual void predict(Context& ctx, ConstTensorView raw, TensorView y) const = 0;

  /// The same where the B rows come in groups of `group` that agree in some columns: completions of one row.
  /// `same` (B / group, D) f32: 1 where the rows of a group have the same value. Predictors that can do such
  /// columns once a group override it; the result for a row depends on the row and its group's `same` only.
  virtual void predict_groups(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same,
                              TensorView y) const;

  /// A copy for this GPU, or null where there is none: the caller then predicts on the CPU. The copy's
  /// predict() takes and fills tensors of the device, needs nothing of this object, does not wait for the
  /// device, and leaves values that are not finite to the caller.
  virtual std::unique_ptr<Predictor> on_device(Device device) const;
};

/// Any function as a predictor.
class EMSHAP_API CallablePredictor final : public Predictor {
 public:
  using Function = std::function<void(ConstTensorView raw, TensorView y)>;
  enum class Calls : std::uint8_t {
    one_at_a_time,  ///< a lock keeps threads apart
    concurrent,     ///< the function may be called by several threads at once
  };
  CallablePredictor(std::int64_t inputs, Function function, Calls calls = Calls::one_at_a_time);
  std::int64_t inputs() const override { return inputs_; }
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override;

 private:
  std::int64_t inputs_;
  Function function_;
  Calls calls_;
  mutable std::mutex mutex_;
};

}  // namespace emshap
