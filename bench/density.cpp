// What bench/accuracy/density.py needs of a trained model, as arrays:
//   bench_density RUN test.npy test_mask.npy explicands.npy coalitions.npy DRAWS ll.npy draws.npy weights.npy
// ll (rows of test): log p(x_U | x_S) in raw units, with the energy where the run uses it. draws (explicands
// * coalitions * DRAWS, inputs): completions in raw units, coalition after coalition of each explicand;
// weights beside them (explicands * coalitions, DRAWS).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/fitted_emshap.h"

using namespace emshap;

namespace {

Tensor log_likelihoods(const FittedEmshap& fitted, TeamPool& pool, const Tensor& raw, const Tensor& mask) {
  const ModelRows rows = ModelRows::exact(fitted.space, raw);
  const DensityScores scores = fitted.model->log_density(
      pool, {.rows = rows.view(0, rows.rows()), .mask = mask, .target = {}, .numbers = {}}, {.draws = 1000},
      fitted.energy_used);
  Tensor result({rows.rows()}, DType::f64);
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    double ll = scores.log_density[static_cast<std::size_t>(r)];
    for (std::int64_t t = 0; t < fitted.space.features(); ++t) {
      if (mask.ptr<float>()[r * mask.cols() + t] > .5f) continue;
      const FeatureColumn& column = fitted.space.columns()[static_cast<std::size_t>(t)];
      if (column.kind != FeatureKind::continuous)
        throw ConfigError("column " + column.name + " is not continuous, and this program scores densities");
      ll -= fitted.space.tile(t, raw.ptr<double>()[r * raw.cols() + t]).log_width + std::log(column.sd);
    }
    result.ptr<double>()[r] = ll;
  }
  return result;
}

void complete(const FittedEmshap& fitted, TeamPool& pool, const Tensor& raw, const Tensor& coalitions,
              std::int64_t draws, const char* draws_path, const char* weights_path) {
  const ModelRows rows = ModelRows::exact(fitted.space, raw);
  const std::int64_t C = coalitions.rows(), F = fitted.space.features();
  Tensor all({rows.rows() * C * draws, raw.cols()}), weights({rows.rows() * C, draws});
  pool.run(rows.rows(), [&](Context& ctx, const ShardPlan& plan) {
    Context alone(ctx.backend());
    Tensor x({C, F});
    WeightedDraws out;
    for (std::int64_t r = plan.row_begin; r < plan.row_begin + plan.local_rows; ++r) {
      std::vector<std::int64_t> numbers(static_cast<std::size_t>(C));
      for (std::int64_t c = 0; c < C; ++c) {
        numbers[static_cast<std::size_t>(c)] = r * C + c;
        for (std::int64_t t = 0; t < F; ++t) x.ptr<float>()[c * F + t] = rows.x.ptr<float>()[r * F + t];
      }
      fitted.model->draw(alone, {.rows = {x, {}}, .mask = coalitions, .target = {}, .numbers = numbers},
                         SamplingOptions{.draws = draws}, out);
      fitted.space.to_raw(out.draws.x, all.view().rows(r * C * draws, C * draws));
      const TensorView mine = weights.view().rows(r * C, C);
      for (std::int64_t i = 0; i < C * draws; ++i) mine.ptr<float>()[i] = out.weights.ptr<float>()[i];
    }
  });
  write_npy(draws_path, all);
  write_npy(weights_path, weights);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10) {
    std::fprintf(stderr,
                 "usage: bench_density RUN test.npy test_mask.npy explicands.npy coalitions.npy DRAWS ll.npy "
                 "draws.npy "
                 "weights.npy\n");
    return 2;
  }
  try {
    const FittedEmshap fitted = load_emshap(RunDirectory::open(argv[1]));
    TeamPool pool(0);
    write_npy(argv[7], log_likelihoods(fitted, pool, read_npy(argv[2]), read_npy(argv[3])));
    complete(fitted, pool, read_npy(argv[4]), read_npy(argv[5]), std::atoll(argv[6]), argv[8], argv[9]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_density: %s\n", e.what());
    return 1;
  }
  return 0;
}
