#include "math/loss.h"

#include "core/mat.h"
#include "cuda/total.cuh"
#include "emshap/ops/loss.h"

#define EMSHAP_BACKEND cuda
#include "ops/loss_backend.h"

namespace emshap::cuda {
namespace {

template <Loss kind, class T>
struct LossTerm {
  Mat<const T> prediction, target;
  Mat<T> dprediction;
  double delta, weight;
  /// Value and gradient from one reading: 12 bytes an element.
  __device__ double operator()(std::int64_t r, std::int64_t c) const {
    const double d = static_cast<double>(prediction.data[r * prediction.stride + c]) -
                     static_cast<double>(target.data[r * target.stride + c]);
    const auto term = kind == Loss::huber ? math::huber_error(d, delta) : math::squared_error(d);
    if (dprediction.data != nullptr)
      dprediction.data[r * dprediction.stride + c] = static_cast<T>(term.slope * weight);
    return term.value;
  }
};

template <class T>
struct StoreMean {
  double weight;
  T* loss;
  __device__ void operator()(double total) const { *loss = static_cast<T>(total * weight); }
};

}  // namespace

template <class T>
void loss_forward(Context& ctx, Loss kind, double delta, Mat<const T> prediction, Mat<const T> target,
                  Mat<T> loss, Mat<T> dprediction) {
  const double elements = static_cast<double>(prediction.rows) * static_cast<double>(prediction.cols);
  const double weight = elements > 0 ? 1 / elements : 0;
  const StoreMean<T> store{weight, loss.data};
  flatten(prediction, target, dprediction);
  const std::int64_t rows = prediction.rows, cols = prediction.cols;
  switch (kind) {
    case Loss::mse:
      return total(ctx, "loss_forward", rows, cols,
                   LossTerm<Loss::mse, T>{prediction, target, dprediction, delta, weight}, store);
    case Loss::huber:
      return total(ctx, "loss_forward", rows, cols,
                   LossTerm<Loss::huber, T>{prediction, target, dprediction, delta, weight}, store);
  }
}

template void loss_forward<float>(Context&, Loss, double, Mat<const float>, Mat<const float>, Mat<float>,
                                  Mat<float>);

}  // namespace emshap::cuda
