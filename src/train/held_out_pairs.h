#pragma once
// Held-out rows with fixed masks: what validation, the choice between proposals and the gate measure on.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/models/emshap_model.h"
#include "emshap/train/emshap.h"

namespace emshap {

/// Streams of random numbers of the stages; see RandomKey::layer.
enum class EmshapStream : std::uint32_t { gru = 0, mlp = 1, energy = 2, held_out = 3, gate = 4 };
RandomKey emshap_key(std::uint64_t seed, RandomPurpose purpose, EmshapStream stream, std::int64_t step = 0);

struct HeldOutPairs {
  ModelRows rows;                     ///< (P, F), tied values drawn once from their tiles
  Tensor mask, target;                ///< (P, F) float32: known; unknown with a value
  std::vector<std::int64_t> numbers;  ///< (P), for the noise of draws
  std::vector<std::int64_t> row;      ///< (P): which pairs are of one row
  std::int64_t unknown = 0;           ///< entries of `target` that are 1

  std::int64_t count() const { return rows.rows(); }

  /// Pairs from raw rows (V, inputs), each having a value: every row with as many masks as make at least
  /// `fewest` pairs; at most `most` rows, drawn at random. The sizes of S are uniform.
  static HeldOutPairs make(const FeatureSpace& space, ConstTensorView raw, std::uint64_t seed,
                           std::int64_t fewest, std::int64_t most);
  /// At most `most` of the pairs, evenly spaced.
  HeldOutPairs some(std::int64_t most) const;
  ModelQuery query(std::int64_t begin, std::int64_t count) const;
};

/// Adds to sums (n) what `density` (n, F) and `log_p` (n, V) hold for the entries where `target` (n, F) is 1;
/// all in host memory, without gaps.
void sum_log_q(const FeatureLayout& layout, const float* density, const float* log_p, const FeatureRows& rows,
               const float* target, std::span<double> sums);
double sum_in_order(const std::vector<double>& values);
/// Adds to sums (n) the log q of each row's entries where `target` (n, F) is 1, from `conditionals` or
/// `sequential`. float32 on the CPU.
void add_log_q(Context& ctx, const Proposal& proposal, const Conditionals& conditionals,
               const FeatureRows& rows, ConstTensorView target, std::span<double> sums);
/// Mean of -log q(x_t | x_S) over the pairs' unknown entries. `contexts` holds a context of its own for each
/// member of the pool; missing ones are made.
double held_out_loss(const Proposal& proposal, const HeldOutPairs& pairs, TeamPool& pool,
                     std::vector<std::unique_ptr<Context>>& contexts);
/// Mean of the CRPS of q(x_t | x_S) in model space; a categorical feature's values are its categories' there.
double held_out_crps(const Proposal& proposal, const HeldOutPairs& pairs, TeamPool& pool);
/// What the energy adds, whatever model.energy_used() says.
EmshapGate held_out_gate(const EmshapModel& model, const HeldOutPairs& pairs, TeamPool& pool,
                         const EmshapOptions& options);

}  // namespace emshap
