#include "replay.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::app {
namespace {

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

Cleaning common_cleaning(const Cleaning* power, const Cleaning* density) {
  if (power == nullptr && density == nullptr) return {};
  if (power == nullptr || density == nullptr) return power == nullptr ? *density : *power;
  if (power->empty() != density->empty() || (!power->empty() && power->hash() != density->hash()))
    throw ConfigError(
        "the two models were trained on data that were cleaned differently, expected one cleaning; use them "
        "one at a time");
  return *power;
}

void select_raw(const Cleaning& cleaning, const std::vector<std::string>& features,
                const std::vector<std::string>& available, ColumnSelection& selection) {
  if (cleaning.empty()) {
    selection.features = features;
    return;
  }
  for (const std::string& name : features)
    if (!has(cleaning.output_names(), name))
      throw ConfigError(fmt::format("the model takes the column {}, which the cleaning does not give{}", name,
                                    suggest_name(name, cleaning.output_names())));
  selection.features = cleaning.input_names();
  if (selection.time.empty() && has(available, cleaning.time_column()))
    selection.time = cleaning.time_column();
  if (selection.node_id.empty() && has(available, cleaning.node_column()))
    selection.node_id = cleaning.node_column();
  recognise_columns(selection, available);
}

Table replay(const Cleaning& cleaning, Table table, const Split* split) {
  if (cleaning.empty()) return table;
  return cleaning.apply(table,
                        split == nullptr ? std::vector<std::int32_t>() : parts_of(*split, table.rows()));
}

std::vector<std::string> metrics_of(const Cleaning& cleaning, const std::vector<std::string>& columns) {
  if (cleaning.metric_of_output() == cleaning.output_names()) return {};
  std::vector<std::string> out;
  for (const std::string& name : columns) {
    const auto at = std::find(cleaning.output_names().begin(), cleaning.output_names().end(), name);
    out.push_back(
        at == cleaning.output_names().end()
            ? name
            : cleaning.metric_of_output()[static_cast<std::size_t>(at - cleaning.output_names().begin())]);
  }
  return out;
}

}  // namespace emshap::app
