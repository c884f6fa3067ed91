// Operators of ai.onnx.ml: scaling, linear models, class scores. Where the standard leaves results open they
// are ONNX Runtime's, which is what exporters test against.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "emshap/core/error.h"
#include "emshap/ops/linear.h"
#include "io/foreign_node.h"
#include "io/foreign_trees.h"

namespace emshap::io::foreign {
namespace {

constexpr auto f32 = Element::f32;
constexpr auto f64 = Element::f64;
constexpr auto i64 = Element::i64;

/// f(x, output) on (N, columns) rows of input 0, whatever its type; the result is f32.
template <class F>
void on_rows(Node& node, int i, std::int64_t results, const F& f) {
  node.expect(0, {f32, f64, i64});
  const Value x = node.in(0);
  const std::int64_t columns = node.columns(0);
  const int y = node.out(i, f32, {rows_extent, results});
  const int from = x.storage, to = node.storage(y);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const T* source = frame.get<T>(from);
      float* target = frame.get<float>(to);
      for (std::int64_t r = 0; r < frame.rows; ++r, source += columns, target += results) f(source, target);
    });
  };
  if (x.element == f32) emit(float());
  if (x.element == f64) emit(double());
  if (x.element == i64) emit(std::int64_t());
  node.cannot_write({y});
}

/// A list with one entry per column, or one for all.
std::vector<float> per_column(const Node& node, const char* name, std::int64_t columns, float otherwise) {
  std::vector<float> values = node.reals(name);
  if (values.empty()) values = {otherwise};
  if (values.size() == 1) values.assign(n(columns), values[0]);
  if (static_cast<std::int64_t>(values.size()) != columns)
    node.fail(fmt::format("its attribute '{}' has {} entries, expected {} for as many columns", name,
                          values.size(), columns));
  return values;
}

void scaler(Node& node) {
  const std::int64_t columns = node.columns(0);
  const std::vector<float> offset = per_column(node, "offset", columns, 0);
  const std::vector<float> scale = per_column(node, "scale", columns, 1);
  on_rows(node, 0, columns, [=](const auto* x, float* y) {
    using T = std::conditional_t<std::is_same_v<decltype(x), const double*>, double, float>;
    for (std::size_t j = 0; j < offset.size(); ++j)
      y[j] =
          static_cast<float>((static_cast<T>(x[j]) - static_cast<T>(offset[j])) * static_cast<T>(scale[j]));
  });
}

void normalizer(Node& node) {
  const std::int64_t columns = node.columns(0);
  const std::string norm = node.text("norm", "MAX");
  if (norm != "MAX" && norm != "L1" && norm != "L2")
    node.fail(fmt::format("its norm is '{}', expected MAX, L1 or L2", norm));
  on_rows(node, 0, columns, [=](const auto* x, float* y) {
    float size = norm == "MAX" ? std::numeric_limits<float>::lowest() : 0;
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto v = static_cast<float>(x[j]);
      size = norm == "MAX" ? std::max(size, v) : norm == "L1" ? size + std::abs(v) : size + v * v;
    }
    if (norm == "L2") size = std::sqrt(size);
    for (std::int64_t j = 0; j < columns; ++j)
      y[j] = size != 0 ? static_cast<float>(x[j]) / size : static_cast<float>(x[j]);
  });
}

/// Missing values do not come here, but values that stand for missing ones may.
void imputer(Node& node) {
  node.expect(0, {f32});
  const std::int64_t columns = node.columns(0);
  const std::vector<float> instead = per_column(node, "imputed_value_floats", columns, 0);
  const float missing = node.real("replaced_value_float", 0);
  on_rows(node, 0, columns, [=](const auto* x, float* y) {
    for (std::size_t j = 0; j < instead.size(); ++j) {
      const auto v = static_cast<float>(x[j]);
      y[j] = v == missing || (std::isnan(v) && std::isnan(missing)) ? instead[j] : v;
    }
  });
}

