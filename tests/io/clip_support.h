#pragma once
// Bounds for tests: what lies beyond them, and the same rows put on them.
#include <algorithm>
#include <limits>
#include <vector>

#include "emshap/core/tensor.h"

namespace emshap::test {

struct Bounds {
  std::vector<double> low, high;

  /// The inner 80 % of each column of the rows (without missing values); every fourth column has none.
  explicit Bounds(const Tensor& rows) {
    constexpr double infinite = std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < rows.cols(); ++c) {
      std::vector<float> values;
      for (std::int64_t r = 0; r < rows.rows(); ++r)
        if (const float v = rows.ptr<float>()[r * rows.cols() + c]; v == v) values.push_back(v);
      std::sort(values.begin(), values.end());
      const bool open = c % 4 == 3;
      low.push_back(open ? -infinite : static_cast<double>(values[values.size() / 10]));
      high.push_back(open ? infinite : static_cast<double>(values[values.size() - 1 - values.size() / 10]));
    }
  }

  /// The rows with values clipped by hand.
  Tensor clipped(const Tensor& rows) const {
    Tensor out({rows.rows(), rows.cols()});
    for (std::int64_t i = 0; i < rows.elements(); ++i) {
      const auto c = static_cast<std::size_t>(i % rows.cols());
      float x = rows.ptr<float>()[i];
      if (x < static_cast<float>(low[c])) x = static_cast<float>(low[c]);
      if (x > static_cast<float>(high[c])) x = static_cast<float>(high[c]);
      out.ptr<float>()[i] = x;
    }
    return out;
  }
};

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.ptr<float>(), a.ptr<float>() + a.elements(), b.ptr<float>(),
                                              [](float x, float y) { return x == y || (x != x && y != y); });
}

}  // namespace emshap::test
