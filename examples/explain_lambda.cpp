// Trains a density model on a matrix and explains a function of its rows: conditional Shapley values in one
// file. Build it with find_package(emshap) and emshap::core, or as the target example_explain_lambda.
#include <cmath>
#include <cstdio>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/explain/explainer.h"
#include "emshap/train/emshap.h"

int main() try {
  // The data: temperature follows the load, the fan follows the temperature.
  const std::vector<std::string> columns{"load", "temperature", "fan"};
  emshap::Tensor rows({1000, 3});
  emshap::Generator random({.seed = 1});
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    float* x = rows.ptr<float>() + 3 * r;
    x[0] = static_cast<float>(50 + 10 * random.normal());
    x[1] = static_cast<float>(30 + .5 * x[0] + 2 * random.normal());
    x[2] = static_cast<float>(1000 + 4 * std::fmax(0, x[1] - 50) * x[1] + 50 * random.normal());
  }

  // The distribution of any columns given any others. These few steps take seconds; leave max_steps alone for
  // real data.
  emshap::EmshapOptions options;
  options.training.max_steps = 300;
  options.energy_training.max_steps = 50;
  emshap::TeamPool pool(0);  // all processors
  const emshap::FittedEmshap density = emshap::fit_emshap(columns, rows, options, pool);

  // The model to explain: any function of a batch of rows. It does not use the fan at all.
  const emshap::CallablePredictor f(3, [](emshap::ConstTensorView x, emshap::TensorView y) {
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      const float* row = x.ptr<float>() + r * x.row_stride();
      y.ptr<float>()[r] = 100 + 3 * row[0] + row[1];
    }
  });

  // v(S, x) = E[f(X) | X_S = x_S] from draws of the density model, and Shapley values from it.
  const auto values = emshap::drawn_values("emshap", density.space, *density.model, f, {.draws = 128});
  emshap::Explainer explainer(*values, f, emshap::Players::single(columns), rows, {}, pool);
  const emshap::ConstTensorView some = rows.view().rows(0, 3);
  explainer.choose_coalitions(pool, some);
  const emshap::Attributions result = explainer.explain(pool, {some, {}});

  std::printf("mean prediction %.2f\n", explainer.phi0());
  for (std::int64_t r = 0; r < result.rows(); ++r) {
    double sum = explainer.phi0();
    std::printf("row %d: prediction %.2f =", static_cast<int>(r),
                result.prediction[static_cast<std::size_t>(r)]);
    for (std::int64_t j = 0; j < 3; ++j) {
      const double phi = result.phi.ptr<double>()[3 * r + j],
                   se = result.standard_error.ptr<double>()[3 * r + j];
      std::printf(" %+.2f (+-%.2f) %s", phi, se, columns[static_cast<std::size_t>(j)].c_str());
      sum += phi;
    }
    std::printf(" + mean\n");
    if (std::fabs(sum - result.prediction[static_cast<std::size_t>(r)]) > 1e-9) return 1;
  }
} catch (const emshap::Error& error) {
  std::fprintf(stderr, "explain_lambda: %s\n", error.what());
  return emshap::exit_code(error.kind());
}
