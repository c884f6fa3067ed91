#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace emshap {

/// Gives each group, by its number of rows, to one of three parts so that the parts' rows come near
/// `fractions` of all rows. Parts with a fraction above zero get at least one group; there must be as many
/// groups as such parts.
std::vector<std::size_t> assign_groups(const std::vector<std::int64_t>& sizes,
                                       const std::array<double, 3>& fractions, std::uint64_t seed);

}  // namespace emshap
