#include "emshap/io/emshap_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/data/steps.h"
#include "emshap/io/onnx_run.h"
#include "emshap/models/emshap_model.h"
#include "io/emshap_file.h"
#include "io/emshap_graph.h"

namespace emshap::io {

void check_fit(const FeatureSpace& space, const FeatureLayout& layout) {
  if (space.features() != layout.features())
    throw ConfigError(fmt::format("the feature space has {} features, expected {} as the model",
                                  space.features(), layout.features()));
  for (std::int64_t t = 0; t < space.features(); ++t) {
    const FeatureColumn& column = space.columns()[static_cast<std::size_t>(t)];
    const std::int64_t found =
        column.kind == FeatureKind::categorical ? static_cast<std::int64_t>(column.values.size()) : 0;
    const std::int64_t expected = layout.categories[static_cast<std::size_t>(t)];
    if (found != expected)
      throw ConfigError(fmt::format("feature '{}' has {} categories, expected {} as in the model",
                                    column.name, found, expected));
  }
}

namespace {

/// Rows in model space with what is known of them.
struct KnownRows {
  Tensor x, code, known, target;  ///< (B, F); x is 0 where missing; target: unknown and not missing
};

KnownRows known_rows(const FeatureSpace& space, ConstTensorView x, ConstTensorView mask) {
  const std::int64_t rows = x.rows(), inputs = space.inputs(), features = space.features();
  if (x.cols() != inputs || mask.rows() != rows || mask.cols() != inputs)
    throw ShapeError(fmt::format("emshap_outputs: x has shape {} and mask {}, expected ({}, {}) for both",
                                 x.shape().str(), mask.shape().str(), rows, inputs));
  const std::vector<std::int64_t>& kept = dropped_columns(space).kept();
  Tensor raw({rows, inputs});  // missing entries replaced by what the space takes, constant columns by 0
  std::fill_n(raw.ptr<float>(), raw.elements(), 0.f);
  KnownRows result{Tensor({rows, features}), Tensor({rows, features}, DType::i32), Tensor({rows, features}),
                   Tensor({rows, features})};
  Tensor present({rows, features});
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t t = 0; t < features; ++t) {
      const std::int64_t c = kept[static_cast<std::size_t>(t)];
      const float value = x.ptr<float>()[r * x.row_stride() + c];
      const bool there = std::isfinite(value);
      const bool known = there && mask.ptr<float>()[r * mask.row_stride() + c] > .5f;
      raw.ptr<float>()[r * inputs + c] =
          there ? value : static_cast<float>(space.columns()[static_cast<std::size_t>(t)].low);
      present.ptr<float>()[r * features + t] = there ? 1.f : 0.f;
      result.known.ptr<float>()[r * features + t] = known ? 1.f : 0.f;
      result.target.ptr<float>()[r * features + t] = there && !known ? 1.f : 0.f;
    }
  space.to_model(raw, result.x, {}, result.code);
  for (std::int64_t i = 0; i < rows * features; ++i)
    if (present.ptr<float>()[i] == 0) result.x.ptr<float>()[i] = 0;
  return result;
}

/// The mean in raw units: known values of x, constant columns, and the inverse transform of the rest.
Tensor raw_mean(const FeatureSpace& space, ConstTensorView x, const Tensor& known, const Tensor& mean) {
  const std::int64_t rows = x.rows(), inputs = space.inputs(), features = space.features();
  const DropConstant& drop = dropped_columns(space);
  Tensor result({rows, inputs});
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t t = 0;
    std::size_t dropped = 0;
    for (std::int64_t c = 0; c < inputs; ++c) {
      float& out = result.ptr<float>()[r * inputs + c];
      if (t == features || drop.kept()[static_cast<std::size_t>(t)] != c) {
        out = static_cast<float>(drop.dropped_values()[dropped++]);
        continue;
      }
      const std::int64_t i = r * features + t;
      out = known.ptr<float>()[i] > 0 ? space.clipped(c, x.ptr<float>()[r * x.row_stride() + c])
                                      : static_cast<float>(space.to_raw(t, mean.ptr<float>()[i]));
      ++t;
    }
  }
  return result;
}

/// Empty, full, single columns and all but one (of at most 16 columns), and random ones.
std::vector<std::vector<float>> verification_masks(std::int64_t columns) {
  const auto width = static_cast<std::size_t>(columns);
  std::vector<std::vector<float>> masks{std::vector<float>(width, 0.f), std::vector<float>(width, 1.f)};
  const std::size_t step = (width + 15) / 16;
  for (std::size_t c = 0; c < width; c += step)
    for (const float alone : {1.f, 0.f}) {
      masks.emplace_back(width, 1 - alone);
      masks.back()[c] = alone;
    }
  Generator random({17, RandomPurpose::test});
  for (int i = 0; i < 16; ++i) {
    masks.emplace_back(width);
    for (float& value : masks.back()) value = random.uniform() < .5 ? 0.f : 1.f;
  }
  return masks;
}

