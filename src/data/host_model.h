#pragma once
// One simulated host: hardware constants, state, and the step from one sample to the next. Units as in
// emshap/data/host_simulator.h; u are demands in 0..1, n is fan speed over its maximum, f is in GHz.
#include <array>
#include <cstdint>

#include "emshap/core/random.h"
#include "emshap/data/host_simulator.h"

namespace emshap {

/// What a phase of work asks for, as shares of what the host has.
struct HostDemand {
  double cpu, memory, disk, net, gpu, gpu_memory;
  double miss_ratio;          ///< cache misses per reference
  double processes, threads;  ///< beyond the daemons
};

struct HostHardware {
  double cores, f_min, f_base, f_turbo;      ///< GHz: lowest, all cores at work, one core at work
  double v_min, v_max, load_line;            ///< V at f_min and f_turbo; ohm
  double dynamic, leakage;                   ///< W per core at 1 GHz and 1 V; W per core at 1 V and 60 C
  double gpus, gpu_idle, gpu_limit;          ///< W per GPU
  double memory_idle, memory_per_gb;         ///< W; W per GB/s
  double disk_max, disk_idle, disk_active;   ///< MB/s; W
  double net_max, net_idle, net_active;      ///< MB/s; W
  double board, fan_max_rpm, fan_max_power;  ///< W, rpm, W
  double cpu_kelvin_per_watt, gpu_kelvin_per_watt;  ///< at full fan speed
  double supply_rated;                              ///< W
  double inlet;                                     ///< C, mean air temperature
};

class Host {
 public:
  Host(std::uint64_t seed, std::int64_t node);
  bool has_gpu() const { return hardware_.gpus > 0; }
  /// Moves on by `dt` seconds to `time` and reads the sensors; step 0 starts from a settled state.
  HostSample sample(std::int64_t step, std::int64_t time, double dt);

 private:
  static constexpr int fluctuations = 6;
  void enter_phase(int phase, double time);
  void next_phase(double time);
  void follow_demand(double time, double dt, Generator& random);
  void settle(double dt);
  double cpu_power(double volt, double ghz) const;
  HostSample read(std::int64_t time, Generator& random);

  std::uint64_t seed_;
  std::int64_t node_;
  int kind_;
  HostHardware hardware_{};

  // Phase: a semi-Markov process.
  int phase_ = 0;
  std::uint64_t visits_ = 0;
  double phase_end_ = 0;
  HostDemand target_{}, level_{};  // what the phase asks for; what has been reached

  // Ornstein-Uhlenbeck fluctuations of unit variance: cpu, memory, disk, net, gpu, air.
  std::array<double, fluctuations> noise_{};

  // Demands of this moment and what follows from them.
  double u_cpu_ = 0, u_memory_ = 0, u_gpu_ = 0, gpu_memory_ = 0, disk_ = 0, net_ = 0, page_cache_ = 0,
         load_ = 0;
  double ghz_ = 0, volt_ = 0, watt_cpu_ = 0, watt_gpu_ = 0, misses_ = 0, references_ = 0;
  double air_ = 22, temp_cpu_ = 40, temp_gpu_ = 35, fan_ = .3;
};

}  // namespace emshap
