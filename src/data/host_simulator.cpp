#include "emshap/data/host_simulator.h"

#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "data/host_model.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"

namespace emshap {
namespace {

constexpr std::uint32_t missing_layer = 4;

void check(bool good, const char* option, const std::string& got, const char* expected) {
  if (!good) throw ConfigError(fmt::format("host simulator: {} is {}, expected {}", option, got, expected));
}

/// Cells without a value are drawn from a stream of their own, so that the others do not depend on their
/// share.
void drop_cells(HostSample& sample, const HostSimulatorOptions& options, std::int64_t step) {
  if (options.missing <= 0) return;
  Generator random(
      {options.seed, RandomPurpose::data_generation, missing_layer, static_cast<std::uint64_t>(step)},
      static_cast<std::uint64_t>(sample.node));
  for (double& value : sample.metrics)
    if (random.uniform() < options.missing) value = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

struct HostSimulator::Impl {
  HostSimulatorOptions options;
  std::vector<Host> hosts;
  std::int64_t row = 0;
};

HostSimulator::HostSimulator(const HostSimulatorOptions& options) : impl_(std::make_unique<Impl>()) {
  check(options.rows >= 0, "rows", std::to_string(options.rows), "0 or more");
  check(options.nodes >= 1 && options.nodes <= 100000, "nodes", std::to_string(options.nodes), "1 to 100000");
  check(options.interval >= 1 && options.interval <= 86400, "interval", std::to_string(options.interval),
        "1 to 86400 seconds");
  check(options.start >= 0 && options.start <= 253402300799, "start", std::to_string(options.start),
        "a Unix time of the years 1970 to 9999");
  check(options.missing >= 0 && options.missing < 1, "missing", fmt::format("{}", options.missing),
        "a share from 0 to below 1");
  impl_->options = options;
  for (std::int64_t node = 0; node < options.nodes; ++node) impl_->hosts.emplace_back(options.seed, node);
}

HostSimulator::~HostSimulator() = default;
HostSimulator::HostSimulator(HostSimulator&&) noexcept = default;
HostSimulator& HostSimulator::operator=(HostSimulator&&) noexcept = default;

std::int64_t HostSimulator::next(std::span<HostSample> out) {
  const HostSimulatorOptions& o = impl_->options;
  std::int64_t filled = 0;
  for (HostSample& sample : out) {
    if (impl_->row == o.rows) break;
    const std::int64_t step = impl_->row / o.nodes, node = impl_->row % o.nodes;
    sample = impl_->hosts[static_cast<std::size_t>(node)].sample(step, o.start + step * o.interval,
                                                                 static_cast<double>(o.interval));
    drop_cells(sample, o, step);
    ++impl_->row;
    ++filled;
  }
  return filled;
}

bool HostSimulator::has_gpu(std::int64_t node) const {
  return impl_->hosts.at(static_cast<std::size_t>(node)).has_gpu();
}

std::vector<ColumnSpec> host_schema() {
  std::vector<ColumnSpec> schema{{"time", ColumnType::i64, ColumnRole::time},
                                 {"node_id", ColumnType::text, ColumnRole::node_id}};
  for (const char* name : host_metric_names) schema.push_back({name, ColumnType::f32, ColumnRole::feature});
  schema.push_back({"power_consumption", ColumnType::f32, ColumnRole::target});
  return schema;
}

void append_hosts(Table& table, std::span<const HostSample> samples) {
  if (table.schema() != host_schema())
    throw DataError("append_hosts: the table has other columns, expected those of host_schema()");
  std::vector<Column>& columns = table.columns();
  for (const HostSample& sample : samples) {
    columns[0].push_i64(sample.time);
    columns[1].push_text(fmt::format("node-{}", sample.node));
    for (std::size_t m = 0; m < sample.metrics.size(); ++m) {
      if (std::isnan(sample.metrics[m]))
        columns[2 + m].push_missing();
      else
        columns[2 + m].push_f32(static_cast<float>(sample.metrics[m]));
    }
    columns.back().push_f32(static_cast<float>(sample.power_consumption));
  }
}

}  // namespace emshap
