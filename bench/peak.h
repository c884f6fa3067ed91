#pragma once
// What this machine can do, measured in the same run as a benchmark: figures are given as shares of it.

namespace emshap::bench {

/// Single-precision multiply-add peak in GFLOP/s of `threads` threads with the widest vectors of this
/// processor: the best of several short runs of independent multiply-add chains in registers.
double fma_peak_gflops(int threads);

/// Copy bandwidth in GB/s (bytes read plus written) of one thread within `bytes` of memory.
double copy_bandwidth(long bytes);

}  // namespace emshap::bench
