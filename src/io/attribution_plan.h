#pragma once
// What an attribution graph holds as constants. Coalitions stand in blocks of S, sorted by their number of
// unknown features, so that those of a block take about the same number of steps. A block's n unknown and s
// known features are those of its largest coalition; others have empty positions with feature number F, which
// no table gives a meaning. Q parts of the K draws with a generation order each, draws of a part K_q = K / Q.
#include <cstdint>
#include <vector>

#include "emshap/explain/coalitions.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/explain/players.h"
#include "emshap/models/feature_layout.h"
#include "emshap/models/gaussian_base.h"

namespace emshap::io {

struct AttributionPlan {
  static constexpr std::int64_t block = 32;  ///< S

  /// Numbers of a block in `table`; where its parts of the lists below begin and end.
  enum Entry : std::uint8_t {
    unknown,  ///< n >= 2
    known,    ///< s >= 1
    positions_begin,
    positions_end,
    gains_begin,
    gains_end,
    known_begin,
    known_end,
    regression_begin,
    regression_end,
    entries
  };

  std::int64_t features = 0, inputs = 0;                          ///< F, D
  std::int64_t blocks = 0, parts = 0, draws = 0, replicates = 0;  ///< Q, K, G
  std::vector<std::int64_t> coalition;  ///< (blocks S): number of each; the empty one is left out, 1 (full)
                                        ///< fills the last block up
  std::vector<std::uint8_t> filler;     ///< (blocks S): 1 for what only fills up
  std::vector<std::int64_t> table;      ///< (blocks, entries)
  std::vector<float> mask;              ///< (blocks S, F): 1 = known
  std::vector<float> raw_mask;          ///< (blocks S, D)
  std::vector<float> feature;           ///< per block (n, S, Q): which feature is drawn at each position
  std::vector<float> log_sd;            ///< per block (n, S, Q): its base's log sd given all before
  std::vector<float> gains;          ///< per block (n, S, Q, n): of the position's value on later ones' means
  std::vector<float> known_feature;  ///< per block (S, s)
  std::vector<double> regression;  ///< per block (S, n, s): of the positions of part 0 on the known features
  std::vector<float> uniform;      ///< (Q (F + 1), K_q): uniform numbers; .5 for feature F
  std::vector<float> score;        ///< (Q (F + 1), K_q): their normal scores

  std::int64_t rows() const { return blocks * block; }
  std::int64_t part_draws() const { return draws / parts; }
};

/// `masks` (C, D) f32 of all coalitions; `kept`: raw column of each feature.
AttributionPlan make_attribution_plan(const Coalitions& coalitions, ConstTensorView masks,
                                      const std::vector<std::int64_t>& kept, const GaussianBase& base,
                                      const SharedNoise& noise);

}  // namespace emshap::io
