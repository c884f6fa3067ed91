// Training of the EmSHAP model on a GPU follows the CPU's: the set-GRU's loss and gradient, then both stages.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/emshap.h"
#include "models/set_gru_impl.h"
#include "models/set_gru_support.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

bool gpu_there() {
  const auto all = backends();
  return std::find(all.begin(), all.end(), Backend::cuda) != all.end();
}

const Device gpu{DeviceKind::cuda, 0};

struct OneStep {
  double loss = 0;
  std::vector<double> gradient;
};

OneStep train(SetGruOptions o, Device device, const SetGruRows& rows, const std::vector<double>& sizes,
              int times = 1) {
  SetGru model(o, DType::f32, device);
  for (std::size_t i = 0; i < model.store().parameters().size(); ++i) {
    const ParameterId id{static_cast<int>(i)};
    const std::int64_t n = model.store().value(id).elements();
    model.store().set(id, random_values(n, static_cast<std::uint64_t>(20 + i), .4));
  }
  TeamPool pool(1, device);
  model.prepare(1, rows.x.rows());
  Tensor loss = Tensor::zeros({1}, DType::f32, device);
  for (int i = 0; i < times; ++i)
    pool.run(rows.x.rows(), [&](Context& ctx, const ShardPlan& plan) {
      model.store().clear_gradients(ctx);
      model.train(ctx, plan, rows.batch(plan), sizes,
                  {.seed = 3, .purpose = RandomPurpose::masking, .step = 4}, loss);
    });
  pool.main().synchronize();
  Tensor here({1}, DType::f32);
  copy_bytes(here.view().data(), Device{}, loss.view().data(), device, sizeof(float));
  OneStep step{here.ptr<float>()[0], {}};
  Tensor gradient({model.store().flat_size()}, DType::f32);
  copy_bytes(gradient.view().data(), Device{}, model.store().flat_gradients().data(), device,
             gradient.elements() * size_of(DType::f32));
  step.gradient = to_doubles(gradient);
  return step;
}

void check_same(const OneStep& mine, const OneStep& cpu) {
  CHECK(std::abs(mine.loss - cpu.loss) <= 1e-5 * std::abs(cpu.loss));
  double largest = 0, worst = 0;
  for (const double g : cpu.gradient) largest = std::max(largest, std::abs(g));
  REQUIRE(mine.gradient.size() == cpu.gradient.size());
  for (std::size_t i = 0; i < cpu.gradient.size(); ++i)
    worst = std::max(worst, std::abs(mine.gradient[i] - cpu.gradient[i]));
  CAPTURE(largest);
  CHECK(worst <= 1e-4 * largest);
}

/// b follows a on two branches, c = a b + noise, k is one of three values that follow a.
std::string sample(int rows, bool rich) {
  Generator random({.seed = 8, .purpose = RandomPurpose::test});
  std::string text = rich ? "a,b,c,k\n" : "a,b,c\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.normal(), side = random.uniform() < .5 ? -1 : 1;
    const double b = side * a + .2 * random.normal(), c = a * b + .3 * random.normal();
    const bool hole = rich && i % 5 == 2;
    text += fmt::format("{:.5f},{},{:.5f}", a, hole ? "" : fmt::format("{:.5f}", b), c);
    if (rich) text += fmt::format(",{}", a < -.5 ? 1 : a < .5 ? 2 : 5);
    text += '\n';
  }
  return text;
}

EmshapResult train_all(const std::string& csv, EmshapOptions o, Device device) {
  o.hidden = 8;
  o.embedding = 3;
  o.components = 2;
  o.energy.hidden = 8;
  o.energy.blocks = 1;
  o.space.transform = FeatureTransform::standardise;
  o.space.rows_per_category = 5;
  o.training.max_steps = o.energy_training.max_steps = 20;
  o.training.batch_size = o.energy_training.batch_size = 32;
  o.training.adam.learning_rate = .01;
  o.training.validate_every = o.energy_training.validate_every = 1;
  o.energy_draws = 3;
  o.gate_draws = 10;
  o.host_threads = 1;
  ByteReader reader = [csv, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = csv.copy(buffer, capacity, at);
    at += count;
    return count;
  };
  CsvSource source("sample.csv", std::move(reader), ColumnSelection{});
  TeamPool pool(1, device);
  return train_emshap(prepare_emshap(source, o), pool);
}

