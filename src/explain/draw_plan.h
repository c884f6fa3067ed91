#pragma once
// How the K draws of a value function fall into replicates and generation orders.
#include <cstdint>
#include <vector>

#include "emshap/explain/drawn_values.h"

namespace emshap {

/// RandomKey::layer of the random orders and of independent noise; shared noise has 0.
inline constexpr std::uint32_t order_layer = 1, independent_layer = 2;

struct DrawPlan {
  /// Draws [first, first + draws), generated in one order.
  struct Part {
    std::int64_t first, draws;
    std::vector<std::int64_t> order;  ///< (F)
  };
  std::int64_t draws = 0, replicates = 1;  ///< K, G; one replicate with independent noise
  std::vector<Part> parts;

  /// Throws ConfigError for options that do not fit together.
  static DrawPlan make(std::int64_t features, const DrawnValueOptions& options, bool energy_used);
};

}  // namespace emshap