void binarizer(Node& node) {
  const std::int64_t columns = node.columns(0);
  const float threshold = node.real("threshold", 0);
  on_rows(node, 0, columns, [=](const auto* x, float* y) {
    for (std::int64_t j = 0; j < columns; ++j) y[j] = static_cast<float>(x[j]) > threshold ? 1 : 0;
  });
}

/// Columns of several inputs side by side, as f32.
void feature_vectorizer(Node& node) {
  if (node.inputs() < 1) node.fail("has no inputs");
  struct Part {
    int storage;
    std::int64_t columns;
    Element element;
  };
  std::vector<Part> parts;
  std::vector<int> reads;
  std::int64_t total = 0;
  for (int i = 0; i < node.inputs(); ++i) {
    node.expect(i, {f32, f64, i64});
    parts.push_back({node.in(i).storage, node.columns(i), node.in(i).element});
    reads.push_back(node.id(i));
    total += parts.back().columns;
  }
  const int y = node.out(0, f32, {rows_extent, total});
  const int to = node.storage(y);
  node.emit(reads, {y}, [=](const Frame& frame) {
    float* target = frame.get<float>(to);
    for (std::int64_t r = 0; r < frame.rows; ++r)
      for (const Part& part : parts)
        for (std::int64_t j = 0; j < part.columns; ++j) {
          const std::int64_t k = r * part.columns + j;
          *target++ = part.element == f32   ? frame.get<float>(part.storage)[k]
                      : part.element == f64 ? static_cast<float>(frame.get<double>(part.storage)[k])
                                            : static_cast<float>(frame.get<std::int64_t>(part.storage)[k]);
        }
  });
  node.cannot_write({y});
}

/// x w + bias with weights stored (results, columns); x of any type becomes f32 first, as in ONNX Runtime.
int linear_scores(Node& node, std::int64_t results) {
  const std::int64_t columns = node.columns(0);
  node.expect(0, {f32, f64, i64});
  const std::vector<float> coefficients = node.reals("coefficients");
  std::vector<float> intercepts = node.reals("intercepts");
  if (intercepts.empty()) intercepts.assign(n(results), 0);
  if (results < 1 || results > 1 << 20 || columns < 1 ||
      static_cast<std::int64_t>(coefficients.size()) != results * columns ||
      static_cast<std::int64_t>(intercepts.size()) != results)
    node.fail(fmt::format("has {} coefficients and {} intercepts, expected {} x {} and {}",
                          coefficients.size(), intercepts.size(), results, columns, results));
  std::vector<float> weights(coefficients.size());
  for (std::int64_t i = 0; i < results; ++i)
    for (std::int64_t j = 0; j < columns; ++j) weights[n(j * results + i)] = coefficients[n(i * columns + j)];
  const int y = node.temporary(f32, {rows_extent, results});
  const Value x = node.in(0);
  const int to = node.storage(y);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const Workspace::Scope scope(frame.ctx.workspace());
      const float* source = nullptr;
      if constexpr (std::is_same_v<T, float>) {
        source = frame.get<float>(x.storage);
      } else {
        float* narrow = frame.ctx.workspace().take<float>(frame.rows * columns);
        for (std::int64_t k = 0; k < frame.rows * columns; ++k)
          narrow[k] = static_cast<float>(frame.get<T>(x.storage)[k]);
        source = narrow;
      }
      ops::linear_forward(frame.ctx, {source, Shape{frame.rows, columns}, DType::f32},
                          {weights.data(), Shape{columns, results}, DType::f32},
                          {intercepts.data(), Shape{results}, DType::f32}, Activation::identity,
                          {frame.get<float>(to), Shape{frame.rows, results}, DType::f32});
    });
  };
  if (x.element == f32) emit(float());
  if (x.element == f64) emit(double());
  if (x.element == i64) emit(std::int64_t());
  return y;
}

