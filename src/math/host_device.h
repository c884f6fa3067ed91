#pragma once
// EMSHAP_HD marks a formula that CPU loops, CUDA kernels and tests share. On the host it is always inlined: a
// function that is compiled at several instruction-set levels must not leave an out-of-line copy, since the
// linker would keep one of them (perhaps the AVX-512 one) for all levels.
#if defined(__CUDACC__)
#define EMSHAP_HD __host__ __device__ __forceinline__
#else
#define EMSHAP_HD inline __attribute__((always_inline))
#endif
/// For lambdas passed to such functions: [&](auto at) EMSHAP_INLINE_LAMBDA { ... }
#define EMSHAP_INLINE_LAMBDA __attribute__((always_inline))
