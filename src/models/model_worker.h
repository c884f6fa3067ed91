#pragma once
// What one thread does for EmshapModel: tiles of rows, chunks of draws, on a context of its own.
#include <cstdint>
#include <vector>

#include "emshap/models/emshap_model.h"

namespace emshap::model {

/// Completions that pass through the networks together.
inline constexpr std::int64_t most_completions = 2048;

/// A checked ModelQuery; what it leaves empty is filled in.
class Query {
 public:
  /// Throws ShapeError, DTypeError or DeviceError.
  Query(const Proposal& proposal, const ModelQuery& query);
  std::int64_t rows() const { return given_.rows.x.rows(); }
  bool has_target() const { return given_.target.elements() > 0; }
  FeatureRows rows(std::int64_t begin, std::int64_t count) const;
  ConstTensorView mask(std::int64_t begin, std::int64_t count) const {
    return given_.mask.rows(begin, count);
  }
  ConstTensorView target(std::int64_t begin, std::int64_t count) const {
    return given_.target.rows(begin, count);
  }
  std::span<const std::int64_t> numbers(std::int64_t begin, std::int64_t count) const {
    return std::span(numbers_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
  }

 private:
  ModelQuery given_;
  std::vector<std::int64_t> numbers_;
};

class Worker {
 public:
  /// `energy` null: p = q.
  Worker(const Proposal& proposal, const EnergyNetwork* energy, Backend backend);

  /// Rows [begin, end) of the query, `tile` at a time, into the same rows of `out`.
  void log_density(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                   const SamplingOptions& options, DensityScores& out);
  void moments(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
               const SamplingOptions& options, ConditionalMoments& out);
  void proposal_moments(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                        ConditionalMoments& out);
  void energies(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                std::vector<double>& out);

  /// What is drawn of a row that lacks features: values for all of them, or as in log q(x_U | x_S) the
  /// targets' alone.
  enum class Fill : std::uint8_t { everything, targets };
  /// Draws [first, first + count) of n rows with their energies (n count), 0 without a network.
  void draw(const Query& query, std::int64_t begin, std::int64_t n, const SamplingOptions& options, Fill fill,
            std::int64_t first, std::int64_t count, Draws& draws, Tensor& energy);
  /// Energies (n count) of all rows' draws, made by Fill::everything, and log_w (n, count).
  void weigh(const Query& query, std::int64_t count, const Draws& draws, Tensor& energy, TensorView log_w);
  /// log_w (n, count): logarithms of their importance weights.
  void log_weights(const Query& query, std::int64_t begin, std::int64_t n, const SamplingOptions& options,
                   Fill fill, std::int64_t count, const Draws& draws, const Tensor& energy, TensorView log_w);

 private:
  std::int64_t features() const { return proposal_.layout().features(); }
  bool absolute() const { return energy_ != nullptr && energy_->options().form == EnergyForm::absolute; }
  /// Fills known_ and target_ (n, F) in double; target_ is what is unknown when the query names none.
  void read_masks(const Query& query, std::int64_t begin, std::int64_t n);
  /// x (n R, F) with 0 for what is missing; x itself when nothing is.
  ConstTensorView without_missing(const Query& query, std::int64_t begin, std::int64_t n, ConstTensorView x);
  /// out[b] = sum of log q over the targets, of row b / share; conditionals_ hold the factors of `rows`.
  void sum_targets(const FeatureRows& rows, std::int64_t share, std::vector<double>& out);
  void log_q(const Query& query, std::int64_t begin, std::int64_t n, DrawMode mode, std::vector<double>& out);
  void energies_of_rows(const Query& query, std::int64_t begin, std::int64_t n, ConstTensorView context,
                        Tensor& energy);

  const Proposal& proposal_;
  const EnergyNetwork* energy_;
  Context ctx_;
  std::vector<std::int64_t> offsets_;
  bool missing_ = false;
  Conditionals conditionals_;
  Draws draws_;
  Tensor noise_, energy_of_draws_, energy_of_rows_, seen_, zero_, complete_, unknown_, density_, contiguous_;
  Tensor known_, target_, wide_, wide_categories_, log_w_, summary_, mean_, variance_;
};

}  // namespace emshap::model
