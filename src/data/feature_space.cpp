// Values of a fitted feature space: there and back.
#include "emshap/data/feature_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/feature_map.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/step_clip.h"

namespace emshap {

FeatureTransform parse_feature_transform(const std::string& name) {
  for (const auto t :
       {FeatureTransform::standardise, FeatureTransform::quantile, FeatureTransform::automatic})
    if (name == to_string(t)) return t;
  throw ConfigError(fmt::format("transform '{}' is not known, expected standardise, quantile or auto", name));
}

const char* to_string(FeatureTransform transform) {
  switch (transform) {
    case FeatureTransform::standardise:
      return "standardise";
    case FeatureTransform::quantile:
      return "quantile";
    case FeatureTransform::automatic:
      return "auto";
  }
  return "?";
}

const char* to_string(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::continuous:
      return "continuous";
    case FeatureKind::tied:
      return "tied";
    case FeatureKind::categorical:
      return "categorical";
  }
  return "?";
}

std::size_t nearest_value(const FeatureColumn& column, double raw) {
  const std::vector<double>& v = column.values;
  const auto above = static_cast<std::size_t>(std::lower_bound(v.begin(), v.end(), raw) - v.begin());
  if (above == 0) return 0;
  if (above == v.size()) return above - 1;
  return raw - v[above - 1] <= v[above] - raw ? above - 1 : above;
}

RawTile raw_tile(const FeatureColumn& column, double raw) {
  const std::vector<double>& v = column.values;
  // Tables hold float32: the double of the same decimal number is the same value.
  if (const double rounded = static_cast<double>(static_cast<float>(raw)); std::isfinite(rounded))
    raw = rounded;
  const auto at = static_cast<std::size_t>(std::lower_bound(v.begin(), v.end(), raw) - v.begin());
  if (at < v.size() && v[at] == raw) return {column.left[at], column.right[at]};
  double left = column.delta / 2, right = left;
  if (at > 0) left = std::min(left, (raw - v[at - 1]) / 2);
  if (at < v.size()) right = std::min(right, (v[at] - raw) / 2);
  return {raw - left, raw + right};
}

std::size_t nearest_tile(const FeatureColumn& column, double raw) {
  const std::vector<double>& right = column.right;
  const auto at = static_cast<std::size_t>(std::lower_bound(right.begin(), right.end(), raw) - right.begin());
  if (at == right.size()) return at - 1;
  if (at == 0 || raw >= column.left[at]) return at;
  return raw - right[at - 1] <= column.left[at] - raw ? at - 1 : at;
}

