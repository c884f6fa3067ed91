// The noise that all coalitions and explicands share.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/ops/draw_noise.h"
#include "explain/draw_plan.h"

namespace emshap {

namespace {

/// Order number o of all that a seed gives: the first is ascending.
std::vector<std::int64_t> generation_order(std::int64_t features, std::uint64_t seed, std::int64_t o) {
  if (o > 0)
    return permutation({.seed = seed,
                        .purpose = RandomPurpose::proposal,
                        .layer = order_layer,
                        .step = static_cast<std::uint64_t>(o)},
                       features);
  std::vector<std::int64_t> ascending(static_cast<std::size_t>(features));
  std::iota(ascending.begin(), ascending.end(), std::int64_t{0});
  return ascending;
}

}  // namespace

DrawPlan DrawPlan::make(std::int64_t features, const DrawnValueOptions& o, bool energy_used) {
  const auto check = [](bool fits, const std::string& what) {
    if (!fits) throw ConfigError("draws: " + what);
  };
  check(features >= 1, "the model has no features, expected at least 1");
  check(o.draws >= 1, fmt::format("{} draws were asked for, expected at least 1", o.draws));
  const bool sobol = o.noise == ValueNoise::sobol;
  check(!sobol || o.replicates >= 1,
        fmt::format("{} replicates were asked for, expected at least 1", o.replicates));
  check(
      !sobol || o.draws % o.replicates == 0,
      fmt::format("{} replicates were asked for, expected a divisor of the {} draws", o.replicates, o.draws));
  check(o.orders >= 0, fmt::format("{} orders were asked for, expected 0 or more", o.orders));
  check(
      o.orders <= 1 || !energy_used,
      fmt::format("{} orders were asked for, expected 1 because the energy's weights hold for the ascending "
                  "order only",
                  o.orders));
  const std::int64_t groups = sobol ? o.replicates : o.draws, wanted = energy_used ? 1 : 4;
  check(o.orders <= groups, fmt::format("{} orders were asked for, expected at most {}, the number of {}",
                                        o.orders, groups, sobol ? "replicates" : "draws"));
  DrawPlan plan;
  plan.draws = o.draws;
  plan.replicates = sobol ? o.replicates : 1;
  const std::int64_t orders = o.orders > 0 ? o.orders : std::min(wanted, groups);
  const std::int64_t of_group = o.draws / groups;
  for (std::int64_t i = 0; i < orders; ++i) {
    const std::int64_t first = groups * i / orders, last = groups * (i + 1) / orders;
    plan.parts.push_back(
        {first * of_group, (last - first) * of_group, generation_order(features, o.seed, i)});
  }
  return plan;
}

SharedNoise SharedNoise::make(std::int64_t features, const DrawnValueOptions& options, bool energy_used) {
  DrawnValueOptions shared = options;
  shared.noise = ValueNoise::sobol;
  const DrawPlan plan = DrawPlan::make(features, shared, energy_used);
  SharedNoise noise;
  noise.uniforms = Tensor({plan.draws, features});
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(plan.replicates));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  const std::int64_t of_replicate = plan.draws / plan.replicates;
  Context ctx;
  ops::fill_draw_noise(ctx, DrawNoise::sobol, {.seed = options.seed, .purpose = RandomPurpose::proposal},
                       numbers, 0, of_replicate, noise.uniforms);
  for (const DrawPlan::Part& part : plan.parts)
    for (std::int64_t k = 0; k < part.draws; k += of_replicate) noise.order.push_back(part.order);
  return noise;
}

}  // namespace emshap
