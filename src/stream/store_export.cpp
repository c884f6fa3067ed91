// Copies of a store's rows for other programs.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/data/npy.h"
#include "emshap/stream/store_report.h"
#include "emshap/stream/store_source.h"

namespace emshap::stream {
namespace {

constexpr std::int64_t block = 8192;

void check_stop(const StopToken* stop, std::int64_t rows) {
  if (stop != nullptr && stop->stop_requested())
    throw Interrupted(fmt::format("stopped after {} rows; nothing was written", rows));
}

/// The columns of a file: those of every store in their order, then the extra ones.
std::vector<ColumnSpec> file_schema(const std::vector<std::string>& extras) {
  std::vector<ColumnSpec> schema = host_schema();
  for (const std::string& name : extras)
    schema.push_back({"extra." + name, ColumnType::f32, ColumnRole::feature});
  return schema;
}

}  // namespace

ExportResult export_csv(FeatureStore& store, const RowFilter& filter, const std::filesystem::path& path,
                        const std::vector<std::string>& extras, ProgressSink& sink, const StopToken* stop) {
  const std::vector<ColumnSpec> schema = file_schema(extras);
  ColumnSelection selection;
  for (const ColumnSpec& c : schema)
    if (c.role == ColumnRole::feature) selection.features.push_back(c.name);
  selection.target = "power_consumption";
  selection.time = "time";
  selection.node_id = "node_id";
  const std::int64_t total = store.count(filter);
  // The store outlives the source.
  StoreSource source(std::shared_ptr<FeatureStore>(&store, [](FeatureStore*) {}), path.string(), selection,
                     filter, block);
  CsvWriter writer(path);
  Chunk chunk;
  ExportResult out;
  std::vector<bool> seen(extras.size());
  Table ordered(schema);
  writer.write(ordered);  // the header, for no rows too
  while (source.next(chunk)) {
    for (Column& column : ordered.columns()) column = chunk.table.column(column.name());
    writer.write(ordered);
    for (std::size_t i = 0; i < extras.size(); ++i) {
      const auto values = ordered.column("extra." + extras[i]).f32();
      seen[i] = seen[i] || std::ranges::any_of(values, [](float v) { return !std::isnan(v); });
    }
    out.rows += ordered.rows();
    sink.progress({"exporting", out.rows, std::max(total, out.rows), "row", {}});
    check_stop(stop, out.rows);
  }
  writer.commit();
  for (std::size_t i = 0; i < extras.size(); ++i)
    if (out.rows > 0 && !seen[i])
      sink.log(LogLevel::warning, fmt::format("{}: no sample has the metric '{}'; its column is empty",
                                              path.string(), extras[i]));
  out.data_hash = source.provenance().data_hash;
  out.files = {path};
  return out;
}

ExportResult export_npy(FeatureStore& store, const RowFilter& filter, const std::filesystem::path& path,
                        ProgressSink& sink, const StopToken* stop) {
  const auto beside = [&](const std::string& suffix) {
    return path.parent_path() / (path.stem().string() + suffix);
  };
  constexpr std::size_t width = 1 + metric_count;
  ExportResult out;
  out.files = {beside("_time.npy"), beside("_node.npy"), beside("_names.json"), path};
  NpyWriter<std::int64_t> times(out.files[0], 0);
  NpyWriter<std::int32_t> nodes(out.files[1], 0);
  NpyWriter<float> matrix(path, width);
  const std::int64_t total = store.count(filter);

  std::map<std::string, std::int32_t, std::less<>> numbers;
  std::vector<std::int64_t> time;
  std::vector<std::int32_t> node;
  std::vector<float> values;
  store.scan(filter, block, [&](const std::vector<Sample>& samples) {
    time.clear();
    node.clear();
    values.clear();
    for (const Sample& s : samples) {
      time.push_back(s.time);
      node.push_back(numbers.try_emplace(s.node_id, static_cast<std::int32_t>(numbers.size())).first->second);
      values.push_back(s.power_consumption);
      values.insert(values.end(), s.metrics.begin(), s.metrics.end());
    }
    times.write(time);
    nodes.write(node);
    matrix.write(values);
    out.rows += static_cast<std::int64_t>(samples.size());
    sink.progress({"exporting", out.rows, std::max(total, out.rows), "row", {}});
    check_stop(stop, out.rows);
    return true;
  });

  nlohmann::ordered_json names = {{"columns", {"power_consumption"}},
                                  {"nodes", std::vector<std::string>(numbers.size())}};
  for (const char* name : metric_names) names["columns"].push_back(name);
  for (const auto& [name, number] : numbers) names["nodes"][static_cast<std::size_t>(number)] = name;
  times.commit();
  nodes.commit();
  write_file_atomically(out.files[2],
                        names.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  matrix.commit();
  return out;
}

}  // namespace emshap::stream
