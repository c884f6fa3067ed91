#pragma once
// Central differences with Richardson extrapolation: (4 D(h/2) - D(h)) / 3 has error O(h^4).
#include <functional>
#include <span>
#include <string>

namespace emshap::test {

struct GradientCheck {
  double limit = 1e-6;  ///< on |analytic - numeric| / max(|analytic|, |numeric|, rms of the gradient)
  double step = 1e-3;
  /// Tried for elements that miss the limit at `step`: a kink of relu between the two points goes away with a
  /// small step, a wrong formula does not.
  double small_step = 1e-5;
};

/// Checks d objective / d values[i] for every i; `objective` reads `values`, which are restored. Fails the
/// test naming the worst element; returns the largest relative error.
double check_gradient(const std::string& what, std::span<double> values, std::span<const double> analytic,
                      const std::function<double()>& objective, GradientCheck options = {});

}  // namespace emshap::test
