// What a trained predictor needs around it, as JSON. Reading it back is in pipeline_json.cpp.
#include <fmt/format.h>

#include "data/json_text.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/hash.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/steps.h"

namespace emshap {

Preprocessor Preprocessor::fit(const Table& table, std::span<const std::int64_t> train, bool impute,
                               bool scale_target, std::int64_t bins) {
  if (table.only(ColumnRole::target) == nullptr)
    throw DataError(
        fmt::format("{}: no target column was selected, expected one", table.provenance().source));
  Preprocessor p;
  p.features.add("drop_constant", std::make_unique<DropConstant>());
  if (impute) {
    // Rows held back may lack what every training row has.
    std::vector<std::string> incomplete;
    for (const Column* column : table.with_role(ColumnRole::feature))
      if (column->missing() > 0) incomplete.push_back(column->name());
    p.features.add("mean_impute", std::make_unique<MeanImpute>(std::move(incomplete)));
  }
  p.features.add("standardise", std::make_unique<StandardScaler>());
  if (bins > 0) p.features.add("encode", std::make_unique<PiecewiseLinear>(bins));
  p.features.fit(table, train);
  if (scale_target) p.target.add("standardise", std::make_unique<StandardScaler>());
  p.target.fit(table, train, ColumnRole::target);
  return p;
}

Tensor Preprocessor::transform_target(const Table& table, std::span<const std::int64_t> rows) const {
  return target.transform(table, rows, ColumnRole::target);
}

std::string Pipeline::to_json() const {
  std::string steps;
  for (const auto& [name, step] : steps_)
    steps += fmt::format("{}\n    {{\"name\": {}, \"step\": {}}}", steps.empty() ? "" : ",",
                         json_text::quote(name), step->to_json());
  return fmt::format("{{\"features\": {},\n  \"steps\": [{}],\n  \"hash\": \"{}\"}}",
                     json_text::list(input_names_), steps, hash());
}

std::string Preprocessor::to_json() const {
  return fmt::format(
      "{{\"format\": \"emshap preprocessing\", \"version\": 1,\n \"hash\": \"{}\",\n \"features\": {},\n "
      "\"target\": {}}}\n",
      hash(), features.to_json(), target.to_json());
}

std::string Preprocessor::hash() const {
  Hash64 both;
  both.text(features.hash());
  both.text(target.hash());
  return both.hex();
}

std::vector<std::string> Preprocessor::warnings() const {
  std::vector<std::string> all = features.warnings();
  for (std::string& text : target.warnings()) all.push_back(std::move(text));
  return all;
}

void Preprocessor::save(const std::filesystem::path& path) const {
  write_file_atomically(path, to_json());
}

Preprocessor Preprocessor::load(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return from_json(text);
  } catch (const IoError& e) {
    throw IoError(fmt::format("{}: {}", path.string(), e.what()));
  }
}

}  // namespace emshap
