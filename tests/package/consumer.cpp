// Trains a small network through the public headers and catches an error of the library by its type.
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor.h"
#include "emshap/core/version.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"

int main() {
  constexpr std::int64_t rows = 256, features = 4;
  emshap::Context ctx;
  emshap::Tensor x({rows, features}), target({rows, 1}), prediction({rows, 1}), loss({1});
  emshap::Generator random({.seed = 1});
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = x.ptr<float>() + r * features;
    for (std::int64_t c = 0; c < features; ++c) row[c] = static_cast<float>(random.normal());
    target.ptr<float>()[r] = row[0] - 2 * row[1] + .5f * row[2] * row[3];
  }

  emshap::PowerPredictorOptions options;
  options.features = features;
  options.hidden = {32, 16};
  options.dropout = 0;
  emshap::PowerPredictor predictor(options);
  emshap::PowerPredictor::Cache cache;
  emshap::ParameterStore& store = predictor.store();
  double first = 0, last = 0;
  for (int step = 1; step <= 200; ++step) {
    predictor.forward(ctx, x, prediction, cache);
    emshap::ops::loss_forward(ctx, emshap::Loss::mse, 1, prediction, target, loss, prediction);
    last = loss.ptr<float>()[0];
    if (step == 1) first = last;
    store.clear_gradients(ctx);
    predictor.backward(ctx, cache, prediction, {});
    emshap::ops::adam_step(ctx, {.learning_rate = 1e-2}, step, store.flat_gradients(), {}, {},
                           store.flat_values(), store.flat_moment1(), store.flat_moment2());
  }
  std::printf("emshap %s on %s: loss %.3f, after 200 steps %.4f\n", emshap::version(),
              emshap::to_string(ctx.backend()), first, last);
  if (!(last < .05 * first)) return 1;

  try {
    predictor.infer(ctx, x.view().columns(0, 2), prediction);
    std::printf("a wrong shape was accepted\n");
    return 1;
  } catch (const emshap::ShapeError& error) {
    std::printf("as expected: %s\n", error.what());
  }
}
