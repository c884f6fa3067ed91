// The power predictor trains on CUDA as on the CPU: the same curve, replayed steps with the bits of plain
// ones, a resumed run with the bits of a straight one, and errors that are found although no step waits.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "core/step_graph.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "report/child_process.h"
#include "support/compare.h"
#include "support/devices.h"
#include "train/power_task.h"
#if EMSHAP_CUDA_ON_HOST
#include "executor.h"
#endif

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr std::int64_t features = 6;

/// y = |x0| + x1 / 2 + noise.
PowerRows rows_of(std::int64_t count, std::uint64_t seed) {
  PowerRows rows{Tensor({count, features}, DType::f64), Tensor({count, 1})};
  Generator random({.seed = seed, .purpose = RandomPurpose::test});
  for (std::int64_t r = 0; r < count; ++r) {
    double* x = rows.x.ptr<double>() + r * features;
    for (std::int64_t c = 0; c < features; ++c) x[c] = random.normal();
    rows.y.ptr<float>()[r] = static_cast<float>(std::abs(x[0]) + .5 * x[1] + .1 * random.normal());
  }
  return rows;
}

struct Run {
  explicit Run(Backend backend, const StageOptions& stage, std::int64_t count = 640, Loss loss = Loss::mse,
               bool batch_norm = true)
      : pool(make_pool(1, backend)),
        network(
            {.features = features, .hidden = {24, 12}, .batch_norm = batch_norm, .dropout = .1, .seed = 5},
            DType::f32, device_of(backend)),
        task(network, rows_of(count, 1), rows_of(100, 2), nullptr, loss, 1),
        trainer(*pool, 11) {
    trainer.add_stage("power", task, stage);
  }
  std::vector<double> curve() const {
    std::vector<double> losses;
    for (const HistoryRow& row : trainer.history().rows) losses.push_back(row.training[0]);
    return losses;
  }
  std::vector<double> values() { return to_doubles(network.store().flat_values()); }
  std::unique_ptr<TeamPool> pool;
  PowerPredictor network;
  PowerTask task;
  Trainer trainer;
};

StageOptions options(std::int64_t steps) {
  StageOptions o;
  o.max_steps = steps;
  o.batch_size = 64;
  o.adam.learning_rate = 3e-3;
  o.adam.weight_decay = 1e-3;
  o.clip_norm = 1;
  o.ema_decay = .98;
  o.schedule.kind = ScheduleKind::cosine;
  o.early_stopping.patience = 0;
  return o;
}

bool on_gpu(Backend backend) {
  return backend == Backend::cuda;
}

}  // namespace

TEST_CASE("power: training follows the CPU's loss curve, dropout on") {
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    StageOptions o = options(100);
    o.validate_every = 1;  // a row of the history for each step
    for (const Loss loss : {Loss::mse, Loss::huber}) {
      Run cpu(cpu_backend(), o, 640 + 37, loss), gpu(backend, o, 640 + 37, loss);  // batches of two sizes
      cpu.trainer.run();
      gpu.trainer.run();
      const auto expected = cpu.curve(), got = gpu.curve();
      REQUIRE(got.size() == 100);
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(got[i] - expected[i]) <= (i < 20 ? 1e-4 : 1e-2) * expected[i]);
        const HistoryRow &a = gpu.trainer.history().rows[i], &b = cpu.trainer.history().rows[i];
        CHECK(std::abs(a.validation[0] - b.validation[0]) <= (i < 20 ? 1e-4 : 1e-2) * b.validation[0]);
        CHECK(std::abs(a.gradient_norm - b.gradient_norm) <= (i < 20 ? 1e-3 : 5e-2) * b.gradient_norm);
      }
      CHECK(expected.back() < .7 * expected.front());
    }
  }
}

TEST_CASE("power: the history is that of the CPU, whenever it is looked at") {
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    Run cpu(cpu_backend(), options(45)), gpu(backend, options(45)), again(backend, options(45));
    for (Run* run : {&cpu, &gpu, &again}) run->trainer.run();
    check_close("losses", gpu.curve(), cpu.curve(), {0, 1e-3});
    check_same_bits("again", again.curve(), gpu.curve());
    check_same_bits("weights", again.values(), gpu.values());
    CHECK(gpu.trainer.results()[0].best_epoch == cpu.trainer.results()[0].best_epoch);
  }
}

