#pragma once
// Training rows that stand in for what is unknown of an explicand. Private to the baselines.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/core/tensor.h"
#include "emshap/explain/value_function.h"

namespace emshap {

/// Complete training rows in raw units, and what all training rows say about the columns.
struct BackgroundRows {
  std::vector<std::string> columns;  ///< (D)
  Tensor rows;                       ///< (n, D) f32
  std::vector<std::uint8_t> varies;  ///< (D): 0 for columns that are constant in the training rows
  std::int64_t complete = 0;         ///< complete training rows, of which `rows` are some or all
  std::int64_t lacking = 0;          ///< training rows with missing values

  std::int64_t width() const { return static_cast<std::int64_t>(columns.size()); }
  std::vector<bool> modelled() const { return {varies.begin(), varies.end()}; }
  /// At most `most` complete rows (0: all), a seeded choice in random order; all of them stay in their order.
  /// Throws ConfigError for other columns than f's, DataError for no complete row and for infinite values.
  static BackgroundRows choose(std::string method, std::vector<std::string> columns, ConstTensorView train,
                               const Predictor& f, std::int64_t most, std::uint64_t seed);
};

/// Throws ShapeError for rows of another width or masks that do not fit, DataError for infinite values.
void check_query(const std::string& method, const std::vector<std::string>& columns, const Explicands& rows,
                 ConstTensorView masks);

/// Which columns of an explicand are known under a mask: those it has that the mask names. Returns the number
/// of unknown ones.
std::int64_t known_columns(std::int64_t width, const float* x, const float* mask,
                           std::vector<std::uint8_t>& known);

/// Rows put together for f, evaluated some at a time; sums do not depend on how they are cut.
class CompletionBatch {
 public:
  static constexpr std::int64_t most = 2048;  ///< rows in one call of f
  CompletionBatch(const Predictor& f, std::int64_t width);
  /// x where `known`, the background row elsewhere; weight f(completion) is added to `sum`, which must stay
  /// where it is until flush().
  void add(Context& ctx, const float* x, const float* background, const std::vector<std::uint8_t>& known,
           double weight, double* sum);
  void flush(Context& ctx);
  static std::int64_t bytes(std::int64_t width);

 private:
  struct Part {
    double weight;
    double* sum;
  };
  const Predictor& f_;
  std::int64_t width_;
  Tensor x_, y_;
  std::vector<Part> parts_;
};

/// Bytes for as many threads as this machine has.
std::int64_t for_all_threads(std::int64_t bytes);
void stop_if_asked(const StopToken* stop);

}  // namespace emshap
