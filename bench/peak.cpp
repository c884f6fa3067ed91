#include "peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace emshap::bench {
namespace {

using Clock = std::chrono::steady_clock;
volatile float sink;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double chains_512(long rounds) {
  __m512 a[12];
  for (auto& x : a) x = _mm512_set1_ps(1e-3f);
  const __m512 b = _mm512_set1_ps(.999f), c = _mm512_set1_ps(1e-5f);
  for (long i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) a[j] = _mm512_fmadd_ps(a[j], b, c);
  for (int j = 1; j < 12; ++j) a[0] = _mm512_add_ps(a[0], a[j]);
  sink = _mm512_cvtss_f32(a[0]);
  return 12. * 32 * static_cast<double>(rounds);
}

__attribute__((target("avx2,fma"))) double chains_256(long rounds) {
  __m256 a[12];
  for (auto& x : a) x = _mm256_set1_ps(1e-3f);
  const __m256 b = _mm256_set1_ps(.999f), c = _mm256_set1_ps(1e-5f);
  for (long i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) a[j] = _mm256_fmadd_ps(a[j], b, c);
  for (int j = 1; j < 12; ++j) a[0] = _mm256_add_ps(a[0], a[j]);
  sink = _mm256_cvtss_f32(a[0]);
  return 12. * 16 * static_cast<double>(rounds);
}
#endif

double chains_scalar(long rounds) {
  float a[8] = {};
  for (long i = 0; i < rounds; ++i)
    for (float& x : a) x = x * .999f + 1e-5f;
  sink = a[0] + a[7];
  return 8. * 2 * static_cast<double>(rounds);
}

double chains(long rounds) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return chains_512(rounds);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return chains_256(rounds);
#endif
  return chains_scalar(rounds);
}

}  // namespace

double fma_peak_gflops(int threads) {
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::vector<std::thread> others;
    const auto start = Clock::now();
    constexpr long rounds = 2'000'000;
    for (int i = 1; i < threads; ++i) others.emplace_back([] { chains(rounds); });
    const double flop = chains(rounds) * threads;
    for (auto& t : others) t.join();
    best = std::max(best, flop / seconds_since(start) * 1e-9);
  }
  return best;
}

double copy_bandwidth(long bytes) {
  std::vector<char> from(static_cast<std::size_t>(bytes / 2), 1), to(static_cast<std::size_t>(bytes / 2));
  double best = 0;
  const long repeats = std::max(1L, (64L << 20) / bytes);
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    for (long i = 0; i < repeats; ++i) {
      std::memcpy(to.data(), from.data(), from.size());
      sink = static_cast<float>(to[static_cast<std::size_t>(i) % to.size()]);
    }
    best = std::max(best, 2. * static_cast<double>(from.size()) * static_cast<double>(repeats) /
                              seconds_since(start) * 1e-9);
  }
  return best;
}

}  // namespace emshap::bench
