#pragma once
// The predictors of bench/accuracy as C++ functions of 8 columns.
#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/models/predictor.h"

namespace emshap::bench {

inline Tensor as_f32(const Tensor& x) {
  if (x.dtype() == DType::f32) return x.clone();
  Tensor out(x.shape());
  for (std::int64_t i = 0; i < x.elements(); ++i)
    out.ptr<float>()[i] = static_cast<float>(x.ptr<double>()[i]);
  return out;
}

inline double f1(const float* x) {
  double z[8];
  for (int j = 0; j < 8; ++j) z[j] = 3 * std::tanh(static_cast<double>(x[j]) / 3);
  return z[0] * z[1] + std::abs(z[2]) + std::sin(z[3] * z[4]) + .5 * std::cos(2 * z[5]) * z[6] + .5 * z[7] +
         .7 * z[0] * z[7];
}

/// tanh(tanh(x W1 + b1) W2 + b2) w3, weights as W1.npy, b1.npy, W2.npy, b2.npy, w3.npy of float64 in a
/// folder.
class F2 {
 public:
  explicit F2(const std::filesystem::path& folder) {
    for (const char* name : {"W1", "b1", "W2", "b2", "w3"}) {
      const Tensor t = read_npy(folder / (std::string(name) + ".npy"));
      weights_.emplace_back(t.ptr<double>(), t.ptr<double>() + t.elements());
    }
  }
  double operator()(const float* x) const {
    const std::vector<double> h = layer(std::vector<double>(x, x + 8), weights_[0], weights_[1]);
    const std::vector<double> g = layer(h, weights_[2], weights_[3]);
    double y = 0;
    for (std::size_t i = 0; i < g.size(); ++i) y += g[i] * weights_[4][i];
    return y;
  }

 private:
  static std::vector<double> layer(const std::vector<double>& x, const std::vector<double>& w,
                                   const std::vector<double>& b) {
    std::vector<double> y = b;
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < y.size(); ++j) y[j] += x[i] * w[i * y.size() + j];
    for (double& v : y) v = std::tanh(v);
    return y;
  }
  std::vector<std::vector<double>> weights_;
};

template <class F>
CallablePredictor predictor_of(F f) {
  return CallablePredictor(
      8,
      [f = std::move(f)](ConstTensorView raw, TensorView y) {
        for (std::int64_t r = 0; r < raw.rows(); ++r)
          y.ptr<float>()[r * y.row_stride()] = static_cast<float>(f(raw.ptr<float>() + r * raw.row_stride()));
      },
      CallablePredictor::Calls::concurrent);
}

/// "f1" or "f2".
inline CallablePredictor accuracy_function(const std::string& name, const std::filesystem::path& f2_folder) {
  if (name == "f1") return predictor_of(f1);
  if (name == "f2") return predictor_of(F2(f2_folder));
  throw ConfigError("there is no function '" + name + "', expected f1 or f2");
}

}  // namespace emshap::bench
