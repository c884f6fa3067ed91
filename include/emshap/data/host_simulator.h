#pragma once
// Synthetic metrics of hosts under changing work: a physical model whose power follows from what the metrics
// measure.
//
// Each node is one of four kinds (node modulo 4: web server, GPU workstation, storage server, GPU training
// server) with constants of its own, and moves through the phases idle, web, batch, training, io, memory as a
// semi-Markov process (log-normal stays). A phase sets demands, which are approached with a time constant of
// 30 s and fluctuate; everything below follows from the demands. docs/datagen.md gives the full equations.
//
//   field              unit     formula (u demands in 0..1, f GHz, V volt, T Celsius, n fan speed / maximum)
//   cpu_util           %        100 u_cpu                                           steps of .1
//   mem_util           %        resident set with lag, page cache                   steps of .1
//   disk_io            MB/s     u_disk max * lognormal; 0 below .05                  heavy tail
//   net_io             MB/s     u_net max * lognormal                                steps of .01
//   gpu_util           %        100 u_gpu                    0 on nodes without GPU, steps of 1
//   gpu_mem            %        allocation of the phase      0 on nodes without GPU, steps of 1
//   temp_cpu           C        dT/dt = (T_air + R(n) P_cpu - T) / 25 s              steps of 1
//   temp_gpu           C        dT/dt = (T_air + R(n) P_gpu - T) / 40 s; 0 without GPU, steps of 1
//   fan_speed          rpm      follows the hottest sensor, lag 8 s                  steps of 60
//   voltage            V        core rail: V0 + k (f - f_min) - load line            steps of .005
//   current            A        core rail: P_cpu / V, 1 % sensor noise               steps of .25
//   frequency          MHz      governor on u_cpu, turbo by active cores, throttling above 92 C, steps of 100
//   cache_miss         10^6/s   instructions * miss ratio of the phase
//   cache_hit          10^6/s   references - misses
//   context_switch     1/s      timer, network and disk wake-ups, threads; Pareto bursts
//   page_fault         1/s      major faults; mostly 0, Pareto bursts under memory pressure
//   interrupts         1/s      timer + packets + disk completions + GPU
//   load_avg           tasks    runnable tasks, lag 60 s                             steps of .01
//   process_count      1        daemons + jobs of the phase
//   thread_count       1        threads of these processes
//   power_consumption  W        wall plug: P_dc + supply loss, 0.3 % sensor noise    steps of .1
//
//   P_cpu = cores (c f V^2 (u_cpu + .05) + l V exp((T_cpu - 60) / 45)), P_fan = P_max n^3 (affinity law)
//   P_dc  = P_board + P_cpu + P_gpu + P_mem + P_disk + P_net + P_fan
//   loss  = P_rated (.010 + .040 x + .030 x^2), x = P_dc / P_rated: fixed, proportional, resistive
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/table.h"

namespace emshap {

inline constexpr std::array<const char*, 20> host_metric_names{
    "cpu_util",       "mem_util",   "disk_io",    "net_io",   "gpu_util",      "gpu_mem",     "temp_cpu",
    "temp_gpu",       "fan_speed",  "voltage",    "current",  "frequency",     "cache_miss",  "cache_hit",
    "context_switch", "page_fault", "interrupts", "load_avg", "process_count", "thread_count"};

struct HostSimulatorOptions {
  std::int64_t rows = 20000;
  std::int64_t nodes = 8;
  std::uint64_t seed = 42;
  std::int64_t interval = 60;          ///< seconds between two samples of a node
  std::int64_t start = 1'735'689'600;  ///< Unix time of the first sample: 2025-01-01 00:00 UTC
  double missing = 0;                  ///< share of metric cells without a value (NaN), 0 <= missing < 1
};

struct HostSample {
  std::int64_t time = 0;             ///< Unix seconds
  std::int64_t node = 0;             ///< 0..nodes-1
  std::array<double, 20> metrics{};  ///< in the order of host_metric_names; NaN where missing
  double power_consumption = 0;      ///< watts, never missing
};

/// Rows in order of time, then node: row r is node r % nodes at start + (r / nodes) interval. The values of a
/// node depend on seed, node, start and interval only, not on how many rows or nodes are asked for or how
/// they are read.
class EMSHAP_API HostSimulator {
 public:
  /// Throws ConfigError naming the option that is out of range.
  explicit HostSimulator(const HostSimulatorOptions& options);
  ~HostSimulator();
  HostSimulator(HostSimulator&&) noexcept;
  HostSimulator& operator=(HostSimulator&&) noexcept;

  /// Fills the front of `out`; returns how many, 0 when all rows have been given.
  std::int64_t next(std::span<HostSample> out);
  bool has_gpu(std::int64_t node) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The columns time (integer Unix seconds), node_id ("node-0"), the twenty metrics as features,
/// power_consumption as target.
EMSHAP_API std::vector<ColumnSpec> host_schema();
/// Appends the samples to a table of host_schema().
EMSHAP_API void append_hosts(Table& table, std::span<const HostSample> samples);

}  // namespace emshap