namespace {

void check(const char* what, const ConstTensorView& view, std::int64_t rows, std::int64_t cols,
           bool integers = false) {
  if (view.rows() != rows || view.cols() != cols)
    throw ShapeError(fmt::format("feature space: {} has shape {}, expected ({}, {})", what,
                                 view.shape().str(), rows, cols));
  if (view.device().kind != DeviceKind::cpu)
    throw DeviceError(
        fmt::format("feature space: {} is on {}, expected cpu", what, to_string(view.device())));
  if ((view.dtype() == DType::i32) != integers)
    throw DTypeError(fmt::format("feature space: {} holds {}, expected {}", what, to_string(view.dtype()),
                                 integers ? "i32" : "f32 or f64"));
}

// Left out: no memory and no rows to write.
bool given(const TensorView& view) {
  return view.data() != nullptr;
}

struct Reader {
  explicit Reader(const ConstTensorView& view)
      : stride(view.row_stride()),
        f(view.dtype() == DType::f32 ? view.ptr<float>() : nullptr),
        d(view.dtype() == DType::f64 ? view.ptr<double>() : nullptr) {}
  double operator()(std::int64_t r, std::int64_t c) const {
    return f != nullptr ? static_cast<double>(f[r * stride + c]) : d[r * stride + c];
  }
  std::int64_t stride;
  const float* f;
  const double* d;
};

struct Writer {
  explicit Writer(const TensorView& view)
      : stride(view.row_stride()),
        f(given(view) && view.dtype() == DType::f32 ? view.ptr<float>() : nullptr),
        d(given(view) && view.dtype() == DType::f64 ? view.ptr<double>() : nullptr) {}
  void operator()(std::int64_t r, std::int64_t c, double value) const {
    if (f != nullptr) f[r * stride + c] = static_cast<float>(value);
    if (d != nullptr) d[r * stride + c] = value;
  }
  std::int64_t stride;
  float* f;
  double* d;
};

[[noreturn]] void bad_value(const FeatureColumn& column, std::int64_t row, double raw) {
  if (std::isnan(raw))
    throw DataError(fmt::format(
        "row {}, feature '{}': the value is missing, expected a number since the training data never lack it",
        row, column.name));
  throw DataError(fmt::format("row {}, feature '{}': the value is {}, expected a finite number{}", row,
                              column.name, raw,
                              std::isfinite(raw) ? " not far beyond the training range" : ""));
}

// `uniform(r)` gives the RowUniforms of row r, or nothing is drawn.
template <bool draw, class Rows>
void convert(const Pipeline& pipeline, const std::vector<FeatureColumn>& columns, const ConstTensorView& raw,
             const Rows& rows, const TensorView& x, const TensorView& observed, const TensorView& code) {
  const FeatureMap map(pipeline);
  const Reader in(raw);
  const Writer out(x), seen(observed);
  std::int32_t* codes = given(code) ? code.ptr<std::int32_t>() : nullptr;
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    auto uniforms = rows(r);
    for (std::size_t t = 0; t < columns.size(); ++t) {
      const FeatureColumn& column = columns[t];
      const auto f = static_cast<std::int64_t>(t);
      double value = in(r, map.kept()[t]);
      if (!std::isfinite(value) && !(std::isnan(value) && column.may_be_missing)) bad_value(column, r, value);
      value = map.clipped(t, value);
      const bool present = !std::isnan(value);
      seen(r, f, present ? 1 : 0);
      std::int32_t category = -1;
      double image = 0;
      if (present) {
        const double given_value = value;
        if (column.kind == FeatureKind::categorical)
          category = static_cast<std::int32_t>(nearest_value(column, value));
        if constexpr (draw)
          if (column.kind == FeatureKind::tied) value = dequantised(column, value, uniforms.at(t));
        image = map.forward(t, value);
        if (!(std::abs(image) <= static_cast<double>(std::numeric_limits<float>::max())))
          bad_value(column, r, given_value);
      }
      out(r, f, image);
      if (codes != nullptr) codes[r * code.row_stride() + f] = category;
    }
  }
}

}  // namespace

void FeatureSpace::to_model(ConstTensorView raw, TensorView x, TensorView observed, TensorView code) const {
  check("raw", raw, raw.rows(), inputs());
  check("x", x, raw.rows(), features());
  if (given(observed)) check("observed", observed, raw.rows(), features());
  if (given(code)) check("code", code, raw.rows(), features(), true);
  if (raw.rows() == 0) return;
  convert<false>(
      pipeline_, columns_, raw, [](std::int64_t) { return 0; }, x, observed, code);
}

void FeatureSpace::to_model_dequantised(ConstTensorView raw, const RandomKey& key,
                                        std::span<const std::int64_t> row_numbers, TensorView x,
                                        TensorView observed, TensorView code) const {
  check("raw", raw, raw.rows(), inputs());
  check("x", x, raw.rows(), features());
  if (given(observed)) check("observed", observed, raw.rows(), features());
  if (given(code)) check("code", code, raw.rows(), features(), true);
  if (static_cast<std::int64_t>(row_numbers.size()) != raw.rows())
    throw ShapeError(fmt::format("feature space: there are {} row numbers, expected {} as rows",
                                 row_numbers.size(), raw.rows()));
  if (raw.rows() == 0) return;
  const math::PhiloxStream stream(key);
  convert<true>(
      pipeline_, columns_, raw,
      [&](std::int64_t r) { return RowUniforms(stream, row_numbers[static_cast<std::size_t>(r)]); }, x,
      observed, code);
}