void linear_regressor(Node& node) {
  const std::int64_t results = node.integer("targets", 1);
  const PostTransform transform = post_transform_of(node.text("post_transform", "NONE"));
  const int scores = linear_scores(node, results);
  const int y = node.out(0, f32, {rows_extent, results});
  const int from = node.storage(scores), to = node.storage(y);
  node.emit({scores}, {y}, [=](const Frame& frame) {
    float* target = frame.get<float>(to);
    std::copy_n(frame.get<float>(from), frame.rows * results, target);
    // One score alone is transformed by PROBIT only.
    if (results > 1 || transform == PostTransform::probit)
      for (std::int64_t r = 0; r < frame.rows; ++r) post_transform(transform, target + r * results, results);
  });
  node.cannot_write({y});
}

/// sum_i c_i K(s_i, x) + rho over support vectors s_i, or x c + rho where there are none.
void svm_regressor(Node& node) {
  node.expect(0, {f32});
  const std::int64_t columns = node.columns(0), supports = node.integer("n_supports", 0);
  const std::vector<float> coefficients = node.reals("coefficients"), vectors = node.reals("support_vectors"),
                           rho = node.reals("rho");
  std::vector<float> parameters = node.reals("kernel_params");
  parameters.resize(3, 0);
  const std::string kernel = node.text("kernel_type", "LINEAR");
  if (kernel != "LINEAR" && kernel != "POLY" && kernel != "RBF" && kernel != "SIGMOID")
    node.fail(fmt::format("its kernel is '{}', expected LINEAR, POLY, RBF or SIGMOID", kernel));
  if (node.integer("one_class", 0) != 0) node.fail("tells outliers, expected a regression");
  if (node.text("post_transform", "NONE") != "NONE") node.fail("has a post transform, expected NONE");
  if (supports < 0 || supports > 1 << 24 || rho.size() != 1 ||
      static_cast<std::int64_t>(vectors.size()) != supports * columns ||
      static_cast<std::int64_t>(coefficients.size()) != (supports > 0 ? supports : columns))
    node.fail("its coefficients, support vectors and rho do not fit together");
  const float gamma = parameters[0], zero = parameters[1], degree = parameters[2];
  const auto similarity = [=](const float* s, const float* x) {
    float sum = 0;
    if (kernel == "RBF") {
      for (std::int64_t j = 0; j < columns; ++j) sum += (x[j] - s[j]) * (x[j] - s[j]);
      return std::exp(-gamma * sum);
    }
    for (std::int64_t j = 0; j < columns; ++j) sum += x[j] * s[j];
    if (kernel == "POLY") return std::pow(gamma * sum + zero, degree);
    return kernel == "SIGMOID" ? std::tanh(gamma * sum + zero) : sum;
  };
  on_rows(node, 0, 1, [=](const auto* x, float* y) {
    if constexpr (std::is_same_v<decltype(x), const float*>) {
      float sum = 0;
      for (std::int64_t i = 0; i < supports; ++i)
        sum += coefficients[n(i)] * similarity(vectors.data() + i * columns, x);
      for (std::int64_t j = 0; supports == 0 && j < columns; ++j) sum += coefficients[n(j)] * x[j];
      *y = sum + rho[0];
    }
  });
}

/// Class labels as text.
std::vector<std::string> labels_of(const Node& node, const char* strings, const char* integers) {
  std::vector<std::string> labels = node.texts(strings);
  if (labels.empty())
    for (const std::int64_t label : node.integer_list(integers).value_or(Dims{}))
      labels.push_back(std::to_string(label));
  return labels;
}

/// The scores of two classes from the one score of the second.
void second_class(PostTransform transform, float s, float* y) {
  if (transform == PostTransform::logistic) {
    y[0] = logistic_of(-s);
    y[1] = logistic_of(s);
  } else {
    y[0] = 1 - s;
    y[1] = s;
  }
}

