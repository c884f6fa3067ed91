#include "explain_values.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/models/emshap_model.h"

namespace emshap::app {
namespace {

constexpr std::int64_t block_rows = 8;

/// A seeded choice of the rows without missing values, ascending.
std::vector<std::int64_t> complete_rows(ConstTensorView raw, std::int64_t limit, std::uint64_t seed) {
  std::vector<std::int64_t> rows;
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    const float* x = raw.ptr<float>() + r * raw.row_stride();
    if (std::none_of(x, x + raw.cols(), [](float value) { return std::isnan(value); })) rows.push_back(r);
  }
  if (limit > 0 && static_cast<std::int64_t>(rows.size()) > limit) {
    const auto order =
        permutation({seed, RandomPurpose::shuffle, 7, 0}, static_cast<std::int64_t>(rows.size()));
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < limit; ++i)
      chosen.push_back(rows[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
    std::sort(chosen.begin(), chosen.end());
    return chosen;
  }
  return rows;
}

/// Rows of one node depend on each other.
std::vector<std::int64_t> clusters(const ExplainRows& data, const std::vector<std::int64_t>& rows) {
  std::vector<std::int64_t> out;
  const Column* node = data.node();
  if (node == nullptr) return out;
  std::map<std::string, std::int64_t, std::less<>> number;
  for (const std::int64_t r : rows)
    out.push_back(number
                      .try_emplace(std::string(node->text(data.rows[static_cast<std::size_t>(r)])),
                                   static_cast<std::int64_t>(number.size()))
                      .first->second);
  // One node says nothing about others, but its rows can still be compared.
  return number.size() > 1 ? out : std::vector<std::int64_t>();
}

}  // namespace

DeviceCopies copies_on_device(const std::string& method, const ExplainModels& models, Session& session) {
  const Device device = session.device();
  if (device.kind == DeviceKind::cpu) return {};
  const bool chosen = session.common().device != "auto";
  const std::string cpu_alone =
      method != "emshap" || !models.density ? fmt::format("the method {} runs on the CPU", method)
      : models.density->proposal != "gru"
          ? fmt::format("draws of the proposal {} are made on the CPU", models.density->proposal)
          : "";
  if (cpu_alone.empty()) {
    session.log_device(device);
    DeviceCopies copies{copy_to_device(*models.density->model, device), models.f->on_device(device)};
    if (copies.f == nullptr)
      session.sink().log(LogLevel::info,
                         "the GPU draws, the CPU predicts: this predictor has no form for a GPU");
    return copies;
  }
  if (chosen) throw DeviceError(cpu_alone + "; use --device cpu");
  session.sink().log(LogLevel::info, cpu_alone);
  return {};
}

MethodValues::MethodValues(const std::string& method, const ExplainModels& models, ConstTensorView train,
                           const DrawnValueOptions& options, ProgressSink& sink,
                           const DeviceParts& on_device) {
  if (models.density) {
    space_ = &models.density->space;
    density_ = models.density->model.get();
  }
  if (method == "emshap") {
    if (!models.density)
      throw ConfigError("the method emshap needs --emshap FILE, or a --run with such a model");
    own_ = drawn_values("emshap", *space_, *density_, *models.f, options, on_device);
    return;
  }
  BaselineOptions baseline;
  baseline.drawn = options;
  baseline_ = make_baseline(method, models.columns, train, *models.f, baseline);
  for (const std::string& note : baseline_.notes) sink.log(LogLevel::info, note);
  if (density_ == nullptr && baseline_.density) {
    space_ = &baseline_.density->space;
    density_ = baseline_.density->model.get();
  }
}

ComparedValues compare_value_functions(const std::vector<std::string>& methods, const Explainer& own,
                                       const ValueChoice& choice, const ExplainModels& models,
                                       ConstTensorView train, const ExplainRows& data,
                                       std::int64_t rows_limit, const DeviceParts& on_device, TeamPool& pool,
                                       Session& session) {
  std::vector<std::string> names{choice.method};
  for (const std::string& name : methods)
    if (name != choice.method) names.push_back(name);
  const std::vector<std::int64_t> rows = complete_rows(data.raw, rows_limit, session.seed());
  if (rows.empty()) throw DataError("every row lacks values, expected complete ones to compare methods on");
  const auto n = static_cast<std::int64_t>(rows.size()), D = data.raw.cols();
  Tensor raw({n, D});
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t r = rows[static_cast<std::size_t>(i)];
    std::copy_n(data.raw.ptr<float>() + r * D, D, raw.ptr<float>() + i * D);
    numbers.push_back(data.numbers[static_cast<std::size_t>(r)]);
  }
  std::vector<ComparedMethod> compared;
  std::vector<double> f;
  for (const std::string& name : names) {
    const MethodValues method(name, models, train, choice.drawn, session.sink(), on_device);
    Explainer explainer(method.values(), *models.f, own.players(), models.background, own.options(), pool);
    explainer.use_coalitions(own.coalitions());
    ComparedMethod& result = compared.emplace_back();
    result.name = name;
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t block = std::min(block_rows, explainer.rows_at_once());
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t count = std::min(block, n - begin);
      const Attributions some =
          explainer.explain(pool,
                            {raw.view().rows(begin, count),
                             std::span<const std::int64_t>(numbers).subspan(static_cast<std::size_t>(begin),
                                                                            static_cast<std::size_t>(count))},
                            &session.stop());
      result.row_msev.insert(result.row_msev.end(), some.msev.begin(), some.msev.end());
      if (compared.size() == 1) f.insert(f.end(), some.prediction.begin(), some.prediction.end());
      session.sink().progress({"comparing " + name, begin + count, n, "row", {}});
    }
    result.cost = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  double mean = 0, squares = 0;
  for (const double y : f) mean += y / static_cast<double>(n);
  for (const double y : f) squares += (y - mean) * (y - mean);
  return {compare_methods(compared, clusters(data, rows)), squares / static_cast<double>(n)};
}

}  // namespace emshap::app
