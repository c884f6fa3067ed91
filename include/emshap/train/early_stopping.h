#pragma once
#include <cstdint>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

struct EarlyStoppingOptions {
  std::int64_t patience = 10;  ///< validations without improvement that are endured; 0 never stops
  double min_delta = 0;        ///< an improvement must be larger than this
};

/// Watches the validation loss.
class EMSHAP_API EarlyStopping {
 public:
  /// Throws ConfigError for a negative patience or min_delta.
  explicit EarlyStopping(const EarlyStoppingOptions& options);
  /// Whether this loss is the best so far, by more than min_delta. The first finite loss is.
  bool observe(double validation_loss);
  bool should_stop() const { return options_.patience > 0 && waited_ >= options_.patience; }
  double best() const { return best_; }  ///< infinity before the first observation
  std::int64_t waited() const { return waited_; }

  /// For checkpoints. set_state throws IoError when the size is wrong.
  std::vector<double> state() const;
  void set_state(const std::vector<double>& state);

 private:
  EarlyStoppingOptions options_;
  double best_;
  std::int64_t waited_ = 0;
};

}  // namespace emshap