TEST_CASE("power: a resumed run has the bits of a straight one on every device") {
  const report::TemporaryFolder folder;
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    for (const int stop_at : {1, 3, 10, 17}) {
      Run straight(backend, options(30));
      straight.trainer.run();
      {
        Run first(backend, options(30));
        first.trainer.set_checkpoint(folder.path() / "checkpoint", "power", "");
        CHECK_FALSE(first.trainer.run_steps(stop_at));
      }
      Run second(backend, options(30));
      second.trainer.set_checkpoint(folder.path() / "checkpoint", "power", "");
      second.trainer.resume();
      second.trainer.run();
      check_same_bits("weights", second.values(), straight.values());
      check_same_bits("losses", second.curve(), straight.curve());
    }
  }
}

TEST_CASE("power: a step takes no memory and waits for nothing after the second") {
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    Run run(backend, options(200), 64 * 100);
    run.trainer.run_steps(2);
    const std::int64_t blocks = allocation_count();
#if EMSHAP_CUDA_ON_HOST
    const std::int64_t waits = host_cuda::host_waits();
#endif
    run.trainer.run_steps(60);
    CHECK(allocation_count() == blocks);
#if EMSHAP_CUDA_ON_HOST
    CHECK(host_cuda::host_waits() == waits);
#endif
  }
}

TEST_CASE("power: a step can be captured and gives the bits of a plain one") {
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    std::vector<double> gradients[2];
    for (const bool captured : {false, true}) {
      Run run(backend, options(30));
      StepGraph graph(captured);
      Tensor terms({1}, DType::f32, device_of(backend));
      run.task.prepare(1, 64);
      std::vector<std::int64_t> order(640);
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i * 7 % 640);
      for (std::int64_t step = 0; step < 10; ++step)
        run.pool->run(64, [&](Context& ctx, const ShardPlan& plan) {
          graph.run(ctx, 64, [&] {
            const StepInfo info{.seed = 1, .step = step, .rows = {order.data() + 64 * step, std::size_t{64}}};
            run.task.step(ctx, plan, info, terms);  // gradients add up
          });
        });
      run.pool->main().synchronize();
      CHECK(graph.replays() == (captured ? 8 : 0));
      CHECK(graph.instances() == (captured ? 1 : 0));
      CHECK(graph.broken() == 0);
      gradients[captured ? 1 : 0] = to_doubles(run.network.store().flat_gradients());
    }
    CHECK(max_abs(gradients[0]) > 0);
    check_same_bits("gradients", gradients[1], gradients[0]);
  }
}

TEST_CASE("power: a loss that is not finite is found, the weights stay good and nothing is written") {
  const report::TemporaryFolder folder;
  const auto file = folder.path() / "checkpoint";
  for (const Backend backend : backends()) {
    if (!on_gpu(backend)) continue;
    Run run(backend, options(30));
    run.trainer.set_checkpoint(file, "power", "");
    run.trainer.run_steps(5);
    const auto good = run.values();
    // From now on every prediction is infinite or NaN.
    ParameterStore& store = run.network.store();
    store.set(store.find("output.bias"), std::vector<double>{std::numeric_limits<double>::infinity()});
    const std::int64_t written = static_cast<std::int64_t>(std::filesystem::file_size(file));
    const auto time = std::filesystem::last_write_time(file);
    std::string text;
    try {
      run.trainer.run_steps(3);  // ends by saving: the latest moment to find out
    } catch (const NumericalError& e) {
      text = e.what();
    }
    CHECK_MESSAGE(text.find("stage power: the loss is") != std::string::npos, text);
    CHECK_MESSAGE(text.find("epoch 1, step 6") != std::string::npos, text);
    CHECK(static_cast<std::int64_t>(std::filesystem::file_size(file)) == written);
    CHECK(std::filesystem::last_write_time(file) == time);
    // Updates with such gradients are left out: only the bias, put there by this test, is not as it was.
    const auto after = run.values();
    std::int64_t changed = 0;
    for (std::size_t i = 0; i < good.size(); ++i) changed += after[i] == good[i] ? 0 : 1;
    CHECK(changed == 1);
  }
}
