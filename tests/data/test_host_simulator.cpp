#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "emshap/core/error.h"
#include "emshap/data/host_simulator.h"

using namespace emshap;

namespace {

std::size_t field(const std::string& name) {
  for (std::size_t i = 0; i < host_metric_names.size(); ++i)
    if (name == host_metric_names[i]) return i;
  throw std::runtime_error("no field " + name);
}

std::vector<HostSample> simulate(const HostSimulatorOptions& options) {
  HostSimulator simulator(options);
  std::vector<HostSample> rows(static_cast<std::size_t>(options.rows));
  CHECK(simulator.next(rows) == options.rows);
  CHECK(simulator.next(rows) == 0);
  return rows;
}

bool same(const HostSample& a, const HostSample& b) {  // bit for bit, NaN included
  return a.time == b.time && a.node == b.node && a.power_consumption == b.power_consumption &&
         std::memcmp(a.metrics.data(), b.metrics.data(), sizeof a.metrics) == 0;
}

std::vector<double> values(const std::vector<HostSample>& rows, const std::string& name,
                           std::int64_t kind = -1) {
  std::vector<double> out;
  for (const HostSample& r : rows)
    if (kind < 0 || r.node % 4 == kind)
      out.push_back(name == "power" ? r.power_consumption : r.metrics[field(name)]);
  return out;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double n = static_cast<double>(a.size());
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ma += a[i] / n, mb += b[i] / n;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

double quantile(std::vector<double> v, double q) {
  std::sort(v.begin(), v.end());
  return v[static_cast<std::size_t>(q * static_cast<double>(v.size() - 1))];
}

double share_of(const std::vector<double>& v, double value) {
  return static_cast<double>(std::count(v.begin(), v.end(), value)) / static_cast<double>(v.size());
}

}  // namespace

TEST_CASE("rows come in order of time, then node") {
  const auto rows = simulate({.rows = 33, .nodes = 8, .interval = 30, .start = 1000});
  for (std::size_t r = 0; r < rows.size(); ++r) {
    CHECK(rows[r].node == static_cast<std::int64_t>(r % 8));
    CHECK(rows[r].time == 1000 + static_cast<std::int64_t>(r / 8) * 30);
  }
}

TEST_CASE("values do not depend on chunks, rows or other nodes") {
  const HostSimulatorOptions options{.rows = 1000, .nodes = 5, .missing = .05};
  const auto all = simulate(options);
  for (const std::size_t chunk : {1U, 7U, 31U, 32U, 33U, 999U}) {
    HostSimulator simulator(options);
    std::vector<HostSample> part(chunk);
    std::size_t at = 0;
    while (const std::int64_t n = simulator.next(part))
      for (std::int64_t i = 0; i < n; ++i) REQUIRE(same(part[static_cast<std::size_t>(i)], all[at++]));
    CHECK(at == all.size());
  }
  const auto fewer = simulate({.rows = 100, .nodes = 5, .missing = .05});
  for (std::size_t r = 0; r < fewer.size(); ++r) REQUIRE(same(fewer[r], all[r]));
  const auto alone = simulate({.rows = 200, .nodes = 1, .missing = .05});
  for (std::size_t step = 0; step < alone.size(); ++step) REQUIRE(same(alone[step], all[5 * step]));
  CHECK(simulate({.rows = 0}).empty());
}

TEST_CASE("seeds and nodes of one kind differ") {
  const auto a = simulate({.rows = 400, .nodes = 8, .seed = 1}),
             b = simulate({.rows = 400, .nodes = 8, .seed = 2});
  int equal = 0, twins = 0;
  for (std::size_t r = 0; r < a.size(); ++r) {
    equal += a[r].power_consumption == b[r].power_consumption ? 1 : 0;
    if (r % 8 < 4) twins += a[r].power_consumption == a[r + 4].power_consumption ? 1 : 0;
  }
  CHECK(equal < 20);
  CHECK(twins < 20);
}

TEST_CASE("every value lies in its physical range and on its sensor's grid") {
  const auto rows = simulate({});
  struct Range {
    const char* name;
    double low, high, step;
  };
  const std::vector<Range> ranges{
      {"cpu_util", 0, 100, .1},        {"mem_util", 3, 98.5, .1},     {"disk_io", 0, 6000, .01},
      {"net_io", .02, 3000, .01},      {"gpu_util", 0, 100, 1},       {"gpu_mem", 0, 100, 1},
      {"temp_cpu", 15, 100, 1},        {"temp_gpu", 0, 100, 1},       {"fan_speed", 600, 13000, 60},
      {"voltage", .6, 1.3, .005},      {"current", 1, 300, .25},      {"frequency", 700, 5000, 100},
      {"cache_miss", 0, 3e4, .001},    {"cache_hit", 0, 3e4, .001},   {"context_switch", 100, 1e7, 1},
      {"page_fault", 0, 1e8, 1},       {"interrupts", 100, 1e6, 1},   {"load_avg", 0, 150, .01},
      {"process_count", 100, 1000, 1}, {"thread_count", 200, 5000, 1}};
  for (const Range& r : ranges) {
    CAPTURE(r.name);
    const auto v = values(rows, r.name);
    CHECK(*std::min_element(v.begin(), v.end()) >= r.low);
    CHECK(*std::max_element(v.begin(), v.end()) <= r.high);
    CHECK(std::set<double>(v.begin(), v.end()).size() > 20);
    double off = 0;
    for (const double x : v) off = std::max(off, std::abs(x / r.step - std::round(x / r.step)));
    CHECK(off < 1e-4);
  }
  const auto power = values(rows, "power");
  CHECK(*std::min_element(power.begin(), power.end()) > 50);
  CHECK(*std::max_element(power.begin(), power.end()) < 3000);
}

TEST_CASE("nodes without a GPU report exact zeros, the others work on theirs") {
  HostSimulator simulator({.nodes = 8});
  const auto rows = simulate({.rows = 20000, .nodes = 8});
  for (const HostSample& r : rows)
    if (!simulator.has_gpu(r.node))
      for (const char* name : {"gpu_util", "gpu_mem", "temp_gpu"}) REQUIRE(r.metrics[field(name)] == 0);
  for (const std::int64_t kind : {1, 3}) {
    CHECK(quantile(values(rows, "gpu_util", kind), .95) > 80);
    CHECK(quantile(values(rows, "temp_gpu", kind), .0) > 15);
    CHECK(correlation(values(rows, "gpu_util", kind), values(rows, "power", kind)) > .9);
  }
  CHECK_FALSE(simulator.has_gpu(0));
  CHECK(simulator.has_gpu(1));
}

TEST_CASE("metrics hang together as on real hosts") {
  const auto rows = simulate({.rows = 20000, .nodes = 8});
  for (const std::int64_t kind : {0, 1, 2, 3}) {
    CAPTURE(kind);
    const auto of = [&](const char* name) { return values(rows, name, kind); };
    CHECK(correlation(of("frequency"), of("voltage")) > .9);
    CHECK(correlation(of("cpu_util"), of("current")) > .85);
    CHECK(correlation(of("current"), of("temp_cpu")) > .5);
    CHECK(correlation(of("cpu_util"), of("load_avg")) > .8);
    CHECK(correlation(of("process_count"), of("thread_count")) > .7);
  }
  CHECK(correlation(values(rows, "net_io", 0), values(rows, "interrupts", 0)) > .3);
  CHECK(correlation(values(rows, "disk_io", 2), values(rows, "interrupts", 2)) > .3);
  // What the processor draws is part of what the plug shows.
  for (const HostSample& r : rows)
    REQUIRE(r.metrics[field("current")] * r.metrics[field("voltage")] < r.power_consumption);
  CHECK(correlation(values(rows, "cpu_util", 0), values(rows, "power", 0)) > .8);
}

TEST_CASE("tails are heavy, zeros and ties are common") {
  const auto rows = simulate({.rows = 20000, .nodes = 8});
  const auto faults = values(rows, "page_fault");
  CHECK(share_of(faults, 0) > .5);
  CHECK(share_of(faults, 0) < .95);
  CHECK(quantile(faults, 1) > 20 * quantile(faults, .99));
  CHECK(share_of(values(rows, "disk_io"), 0) > .01);
  const auto switches = values(rows, "context_switch");
  CHECK(quantile(switches, 1) > 20 * quantile(switches, .5));
  const auto temperature = values(rows, "temp_cpu");
  CHECK(std::set<double>(temperature.begin(), temperature.end()).size() < 100);
}

TEST_CASE("heat has inertia: it moves little in a second and follows in a minute") {
  const auto temperature = values(simulate({.rows = 4000, .nodes = 1, .interval = 1}), "temp_cpu");
  const auto [low, high] = std::minmax_element(temperature.begin(), temperature.end());
  CHECK(*high - *low > 8);
  for (std::size_t i = 1; i < temperature.size(); ++i)
    REQUIRE(std::abs(temperature[i] - temperature[i - 1]) <= 5);
}

TEST_CASE("the web server works by day") {
  const auto rows = simulate({.rows = 20000, .nodes = 4, .interval = 300});
  double day = 0, night = 0, days = 0, nights = 0;
  for (const HostSample& r : rows) {
    if (r.node != 0) continue;
    const std::int64_t hour = r.time / 3600 % 24;
    (hour >= 11 && hour < 19 ? day : night) += r.metrics[field("net_io")];
    (hour >= 11 && hour < 19 ? days : nights) += 1;
  }
  CHECK(day / days > 1.3 * night / nights);
}

TEST_CASE("missing cells take their share and leave the others alone") {
  const auto whole = simulate({.rows = 5000}), holes = simulate({.rows = 5000, .missing = .1});
  double missing = 0;
  for (std::size_t r = 0; r < whole.size(); ++r) {
    REQUIRE(holes[r].power_consumption == whole[r].power_consumption);
    for (std::size_t m = 0; m < 20; ++m) {
      if (std::isnan(holes[r].metrics[m]))
        ++missing;
      else
        REQUIRE(holes[r].metrics[m] == whole[r].metrics[m]);
    }
  }
  CHECK(missing / (5000 * 20) == doctest::Approx(.1).epsilon(.05));
}

TEST_CASE("samples become table columns") {
  Table table(host_schema());
  const auto rows = simulate({.rows = 33, .missing = .2});
  append_hosts(table, rows);
  CHECK(table.rows() == 33);
  CHECK(table.feature_names().size() == 20);
  CHECK(table.column("node_id").text(9) == "node-1");
  CHECK(table.column("time").i64()[32] == rows[32].time);
  CHECK(table.column("power_consumption").f32()[5] == static_cast<float>(rows[5].power_consumption));
  for (std::int64_t r = 0; r < 33; ++r)
    CHECK(table.column("cpu_util").present(r) == !std::isnan(rows[static_cast<std::size_t>(r)].metrics[0]));
  Table other(std::vector<ColumnSpec>{{"x", ColumnType::f32, ColumnRole::feature}});
  CHECK_THROWS_AS(append_hosts(other, rows), DataError);
}

TEST_CASE("options out of range are named") {
  CHECK_THROWS_WITH_AS(HostSimulator({.nodes = 0}), "host simulator: nodes is 0, expected 1 to 100000",
                       ConfigError);
  CHECK_THROWS_AS(HostSimulator({.rows = -1}), ConfigError);
  CHECK_THROWS_AS(HostSimulator({.interval = 0}), ConfigError);
  CHECK_THROWS_AS(HostSimulator({.start = -5}), ConfigError);
  CHECK_THROWS_AS(HostSimulator({.missing = 1}), ConfigError);
  CHECK_THROWS_AS(HostSimulator({.missing = std::nan("")}), ConfigError);
}
