// Attribution files against the library.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/explain/explainer.h"
#include "emshap/io/attribution_onnx.h"
#include "emshap/io/onnx_run.h"
#include "emshap/models/emshap_model.h"

namespace emshap::io {
namespace {

constexpr std::int64_t most_draws = 16, more_coalitions = 64, rows_to_verify = 2;

/// The same with fewer coalitions and draws.
AttributionSettings smaller(const AttributionSettings& settings) {
  AttributionSettings out = settings;
  const std::int64_t M = settings.players.size(), budget = 2 * M + more_coalitions;
  if (settings.coalitions.size() > budget)
    out.coalitions = Coalitions::make(M,
                                      settings.coalitions.strategy == CoalitionStrategy::exact
                                          ? CoalitionStrategy::kernel
                                          : settings.coalitions.strategy,
                                      budget, settings.coalitions.seed);
  const std::int64_t each = settings.draws.draws / settings.draws.replicates;
  if (settings.draws.draws > most_draws)
    out.draws.draws =
        settings.draws.replicates * std::clamp<std::int64_t>(most_draws / settings.draws.replicates, 1, each);
  return out;
}

/// The first rows without a missing or infinite value.
Tensor complete_rows(ConstTensorView x, std::int64_t most) {
  std::vector<float> values;
  for (std::int64_t r = 0; r < x.rows() && static_cast<std::int64_t>(values.size()) < most * x.cols(); ++r) {
    const float* row = x.ptr<float>() + r * x.row_stride();
    if (std::all_of(row, row + x.cols(), [](float v) { return std::isfinite(v); }))
      values.insert(values.end(), row, row + x.cols());
  }
  if (values.empty())
    throw DataError(
        fmt::format("none of the {} rows is complete, expected one to verify the file on", x.rows()));
  return Tensor::from(values, {static_cast<std::int64_t>(values.size()) / x.cols(), x.cols()});
}

}  // namespace

AttributionOutputs attribution_outputs(TeamPool& pool, const AttributionSettings& settings,
                                       ConstTensorView x) {
  const std::unique_ptr<ValueFunction> values =
      drawn_values("emshap", settings.emshap.space, *settings.emshap.model, settings.f, settings.draws);
  Explainer explainer(*values, settings.f, settings.players, settings.background, {}, pool);
  explainer.use_coalitions(settings.coalitions);
  const Tensor raw = settings.emshap.space.clipped(x);
  Attributions found = explainer.explain(pool, {.raw = raw, .numbers = {}});
  AttributionOutputs out;
  out.phi = std::move(found.phi);
  out.standard_error = std::move(found.standard_error);
  out.prediction = Tensor({x.rows(), 1}, DType::f64);
  std::copy(found.prediction.begin(), found.prediction.end(), out.prediction.ptr<double>());
  out.phi0 = explainer.phi0();
  return out;
}

double verify_attribution(TeamPool& pool, const OnnxModel& file, const AttributionSettings& settings,
                          ConstTensorView x, double limit) {
  const AttributionOutputs expected = attribution_outputs(pool, settings, x);
  const std::map<std::string, Tensor> found = run_onnx(file, {{"x", x}});
  const std::int64_t M = settings.players.size();
  double worst = 0;
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    const double* phi = expected.phi.ptr<double>() + r * M;
    const double least = *std::min_element(phi, phi + M), most = *std::max_element(phi, phi + M);
    const double prediction = expected.prediction.ptr<double>()[r];
    // One player, or an f that hardly varies: rounding of the prediction is what remains.
    const double spread =
        std::max({M > 1 ? most - least : std::abs(most), 1e-3 * std::abs(prediction), 1e-30});
    const auto compare = [&](const char* name, std::int64_t j, double b, double scale) {
      const Tensor& outputs = found.at(name);
      const auto a = static_cast<double>(outputs.ptr<float>()[r * outputs.cols() + j]);
      if (std::isnan(a) && std::isnan(b)) return;
      const double share = std::abs(a - b) / scale;
      if (!(share <= limit))
        throw QualityError(
            fmt::format("{}: row {}, {} {} is {}, expected {} as the library gives, within {} of {}",
                        file.file(), r, name, j, a, b, limit, scale));
      worst = std::max(worst, share);
    };
    compare("phi0", 0, expected.phi0, spread);
    compare("prediction", 0, prediction, spread);
    for (std::int64_t j = 0; j < M; ++j) {
      const double error = expected.standard_error.ptr<double>()[r * M + j];
      compare("phi", j, phi[j], spread);
      compare("standard_error", j, error, spread + 10 * (std::isnan(error) ? 0 : error));
    }
  }
  return worst;
}

namespace {

/// A draw at the border of two categories or grid values may fall on either side in float32, and
/// with few draws that shows: one row may fail where two others pass. A file that is wrong fails on all.
double verify_most_rows(TeamPool& pool, const OnnxModel& file, const AttributionSettings& settings,
                        const Tensor& rows) {
  double worst = 0;
  std::int64_t passed = 0, failed = 0;
  for (std::int64_t r = 0; r < rows.rows() && passed < rows_to_verify; ++r) {
    try {
      worst = std::max(worst, verify_attribution(pool, file, settings, rows.view().rows(r, 1)));
      ++passed;
    } catch (const QualityError&) {
      if (++failed > 1 || rows.rows() <= rows_to_verify) throw;
    }
  }
  return worst;
}

}  // namespace

double export_attribution(TeamPool& pool, const std::filesystem::path& path,
                          const AttributionSettings& settings, const AttributionOnnxInfo& info,
                          ConstTensorView x) {
  const std::string bytes = attribution_onnx(pool, settings, info);
  const AttributionSettings tried = smaller(settings);
  const bool same =
      tried.draws.draws == settings.draws.draws && tried.coalitions.size() == settings.coalitions.size();
  const OnnxModel file = OnnxModel::parse(same ? bytes : attribution_onnx(pool, tried, info), path.string());
  const double worst = verify_most_rows(pool, file, tried, complete_rows(x, rows_to_verify + 1));
  if (!same) OnnxModel::parse(bytes, path.string());
  write_file_atomically(path, bytes);
  return worst;
}

}  // namespace emshap::io
