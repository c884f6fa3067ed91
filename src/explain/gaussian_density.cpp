#include "emshap/explain/gaussian_density.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "data/raw_rows.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/gaussian_proposal.h"

namespace emshap {
namespace {

void append(Table& table, ConstTensorView raw) {
  const RawRows values(raw);
  for (std::int64_t r = 0; r < raw.rows(); ++r)
    for (std::int64_t c = 0; c < raw.cols(); ++c) {
      const double value = values(r, c);
      Column& column = table.columns()[static_cast<std::size_t>(c)];
      if (std::isnan(value))
        column.push_missing();
      else
        column.push_f32(static_cast<float>(value));
    }
}

/// With missing values a round of EM takes about F^3 steps a row: then no more rows than it can take in
/// seconds, as in training, evenly spread. All others without.
Tensor rows_for_fit(ConstTensorView raw) {
  constexpr std::int64_t em_work = 20000000, fewest = 2000;
  const RawRows values(raw);
  const std::int64_t most = std::max(fewest, em_work / std::max<std::int64_t>(1, raw.cols() * raw.cols()));
  bool missing = false;
  for (std::int64_t r = 0; r < raw.rows() && !missing; ++r)
    for (std::int64_t c = 0; c < raw.cols(); ++c) missing |= std::isnan(values(r, c));
  const std::int64_t rows = missing ? std::min(raw.rows(), most) : raw.rows();
  Tensor out({rows, raw.cols()});
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < raw.cols(); ++c)
      out.ptr<float>()[r * raw.cols() + c] = static_cast<float>(values(r * raw.rows() / rows, c));
  return out;
}

/// Dequantised rows in model space, missing values NaN.
Tensor model_rows(const FeatureSpace& space, ConstTensorView raw, std::uint64_t seed) {
  const std::int64_t rows = raw.rows(), features = space.features();
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(rows));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  Tensor x({rows, features}, DType::f64), observed({rows, features}, DType::f64),
      code({rows, features}, DType::i32);
  space.to_model_dequantised(raw, {seed, RandomPurpose::dequantise, 2, 0}, numbers, x, observed, code);
  for (std::int64_t i = 0; i < rows * features; ++i)
    if (observed.ptr<double>()[i] == 0) x.ptr<double>()[i] = std::numeric_limits<double>::quiet_NaN();
  return x;
}

}  // namespace

GaussianDensity fit_gaussian_density(const std::vector<std::string>& columns, ConstTensorView train,
                                     ConstTensorView validation, const FeatureSpaceOptions& options,
                                     std::uint64_t seed) {
  const auto width = static_cast<std::int64_t>(columns.size());
  for (const ConstTensorView& rows : {train, validation})
    if (rows.elements() > 0 && rows.cols() != width)
      throw ConfigError(
          fmt::format("the rows to fit a Gaussian to have {} columns, expected {}", rows.cols(), width));
  std::vector<ColumnSpec> schema;
  for (const std::string& name : columns) schema.push_back({name, ColumnType::f32, ColumnRole::feature});
  Table table(schema);
  append(table, train);
  const std::int64_t held_out = validation.elements() == 0 ? 0 : validation.rows();
  if (held_out > 0) append(table, validation);
  // A row of no part that lacks everything: what a density model can do without, its baselines can, too.
  for (Column& column : table.columns()) column.push_missing();
  table.provenance().source = "the training rows";
  std::vector<std::int64_t> train_rows(static_cast<std::size_t>(train.rows())),
      validation_rows(static_cast<std::size_t>(held_out));
  std::iota(train_rows.begin(), train_rows.end(), std::int64_t{0});
  std::iota(validation_rows.begin(), validation_rows.end(), train.rows());
  FeatureSpaceOptions plain = options;
  plain.max_categories = 0;
  GaussianDensity out{FeatureSpace::fit(table, train_rows, validation_rows, plain), nullptr};
  auto proposal = std::make_unique<GaussianProposal>(
      FeatureLayout::numeric(out.space.features()),
      GaussianBase::fit(model_rows(out.space, rows_for_fit(train), seed)), DType::f64);
  out.model = std::make_unique<EmshapModel>(std::move(proposal), nullptr, false);
  return out;
}

}  // namespace emshap
