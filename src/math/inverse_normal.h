#pragma once
// The inverse of the standard normal distribution function.
// Source: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution", Applied
// Statistics 37(3), 477-484: PPND16 for double (relative error about 1e-16), PPND7 for float (about 1e-7).
#include "math/exp_log.h"

namespace emshap::math {

/// z >= 0 with Phi(-z) = p, for 0 < p <= 1/2. Small p lose nothing: float error <= 6 ulp down to the smallest
/// float.
template <class V>
EMSHAP_HD V inverse_normal_tail(V p) {
  using S = scalar_of<V>;
  const V q = V(S(.5)) - p;
  const V r = V(S(.180625)) - q * q;
  const V root = sqrt(-log(p));
  const V middle = root - V(S(1.6));
  const V far = root - V(S(5));
  V centre_z, middle_z, far_z;
  if constexpr (is_single<V>) {
    centre_z = q * horner(r, 3.3871327179f, 50.434271938f, 159.29113202f, 59.109374720f) /
               horner(r, 1.f, 17.895169469f, 78.757757664f, 67.187563600f);
    middle_z = horner(middle, 1.4234372777f, 2.7568153900f, 1.3067284816f, .17023821103f) /
               horner(middle, 1.f, .73700164250f, .12021132975f);
    far_z = horner(far, 6.6579051150f, 3.0812263860f, .42868294337f, .017337203997f) /
            horner(far, 1.f, .24197894225f, .012258202635f);
  } else {
    centre_z = q *
               horner(r, 3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                      1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                      3.3430575583588128105e4, 2.5090809287301226727e3) /
               horner(r, 1., 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                      2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
                      5.2264952788528545610e3);
    middle_z = horner(middle, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                      3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                      2.27238449892691845833e-2, 7.74545014278341407640e-4) /
               horner(middle, 1., 2.05319162663775882187e0, 1.67638483018380384940e0,
                      6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                      5.47593808499534494600e-4, 1.05075007164441684324e-9);
    far_z = horner(far, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                   2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                   2.71155556874348757815e-5, 2.01033439929228813265e-7) /
            horner(far, 1., 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                   7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                   2.04426310338993978564e-15);
  }
  return select(q <= V(S(.425)), centre_z, select(root <= V(S(5)), middle_z, far_z));
}

/// Phi^-1(u) for 0 < u < 1.
template <class V>
EMSHAP_HD V inverse_normal(V u) {
  using S = scalar_of<V>;
  const auto lower = u < V(S(.5));
  const V z = inverse_normal_tail(select(lower, u, V(S(1)) - u));
  return select(lower, -z, z);
}

}  // namespace emshap::math