void check_history(const EmshapResult& mine, const EmshapResult& cpu) {
  REQUIRE(mine.history.rows.size() == cpu.history.rows.size());
  for (std::size_t i = 0; i < cpu.history.rows.size(); ++i) {
    const HistoryRow &a = mine.history.rows[i], &b = cpu.history.rows[i];
    CAPTURE(b.stage);
    CAPTURE(b.step);
    CHECK(a.training[0] == doctest::Approx(b.training[0]).epsilon(1e-4));
    CHECK(a.validation[0] == doctest::Approx(b.validation[0]).epsilon(1e-4));
    for (std::size_t k = 1; k < a.training.size(); ++k) {
      CHECK(std::abs(a.training[k] - b.training[k]) < 1e-3);
      CHECK(std::abs(a.validation[k] - b.validation[k]) < 1e-3);
    }
  }
  CHECK(mine.gate.proposal_ll == doctest::Approx(cpu.gate.proposal_ll).epsilon(1e-4));
  CHECK(mine.fitted.model->proposal().device() == Device{});
  CHECK(mine.fitted.model->energy()->store().device() == Device{});
}

}  // namespace

TEST_CASE("set-GRU on a GPU: loss and gradient of the CPU, in one tile or several") {
  if (!gpu_there()) return;
  const std::vector<double> sizes{.4, .1, .1, .3, .1};
  const std::vector<std::int64_t> mixed{0, 3, 0, 0, 2}, numeric{0, 0, 0, 0, 0};
  for (const auto& categories : {mixed, numeric})
    for (const double missing : {0., .3})
      for (const std::int64_t B : {1, 33}) {
        SetGruOptions o = set_gru_options(categories);
        const SetGruRows rows = set_gru_rows(o.layout, B, DType::f32, missing);
        const OneStep cpu = train(o, Device{}, rows, sizes);
        CAPTURE(B);
        CAPTURE(missing);
        const OneStep mine = train(o, gpu, rows, sizes);
        check_same(mine, cpu);
        CHECK(train(o, gpu, rows, sizes, 3).gradient == mine.gradient);
        o.gpu_tile_rows = 10;
        check_same(train(o, gpu, rows, sizes), cpu);
      }
}

TEST_CASE("set-GRU on a GPU: sampled pairs, and rows without any value") {
  if (!gpu_there()) return;
  SetGruOptions o = set_gru_options({0, 3, 0, 0, 2});
  o.all_pairs_up_to = 2;
  o.sampled_pairs = 7;
  const std::vector<double> sizes(5, .2);
  for (const double missing : {.2, 1.}) {
    const SetGruRows rows = set_gru_rows(o.layout, 20, DType::f32, missing);
    check_same(train(o, gpu, rows, sizes), train(o, Device{}, rows, sizes));
  }
}

TEST_CASE("set-GRU on a GPU: the rows that pass together need about a gigabyte") {
  SetGruOptions o = set_gru_options(std::vector<std::int64_t>(20, 0), 64);
  CHECK(set_gru::gpu_tile_rows(o) > 8192);
  CHECK(set_gru::gpu_tile_rows(o) < 65536);
  o.hidden = 1 << 20;
  CHECK(set_gru::gpu_tile_rows(o) == 32);
  o.gpu_tile_rows = 5;
  CHECK(set_gru::gpu_tile_rows(o) == 5);
}

TEST_CASE("emshap on a GPU: 20 steps of both stages follow the CPU's") {
  if (!gpu_there()) return;
  for (const bool rich : {false, true}) {
    const std::string csv = sample(70, rich);
    EmshapOptions o;
    check_history(train_all(csv, o, gpu), train_all(csv, o, Device{}));
  }
}

TEST_CASE("emshap on a GPU: the absolute form and other losses") {
  if (!gpu_there()) return;
  EmshapOptions o;
  o.energy.form = EnergyForm::absolute;
  o.energy_loss = EnergyLoss::importance;
  const std::string csv = sample(60, true);
  check_history(train_all(csv, o, gpu), train_all(csv, o, Device{}));
}

TEST_CASE("emshap on a GPU: 20 steps of the masked MLP follow the CPU's") {
  if (!gpu_there()) return;
  EmshapOptions o;
  o.proposal = ProposalChoice::mlp;
  for (const bool rich : {false, true}) {
    const std::string csv = sample(70, rich);
    check_history(train_all(csv, o, gpu), train_all(csv, o, Device{}));
  }
}
