#pragma once
// Mean and variance of many numbers from those of parts, without cancellation: Chan, Golub & LeVeque 1979,
// "Updating formulae and a pairwise algorithm for computing sample variances".
#include "math/scalar.h"

namespace emshap::math {

/// Of `count` numbers; m2 is the sum of squared deviations from the mean.
struct Moments {
  double count = 0, mean = 0, m2 = 0;
};

EMSHAP_HD Moments merged(const Moments& a, const Moments& b) {
  const double count = a.count + b.count;
  if (b.count == 0) return a;
  const double share = b.count / count, delta = b.mean - a.mean;
  return {count, mul_add(delta, share, a.mean), mul_add(delta * delta, a.count * share, a.m2 + b.m2)};
}

/// Of the first `count` of N values. Deviations are taken from the first value, where T holds them well: a
/// large mean costs no digits.
template <int N, class T>
EMSHAP_HD Moments moments_of(const T (&value)[N], int count) {
  if (count <= 0) return {};
  T sum = T(0);
  for (int i = 1; i < N; ++i)
    if (i < count) sum += value[i] - value[0];
  const T offset = sum / static_cast<T>(count);
  T m2 = T(0);
  for (int i = 0; i < N; ++i)
    if (i < count) {
      const T d = (value[i] - value[0]) - offset;
      m2 = mul_add(d, d, m2);
    }
  return {static_cast<double>(count), static_cast<double>(value[0]) + static_cast<double>(offset),
          static_cast<double>(m2)};
}

}  // namespace emshap::math
