#pragma once
// One element of Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), for scalars and packs.
#include "math/scalar.h"

namespace emshap::math {

/// What is the same for all elements of a step; made once, in double.
template <class T>
struct AdamFactors {
  T beta1, one_minus_beta1;
  T beta2, one_minus_beta2;
  T rate;        ///< learning rate / (1 - beta1^step)
  T root_scale;  ///< 1 / sqrt(1 - beta2^step)
  T eps;
  T shrink;  ///< decoupled decay: learning rate * weight decay, else 0
  T l2;      ///< weight decay added to the gradient, else 0
};

template <class T>
EMSHAP_HD AdamFactors<T> convert_factors(const AdamFactors<double>& f) {
  return {static_cast<T>(f.beta1), static_cast<T>(f.one_minus_beta1),
          static_cast<T>(f.beta2), static_cast<T>(f.one_minus_beta2),
          static_cast<T>(f.rate),  static_cast<T>(f.root_scale),
          static_cast<T>(f.eps),   static_cast<T>(f.shrink),
          static_cast<T>(f.l2)};
}

/// Moments that no longer count become zero: a dead unit's would otherwise sink into the denormal numbers and
/// stay there, where arithmetic is slow on many processors.
template <class V>
EMSHAP_HD V flush_tiny(V x) {
  return select(abs(x) < V(scalar_of<V>(1e-37)), V(scalar_of<V>(0)), x);
}

/// `decays` is 1 where weight decay applies and 0 elsewhere.
template <class V>
EMSHAP_HD void adam_element(const AdamFactors<scalar_of<V>>& f, V gradient, V decays, V& w, V& m, V& v) {
  const V g = mul_add(V(f.l2) * decays, w, gradient);
  m = flush_tiny(mul_add(V(f.beta1), m, V(f.one_minus_beta1) * g));
  v = flush_tiny(mul_add(V(f.beta2), v, V(f.one_minus_beta2) * (g * g)));
  const V kept = w - w * (V(f.shrink) * decays);
  w = kept - V(f.rate) * m / mul_add(sqrt(v), V(f.root_scale), V(f.eps));
}

/// The factor that brings a gradient of this norm to at most max_norm: 1 for max_norm <= 0, 0 for a norm that
/// is not finite.
EMSHAP_HD double clip_factor(double norm, double max_norm) {
  const double factor = max_norm > 0 ? min(max_norm / (norm + 1e-6), 1.) : 1.;
  return norm - norm == 0 ? factor : 0.;
}

}  // namespace emshap::math
