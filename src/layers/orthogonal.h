#pragma once
#include <cstdint>
#include <vector>

namespace emshap {

/// Replaces a row-major (K, N) matrix of standard normal numbers by a uniformly distributed (Haar) matrix
/// with orthonormal rows (K <= N) or columns: Q of the QR factorisation with the signs of R's diagonal
/// (Mezzadri 2007).
void orthogonalise(std::vector<double>& w, std::int64_t K, std::int64_t N);

}  // namespace emshap
