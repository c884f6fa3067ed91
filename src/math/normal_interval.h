#pragma once
// Probabilities of intervals under the standard normal distribution, on a log scale, in double.
#include <cmath>

#include "math/host_device.h"

namespace emshap::math {

/// log P(X > a) for a >= 0, inf included; relative error about 1e-15.
EMSHAP_HD double log_normal_tail(double a) {
  if (a < 30) return ::log(.5 * ::erfc(a * .70710678118654752440));
  if (!(a < 1e150)) return a != a ? a : -__builtin_inf();
  // The asymptotic series 1 - 1/a^2 + 3/a^4 - 15/a^6 ... (Abramowitz & Stegun 1964, 26.2.12); its fifth term
  // is below 2e-12 at a = 30, relative to a logarithm of -454.
  const double b = 1 / (a * a);
  const double series = b * (-1 + b * (3 + b * (-15 + b * (105 - b * 945))));
  return -.5 * a * a - ::log(a) - .91893853320467274178 + ::log1p(series);
}

/// log(Phi(right) - Phi(left)), -inf unless left < right; either may be infinite.
EMSHAP_HD double log_normal_interval(double left, double right) {
  if (!(left < right)) return left != left || right != right ? left + right : -__builtin_inf();
  if (left + right < 0) {  // the mirrored interval, nearer to the upper tail, where tails lose nothing
    const double mirrored = -right;
    right = -left;
    left = mirrored;
  }
  const double width = right - left;
  const double middle = left + .5 * width;
  const double outer = middle < 0 ? -middle : middle;
  if (width * (1 + outer) < 1e-2) {
    // Density at the middle times the width; the integral of phi over the interval to order width^6:
    // phi(m) w (1 + (m^2 - 1) w^2 / 24 + (m^4 - 6 m^2 + 3) w^4 / 1920).
    const double m2 = middle * middle, w2 = width * width;
    const double more = w2 * ((m2 - 1) / 24 + w2 * (m2 * m2 - 6 * m2 + 3) / 1920);
    return -.5 * m2 - .91893853320467274178 + ::log(width) + ::log1p(more);
  }
  if (left > 0) {
    const double upper = log_normal_tail(left);
    return upper + ::log1p(-::exp(log_normal_tail(right) - upper));
  }
  return ::log1p(-.5 * (::erfc(-left * .70710678118654752440) + ::erfc(right * .70710678118654752440)));
}

}  // namespace emshap::math