/// Compares two lists of columns: |a - b| <= limit (|b| + max(sd of the column, least)).
class Comparison {
 public:
  Comparison(std::string file, double limit) : file_(std::move(file)), limit_(limit) {}
  /// `least` of every column, or one a column.
  void compare(const char* what, const Tensor& a, const Tensor& b, const std::vector<double>& least) {
    if (a.shape() != b.shape())
      throw QualityError(
          fmt::format("{}: {} has shape {}, expected {}", file_, what, a.shape().str(), b.shape().str()));
    if (b.empty()) return;
    const std::int64_t rows = b.shape()[0];
    const std::int64_t width = b.elements() / rows;
    for (std::int64_t c = 0; c < width; ++c) {
      double mean = 0, m2 = 0;  // Welford 1962
      for (std::int64_t r = 0; r < rows; ++r) {
        const double value = b.ptr<float>()[r * width + c], delta = value - mean;
        mean += delta / static_cast<double>(r + 1);
        m2 += delta * (value - mean);
      }
      const double unit = least[least.size() == 1 ? 0 : static_cast<std::size_t>(c)];
      const double sd = std::max(unit, std::sqrt(m2 / static_cast<double>(rows)));
      for (std::int64_t r = 0; r < rows; ++r)
        check(what, r, c, a.ptr<float>()[r * width + c], b.ptr<float>()[r * width + c], sd);
    }
  }
  double worst() const { return worst_; }

 private:
  void check(const char* what, std::int64_t r, std::int64_t c, double a, double b, double sd) {
    const double difference = std::abs(a - b), scale = std::abs(b) + sd;
    if (!(difference <= limit_ * scale))
      throw QualityError(
          fmt::format("{}: {} of row {}, column {} is {}, expected {} as the trained model, within "
                      "{} of {}",
                      file_, what, r, c, a, b, limit_, scale));
    if (scale > 0) worst_ = std::max(worst_, difference / scale);
  }
  std::string file_;
  double limit_, worst_ = 0;
};

}  // namespace

EmshapOutputs emshap_outputs(Context& ctx, const FittedEmshap& fitted, ConstTensorView x,
                             ConstTensorView mask) {
  const EmshapModel& model = *fitted.model;
  const KnownRows rows = known_rows(fitted.space, x, mask);
  const ModelQuery query{.rows = {rows.x, rows.code}, .mask = rows.known, .target = {}, .numbers = {}};

  EmshapOutputs out;
  Conditionals conditionals;
  model.proposal().conditionals(ctx, query.rows, query.mask, conditionals);
  out.context = std::move(conditionals.context);
  out.mixture = std::move(conditionals.mixture);
  if (model.proposal().layout().total_categories() > 0) out.categorical = std::move(conditionals.categorical);

  ConditionalMoments moments;
  model.proposal_moments(ctx, query, moments);
  out.conditional_mean = raw_mean(fitted.space, x, rows.known, moments.mean);
  out.proposal_mean = std::move(moments.mean);
  out.proposal_logvar = Tensor(out.proposal_mean.shape());
  for (std::int64_t i = 0; i < out.proposal_mean.elements(); ++i)
    out.proposal_logvar.ptr<float>()[i] = static_cast<float>(
        rows.known.ptr<float>()[i] > 0 ? std::log(1e-6)
                                       : 2 * std::log(static_cast<double>(moments.sd.ptr<float>()[i])));

  ModelQuery given = query;  // the energy scores the unknown values of the row too
  given.target = rows.target;
  const std::vector<double> energies = model.energies(ctx, given);
  out.energy = Tensor({x.rows(), 1});
  std::copy(energies.begin(), energies.end(), out.energy.ptr<float>());
  return out;
}

EmshapPairs emshap_pairs(ConstTensorView x, std::int64_t count) {
  const std::int64_t inputs = x.cols();
  const std::vector<std::vector<float>> masks = verification_masks(inputs);
  const auto patterns = static_cast<std::int64_t>(masks.size());
  const std::int64_t rows = x.rows() == 0 ? 0 : count > 0 ? count : patterns;
  EmshapPairs pairs{Tensor({rows, inputs}), Tensor({rows, inputs})};
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x.ptr<float>() + (r % x.rows()) * x.row_stride();
    std::copy(row, row + inputs, pairs.x.ptr<float>() + r * inputs);
    const std::vector<float>& mask = masks[static_cast<std::size_t>(r % patterns)];
    std::copy(mask.begin(), mask.end(), pairs.mask.ptr<float>() + r * inputs);
  }
  return pairs;
}

double verify_emshap(const OnnxModel& file, const FittedEmshap& fitted, ConstTensorView x, double limit) {
  const FittedEmshap read = load_emshap_onnx(file);
  if (weights_hash(*read.model) != weights_hash(*fitted.model) || read.space.hash() != fitted.space.hash())
    throw QualityError(fmt::format("{}: reads back as another model than the one trained", file.file()));

  const auto [raw, mask] = emshap_pairs(x);
  Context ctx;
  const EmshapOutputs expected = emshap_outputs(ctx, fitted, raw, mask);
  const std::map<std::string, Tensor> found = run_onnx(file, {{"x", raw}, {"mask", mask}});
  Comparison comparison(file.file(), limit);
  // A tenth of a training standard deviation, or of a nat, is never too fine a unit.
  std::vector<double> raw_unit(static_cast<std::size_t>(fitted.space.inputs()), 0.0);
  const std::vector<std::int64_t>& kept = dropped_columns(fitted.space).kept();
  for (std::size_t t = 0; t < kept.size(); ++t)
    raw_unit[static_cast<std::size_t>(kept[t])] = .1 * fitted.space.columns()[t].sd;
  const auto compare = [&](const char* name, const Tensor& b, const std::vector<double>& least = {.1}) {
    comparison.compare(name, found.at(name), b, least);
  };
  compare("energy", expected.energy);
  compare("proposal_mean", expected.proposal_mean);
  compare("proposal_logvar", expected.proposal_logvar);
  compare("context", expected.context);
  compare("mixture", expected.mixture);
  if (!expected.categorical.empty()) compare("categorical", expected.categorical);
  compare("conditional_mean", expected.conditional_mean, raw_unit);
  return comparison.worst();
}

}  // namespace emshap::io
