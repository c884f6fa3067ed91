#include "data/host_model.h"

#include <algorithm>
#include <cmath>

#include "data/host_hardware.h"

namespace emshap {
namespace {

// Layers of the random streams of a node.
constexpr std::uint32_t constants_layer = 1, phase_layer = 2, sample_layer = 3;

constexpr double day = 86400;

RandomKey key(std::uint64_t seed, std::uint32_t layer, std::uint64_t step) {
  return {seed, RandomPurpose::data_generation, layer, step};
}

double unit(double x) {
  return std::clamp(x, 0.0, 1.0);
}
/// The nearest multiple of a sensor's step.
double steps_of(double step, double x) {
  return std::round(x / step) * step;
}
/// Share of the way to a settled value that a first-order lag covers in dt.
double share(double dt, double lag) {
  return 1 - std::exp(-dt / lag);
}
/// Mean 1, log-normal.
double lognormal(double sigma, double normal) {
  return std::exp(sigma * normal - sigma * sigma / 2);
}
/// Pareto with minimum 1 (Pareto type I, inverse distribution function).
double pareto(double alpha, double uniform) {
  return std::pow(uniform, -1 / alpha);
}
/// A whole number of mean `mean`: geometric-like, mostly 0 for a small mean.
double count(double mean, Generator& random) {
  return std::floor(-mean * std::log(random.uniform()) + random.uniform());
}

/// Work of people: 1 on average, highest at 15:00, lower on Saturday and Sunday (UTC).
double activity(double time) {
  const double hour = std::fmod(time, day) / 3600;
  const auto weekday =
      static_cast<std::int64_t>(std::floor(time / day) + 4) % 7;  // 1 January 1970 was a Thursday
  const double weekend = weekday == 0 || weekday == 6 ? .7 : 1;
  return weekend * (1 + .45 * std::cos(2 * 3.141592653589793 * (hour - 15) / 24));
}

}  // namespace

Host::Host(std::uint64_t seed, std::int64_t node)
    : seed_(seed),
      node_(node),
      kind_(static_cast<int>(node % host_kinds)),
      hardware_(host_hardware[static_cast<std::size_t>(kind_)]) {
  Generator random(key(seed, constants_layer, 0), static_cast<std::uint64_t>(node));
  const auto vary = [&](double& value, double sd) {
    value *= 1 + sd * std::clamp(random.normal(), -2.5, 2.5);
  };
  vary(hardware_.dynamic, .04);
  vary(hardware_.leakage, .12);
  vary(hardware_.gpu_limit, .02);
  vary(hardware_.gpu_idle, .06);
  vary(hardware_.board, .05);
  vary(hardware_.memory_idle, .05);
  vary(hardware_.cpu_kelvin_per_watt, .06);
  vary(hardware_.gpu_kelvin_per_watt, .06);
  hardware_.inlet += random.normal();
}

void Host::enter_phase(int phase, double time) {
  Generator random(key(seed_, phase_layer, visits_++), static_cast<std::uint64_t>(node_));
  phase_ = phase;
  phase_end_ = time + host_stay[static_cast<std::size_t>(phase)] * std::exp(.6 * random.normal());
  const auto scale = [&](double value, double sigma) { return value * lognormal(sigma, random.normal()); };
  target_ = host_demand[static_cast<std::size_t>(phase)];
  if (phase == training && !has_gpu()) {  // trains on its processor instead
    target_.cpu = .93;
    target_.net = .03;
  }
  target_.cpu = unit(scale(target_.cpu, .22));
  target_.memory = std::min(scale(target_.memory, .12), .95);
  target_.disk = unit(scale(target_.disk, .45));
  target_.net = unit(scale(target_.net, .35));
  target_.gpu = has_gpu() ? unit(scale(target_.gpu, .08)) : 0;
  target_.gpu_memory = has_gpu() ? std::min(scale(target_.gpu_memory, .15), .98) : 0;
  target_.miss_ratio = unit(scale(target_.miss_ratio, .2));
  target_.processes = scale(target_.processes, .15);
  target_.threads = scale(target_.threads, .25);
}

void Host::next_phase(double time) {
  Generator random(key(seed_, phase_layer, visits_),
                   static_cast<std::uint64_t>(node_) + (std::uint64_t{1} << 40));
  const double busy = activity(time);
  std::array<double, host_phases> weight = host_next[static_cast<std::size_t>(kind_)];
  weight[idle] /= busy;
  weight[web] *= busy;
  weight[static_cast<std::size_t>(phase_)] = 0;
  double sum = 0;
  for (const double w : weight) sum += w;
  double at = random.uniform() * sum;
  int next = 0;
  while (next + 1 < host_phases && (at >= weight[static_cast<std::size_t>(next)]))
    at -= weight[static_cast<std::size_t>(next++)];
  if (next == phase_) next = phase_ == idle ? web : idle;  // rounding at the very end of the weights
  enter_phase(next, time);
}

void Host::follow_demand(double time, double dt, Generator& random) {
  while (time >= phase_end_) next_phase(phase_end_);
  constexpr std::array<double, fluctuations> lag{90, 600, 60, 60, 150, 3600};
  for (std::size_t i = 0; i < lag.size(); ++i) {
    const double keep = std::exp(-dt / lag[i]);
    noise_[i] = keep * noise_[i] + std::sqrt(1 - keep * keep) * random.normal();
  }
  const double people = phase_ == web ? activity(time) : 1 + .25 * (activity(time) - 1);
  const auto follow = [&](double& level, double target, double seconds) {
    level += (target - level) * share(dt, seconds);
  };
  follow(level_.cpu, target_.cpu * people, 30);
  follow(level_.memory, target_.memory, level_.memory < target_.memory ? 240 : 60);
  follow(level_.disk, target_.disk * people, 30);
  follow(level_.net, target_.net * people, 30);
  follow(level_.gpu, target_.gpu, 30);
  follow(level_.gpu_memory, target_.gpu_memory, 25);
  follow(level_.miss_ratio, target_.miss_ratio, 30);
  follow(level_.processes, target_.processes, 45);
  follow(level_.threads, target_.threads * people, 45);

  // Disk: nothing at all in many quiet samples, log-normal transfers, now and then a Pareto burst.
  const bool disk_active = random.uniform() < .25 + level_.disk / .01;
  const double disk_burst = random.uniform() < .03 ? pareto(1.6, random.uniform()) : 1;
  disk_ = disk_active ? std::min(level_.disk * hardware_.disk_max * lognormal(.6, noise_[2]) * disk_burst,
                                 hardware_.disk_max)
                      : 0;
  if (disk_ < .05) disk_ = 0;
  const double net_burst = random.uniform() < .02 ? pareto(1.8, random.uniform()) : 1;
  net_ = std::min(level_.net * hardware_.net_max * lognormal(.4, noise_[3]) * net_burst + .02,
                  hardware_.net_max);

  const double u_disk = disk_ / hardware_.disk_max, u_net = net_ / hardware_.net_max;
  u_cpu_ = unit(level_.cpu * lognormal(.22, noise_[0]) + .05 * u_net + .05 * u_disk + .006);
  follow(page_cache_, .22 * std::sqrt(u_disk), 900);
  u_memory_ = std::clamp(.05 + .85 * level_.memory * (1 + .03 * noise_[1]) + page_cache_, .03, .985);
  u_gpu_ = has_gpu() ? unit(level_.gpu * (1 + .10 * noise_[4])) : 0;
  if (u_gpu_ < .02) u_gpu_ = 0;
  gpu_memory_ = has_gpu() ? unit(level_.gpu_memory) : 0;
  air_ = hardware_.inlet + 1.5 * (activity(time) - 1) + .6 * noise_[5];

  const double runnable = u_cpu_ * hardware_.cores * (1 + .5 * u_cpu_ * u_cpu_) + 5 * u_disk;
  load_ += (runnable - load_) * share(dt, 60);
}

double Host::cpu_power(double volt, double ghz) const {
  const HostHardware& h = hardware_;
  return h.cores * (h.dynamic * ghz * volt * volt * (u_cpu_ + .05) +
                    h.leakage * volt * std::exp((temp_cpu_ - 60) / 45));
}

/// Frequency, voltage, power, temperatures and fans pull on each other: short steps to `dt`, at most five
/// minutes of them, after which everything but the demands has settled.
void Host::settle(double dt) {
  const HostHardware& h = hardware_;
  const double span = std::min(dt, 300.0);
  const int steps = static_cast<int>(std::ceil(span / 5));
  const double sub = span / steps;
  for (int i = 0; i < steps; ++i) {
    const double turbo = h.f_turbo - (h.f_turbo - h.f_base) * u_cpu_;
    const double wanted = h.f_min + (turbo - h.f_min) * std::pow(unit(u_cpu_ / .6), .7);
    const double throttle = temp_cpu_ > 92 ? std::max(.5, 1 - .04 * (temp_cpu_ - 92)) : 1;
    ghz_ = std::max(h.f_min, wanted * throttle);
    const double set = h.v_min + (h.v_max - h.v_min) * (ghz_ - h.f_min) / (h.f_turbo - h.f_min);
    volt_ = set - h.load_line * watt_cpu_ / set;
    watt_cpu_ = cpu_power(volt_, ghz_);
    watt_gpu_ = h.gpus * (h.gpu_idle + (h.gpu_limit - h.gpu_idle) * std::pow(u_gpu_, .85));
    const double cooling = std::sqrt(std::max(fan_, .05));
    temp_cpu_ += (air_ + h.cpu_kelvin_per_watt / cooling * watt_cpu_ - temp_cpu_) * share(sub, 25);
    if (has_gpu()) {
      const double each = watt_gpu_ / h.gpus;
      temp_gpu_ += (air_ + h.gpu_kelvin_per_watt / cooling * each - temp_gpu_) * share(sub, 40);
    }
    const double hottest = has_gpu() ? std::max(temp_cpu_, temp_gpu_) : temp_cpu_;
    const double fan_target = .22 + .78 * unit((hottest - 42) / 42);
    fan_ += (fan_target - fan_) * share(sub, 8);
  }
}

HostSample Host::sample(std::int64_t step, std::int64_t time, double dt) {
  Generator random(key(seed_, sample_layer, static_cast<std::uint64_t>(step)),
                   static_cast<std::uint64_t>(node_));
  const auto now = static_cast<double>(time);
  if (step == 0) {  // as if it had been at work for long
    enter_phase(static_cast<int>(random.below(host_phases)), now);
    phase_end_ = now + (phase_end_ - now) * random.uniform();
    for (double& x : noise_) x = random.normal();
    dt = 3600;
  }
  follow_demand(now, dt, random);
  settle(dt);
  return read(time, random);
}

HostSample Host::read(std::int64_t time, Generator& random) {
  const HostHardware& h = hardware_;
  const double u_disk = disk_ / h.disk_max, u_net = net_ / h.net_max;
  const double noise = random.normal();
  // References to the last-level cache: 1.2 instructions per cycle, 1.5 to 4.5 % of them leave the inner
  // caches.
  references_ =
      1e3 * h.cores * ghz_ * (u_cpu_ + .002) * 1.2 * (.015 + .07 * level_.miss_ratio) * lognormal(.08, noise);
  misses_ = references_ * unit(level_.miss_ratio * lognormal(.12, random.normal()));
  const double packets = net_ * 1e6 / 900, transfers = disk_ * 1e6 / 65536;
  const double interrupts =
      (250 * h.cores * (.12 + .88 * u_cpu_) + .10 * packets + transfers + 1800 * h.gpus * u_gpu_) *
      lognormal(.06, random.normal());
  const double processes = std::round(150 + 2.5 * h.cores + level_.processes + 2 * random.normal());
  const double threads = std::round(1.6 * processes + 2 * h.cores + level_.threads + 6 * random.normal());
  const double switch_burst = random.uniform() < .02 ? std::min(pareto(1.5, random.uniform()), 40.0) : 1;
  const double switches = (45 * h.cores + .55 * interrupts + 2.5 * threads * u_cpu_) *
                          lognormal(.12, random.normal()) * switch_burst;
  const double pressure = unit((u_memory_ - .72) / .28);
  const double fault_burst = random.uniform() < .01 ? 20 * pareto(1.3, random.uniform()) : 1;
  const double faults = count((260 * pressure * pressure + 1.5 * u_disk + .02) * fault_burst, random);

  const double memory_power = h.memory_idle + h.memory_per_gb * misses_ * .064;  // 64 bytes per miss
  const double disk_power = h.disk_idle + h.disk_active * u_disk;
  const double net_power = h.net_idle + h.net_active * u_net;
  const double dc = h.board + watt_cpu_ + watt_gpu_ + memory_power + disk_power + net_power +
                    h.fan_max_power * fan_ * fan_ * fan_;
  const double x = dc / h.supply_rated;
  const double wall = dc + h.supply_rated * (.010 + .040 * x + .030 * x * x);

  HostSample out;
  out.time = time;
  out.node = node_;
  out.metrics = {steps_of(.1, 100 * u_cpu_),
                 steps_of(.1, 100 * u_memory_),
                 steps_of(.01, disk_),
                 steps_of(.01, net_),
                 std::round(100 * u_gpu_),
                 std::round(100 * gpu_memory_),
                 std::round(temp_cpu_ + .4 * random.normal()),
                 has_gpu() ? std::round(temp_gpu_ + .4 * random.normal()) : 0,
                 steps_of(60, h.fan_max_rpm * fan_ * (1 + .005 * random.normal())),
                 steps_of(.005, volt_ + .002 * random.normal()),
                 steps_of(.25, watt_cpu_ / volt_ * (1 + .01 * random.normal())),
                 steps_of(100, 1000 * ghz_),
                 steps_of(.001, misses_),
                 steps_of(.001, references_ - misses_),
                 std::round(switches),
                 faults,
                 std::round(interrupts),
                 steps_of(.01, load_),
                 processes,
                 threads};
  out.power_consumption = steps_of(.1, wall * (1 + .003 * random.normal()));
  return out;
}

}  // namespace emshap
