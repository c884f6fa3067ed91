#pragma once
// Rows with completions by the proposal: what the energy network is trained on.
#include <memory>
#include <span>
#include <vector>

#include "core/staging.h"
#include "train/held_out_pairs.h"

namespace emshap {

/// B rows with K completions each: 1 + K candidates, the row itself first.
struct Candidates {
  Tensor x;        ///< (B (1 + K), F); missing entries 0
  Tensor log_q;    ///< (B, 1 + K) of what is observed and not known; in the absolute form only
  Tensor mask;     ///< (B, F)
  Tensor context;  ///< (B, H)
  Tensor unknown;  ///< (B): entries to be predicted

  /// Copies to a GPU all but `unknown`.
  void send(Context& ctx, Staging& staging, Candidates& there) const;
};

/// One member's means to complete rows. All in host memory, but for what complete_there makes.
class Completions {
 public:
  Completions(const Proposal& proposal, std::int64_t draws, bool absolute);

  void ensure(Candidates& c, std::int64_t rows) const;
  /// Fills the candidates of the rows given from row `first` on; their masks are there.
  void complete(Context& ctx, const FeatureRows& rows, ConstTensorView observed,
                std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                std::int64_t first);
  /// The same by a set-GRU on a GPU, all rows at once: `there` lies on the GPU, and only the masks and the
  /// numbers of unknown entries in `here`.
  void complete_there(Context& ctx, Staging& staging, const FeatureRows& rows, ConstTensorView observed,
                      std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& here,
                      Candidates& there);

 private:
  void complete_tile(Context& ctx, const FeatureRows& rows, ConstTensorView observed,
                     std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                     std::int64_t first);
  void log_densities(Context& ctx, const FeatureRows& rows, ConstTensorView mask, float* out);
  /// 1 where an entry is observed and not known, and their numbers a row.
  void find_target(ConstTensorView observed, ConstTensorView mask, float* unknown);

  const Proposal& proposal_;
  std::int64_t draws_;
  bool absolute_;
  Tensor noise_, target_;  ///< of a tile
  Tensor shown_;           ///< rows with missing entries 0
  Tensor noise_there_, own_log_q_;
  std::vector<double> log_q_;
  Conditionals conditionals_;
  Draws drawn_;
};

}  // namespace emshap