void refuse_labels(const Node& node) {
  if (node.wants(0)) node.fail("its labels are computed with, which is not supported");
}

void linear_classifier(Node& node) {
  refuse_labels(node);
  const std::vector<std::string> labels = labels_of(node, "classlabels_strings", "classlabels_ints");
  const PostTransform transform = post_transform_of(node.text("post_transform", "NONE"));
  const std::int64_t results = static_cast<std::int64_t>(node.reals("intercepts").size());
  const int scores = linear_scores(node, results);
  const bool pair = results == 1 && labels.size() == 2;
  if (pair && transform == PostTransform::probit)
    node.fail("has one score for two classes and PROBIT, which is not defined");
  const std::int64_t width = pair ? 2 : results;
  const int y = node.out(1, f32, {rows_extent, width});
  const int from = node.storage(scores), to = node.storage(y);
  node.emit({scores}, {y}, [=](const Frame& frame) {
    const float* source = frame.get<float>(from);
    float* target = frame.get<float>(to);
    for (std::int64_t r = 0; r < frame.rows; ++r, source += results, target += width) {
      if (pair) {
        second_class(transform, source[0], target);
      } else {
        std::copy_n(source, results, target);
        if (results > 1 || transform == PostTransform::probit) post_transform(transform, target, results);
      }
    }
  });
  node.plan().classes = labels;
  node.cannot_write({y});
}

void array_feature_extractor(Node& node) {
  const Value x = node.in(0);
  const Constant indices = node.constant(1, i64);
  if (x.rank() < 1 || x.dims.back() == rows_extent) node.fail("would pick rows of the batch");
  const std::int64_t extent = x.dims.back();
  const std::int64_t before = extent == 0 ? 0 : count(x.rest()) / extent;
  Dims dims = x.dims;
  dims.back() = indices.elements();
  count({before, dims.back()});  // throws where there are too many
  std::vector<std::int32_t> map;
  for (std::int64_t r = 0; r < before; ++r)
    for (const std::int64_t i : indices.as<std::int64_t>()) {
      if (i < 0 || i >= extent) node.fail(fmt::format("asks for entry {} of {}", i, extent));
      map.push_back(static_cast<std::int32_t>(r * extent + i));
    }
  if (map.empty()) node.fail("picks no entries");
  const int from = node.id(0);
  const int y = node.select(0, from, dims, std::move(map));
  std::vector<std::int64_t> list = indices.as<std::int64_t>();
  node.write(
      [list](GraphWriter& g, const GraphValues& in) -> GraphValues {
        return {g.op("Gather", {in[0], g.integers(list)}, {{"axis", -1}})};
      },
      {from}, {y});
}

void zip_map(Node& node) {
  node.plan().classes = labels_of(node, "classlabels_strings", "classlabels_int64s");
  node.alias(0, node.id(0), node.in(0).dims);
  node.write("Identity", {node.id(0)}, {node.result()});
}

}  // namespace

void tree_ensemble_regressor(Node& node);
void tree_ensemble_classifier(Node& node);
void tree_ensemble(Node& node);

const std::map<std::string, Lower>& ml_operators() {
  static const std::map<std::string, Lower> table = {
      {"Scaler", scaler},
      {"Normalizer", normalizer},
      {"Imputer", imputer},
      {"Binarizer", binarizer},
      {"FeatureVectorizer", feature_vectorizer},
      {"LinearRegressor", linear_regressor},
      {"LinearClassifier", linear_classifier},
      {"SVMRegressor", svm_regressor},
      {"ArrayFeatureExtractor", array_feature_extractor},
      {"ZipMap", zip_map},
      {"TreeEnsembleRegressor", tree_ensemble_regressor},
      {"TreeEnsembleClassifier", tree_ensemble_classifier},
      {"TreeEnsemble", tree_ensemble},
  };
  return table;
}

}  // namespace emshap::io::foreign