double FeatureSpace::to_model(std::int64_t t, double raw) const {
  const FeatureMap map(pipeline_);
  const auto i = static_cast<std::size_t>(t);
  return map.forward(i, map.clipped(i, raw));
}

Tile FeatureSpace::tile(std::int64_t t, double raw) const {
  const auto i = static_cast<std::size_t>(t);
  const FeatureColumn& column = columns_[i];
  const FeatureMap map(pipeline_);
  raw = map.clipped(i, raw);
  if (column.kind == FeatureKind::continuous) {
    const double at = map.forward(i, raw);
    return {at, at, -std::log(map.slope(i, raw) * column.sd)};
  }
  const RawTile tile = raw_tile(column, raw);
  return {map.forward(i, tile.left), map.forward(i, tile.right),
          std::log((tile.right - tile.left) / column.sd)};
}

double FeatureSpace::to_raw(std::int64_t t, double model) const {
  return FeatureMap(pipeline_).backward(static_cast<std::size_t>(t), model);
}

std::int64_t FeatureSpace::to_raw(ConstTensorView x, TensorView raw) const {
  check("x", x, x.rows(), features());
  check("raw", raw, x.rows(), inputs());
  if (x.rows() == 0) return 0;
  const FeatureMap map(pipeline_);
  const Reader in(x);
  const Writer out(raw);
  const std::vector<double>& constants = map.drop().dropped_values();
  std::int64_t clamped = 0;
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    std::size_t t = 0, dropped = 0;
    for (std::int64_t c = 0; c < inputs(); ++c) {
      if (t == columns_.size() || map.kept()[t] != c) {
        out(r, c, constants[dropped++]);
        continue;
      }
      const FeatureColumn& column = columns_[t];
      const double margin = options_.range_margin * (column.high - column.low);
      const double drawn = map.backward(t, in(r, static_cast<std::int64_t>(t)));
      if (std::isnan(drawn))
        throw NumericalError(
            fmt::format("row {}, feature '{}': the draw is not a number, expected one", r, column.name));
      double value = std::clamp(drawn, column.low - margin, column.high + margin);
      if (value != drawn) ++clamped;
      if (column.kind == FeatureKind::tied) value = column.values[nearest_tile(column, value)];
      if (column.kind == FeatureKind::categorical) value = column.values[nearest_value(column, value)];
      out(r, c, value);
      ++t;
    }
  }
  return clamped;
}

void FeatureSpace::clip_inputs(std::span<const double> low, std::span<const double> high) {
  pipeline_.clip_inputs(low, high);
}

float FeatureSpace::clipped(std::int64_t input, float raw) const {
  const Clip* clip = pipeline_.find<Clip>();
  if (clip == nullptr) return raw;
  return static_cast<float>(clip->apply(static_cast<std::size_t>(input), static_cast<double>(raw)));
}

Tensor FeatureSpace::clipped(ConstTensorView raw) const {
  check("raw", raw, raw.rows(), inputs());
  if (raw.dtype() != DType::f32)
    throw DTypeError(fmt::format("feature space: raw holds {}, expected f32", to_string(raw.dtype())));
  Tensor out({raw.rows(), inputs()});
  for (std::int64_t r = 0; r < raw.rows(); ++r)
    for (std::int64_t c = 0; c < inputs(); ++c)
      out.ptr<float>()[r * inputs() + c] = clipped(c, raw.ptr<float>()[r * raw.row_stride() + c]);
  return out;
}

GraphValue FeatureSpace::clip_onnx(GraphWriter& graph, const GraphValue& raw) const {
  const Clip* clip = pipeline_.find<Clip>();
  if (clip == nullptr) return raw;
  const GraphWriter::Scope scope(graph, "clip_raw");
  return graph.cast(clip->to_onnx(graph, graph.cast(raw, GraphType::f64)), GraphType::f32);
}

GraphValue FeatureSpace::to_onnx(GraphWriter& graph, const GraphValue& raw) const {
  return graph.cast(pipeline_.to_onnx(graph, graph.cast(raw, GraphType::f64)), GraphType::f32);
}

}  // namespace emshap
