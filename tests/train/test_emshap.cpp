// Training of the EmSHAP model from a table to a run folder: both stages learn, the same bits for any number
// of threads, after a resume and after loading; the gate; rows with missing values; one sentence for faults.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/checkpoint.h"
#include "emshap/train/emshap.h"
#include "report/child_process.h"
#include "train/emshap_architecture.h"
#include "train/energy_task.h"

using namespace emshap;

namespace {

struct Sample {
  bool missing = false, categorical = false;
};

/// b follows a on two branches, c = a b + noise; d is constant; k is one of three values that follow a.
std::string sample(int rows, Sample what = {}) {
  Generator random({.seed = 8, .purpose = RandomPurpose::test});
  std::string text = what.categorical ? "a,b,c,d,k\n" : "a,b,c,d\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.normal(), side = random.uniform() < .5 ? -1 : 1;
    const double b = side * a + .2 * random.normal(), c = a * b + .3 * random.normal();
    const bool hole = what.missing && i % 5 == 2, empty = what.missing && i % 50 == 7;
    const std::string b_text = hole || empty ? "" : fmt::format("{:.5f}", b);
    text += empty ? std::string(",,,3") : fmt::format("{:.5f},{},{:.5f},3", a, b_text, c);
    if (what.categorical) text += empty ? "," : fmt::format(",{}", a < -.5 ? 1 : a < .5 ? 2 : 5);
    text += '\n';
  }
  return text;
}

EmshapJob job_of(const std::string& csv, const EmshapOptions& options) {
  ByteReader reader = [csv, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = csv.copy(buffer, capacity, at);
    at += count;
    return count;
  };
  CsvSource source("sample.csv", std::move(reader), ColumnSelection{});
  return prepare_emshap(source, options);
}

EmshapOptions quick() {
  EmshapOptions o;
  o.hidden = 12;
  o.embedding = 4;
  o.components = 2;
  o.energy.hidden = 16;
  o.energy.blocks = 1;
  o.space.transform = FeatureTransform::standardise;
  o.training.max_steps = 12;
  o.training.batch_size = 260;  // several shards, so that threads share a batch
  o.training.adam.learning_rate = .01;
  o.energy_training.max_steps = 6;
  o.energy_training.batch_size = 130;
  o.energy_draws = 4;
  o.validations = 3;
  o.gate_draws = 20;
  return o;
}

/// Everything that was learnt.
std::vector<float> weights(const FittedEmshap& fitted) {
  std::vector<float> all;
  auto& proposal = dynamic_cast<TrainableProposal&>(fitted.model->proposal());
  for (ParameterStore* store : {&proposal.store(), &fitted.model->energy()->store()}) {
    const TensorView values = store->flat_values();
    all.insert(all.end(), values.ptr<float>(), values.ptr<float>() + values.elements());
  }
  all.push_back(static_cast<float>(fitted.energy_gain));
  return all;
}

bool told(const EmshapJob& job, const std::string& text) {
  for (const auto& [level, line] : job.messages)
    if (line.find(text) != std::string::npos) return true;
  return false;
}

/// Collects log lines.
struct Lines : ProgressSink {
  std::string text;
  void log(LogLevel, const std::string& line) override { text += line + "\n"; }
};

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("emshap: both stages learn, and the gate decides by the gain it reports") {
  EmshapOptions o = quick();
  o.training.max_steps = 250;
  o.training.batch_size = 128;
  o.validations = 10;
  o.energy_training.max_steps = 60;
  o.gate_draws = 200;
  const EmshapJob job = job_of(sample(1500), o);
  CHECK(job.space.features() == 3);  // without d
  TeamPool pool(2);
  Lines lines;
  const EmshapResult result = train_emshap(job, pool, nullptr, false, {}, lines);
  REQUIRE(result.stages.size() == 2);
  CHECK(result.stages[0].name == "proposal");
  CHECK(result.stages[1].name == "energy");
  CHECK(result.stages[1].steps == 60);
  const HistoryRow& first = result.history.rows.front();
  CHECK(result.stages[0].best_validation_loss < first.validation[0] - .05);
  CHECK(result.stages[0].best_validation_loss < 1.25);  // the Gaussian has about 1.3
  const HistoryRow& last = result.history.rows.back();
  REQUIRE(last.stage == "energy");
  REQUIRE(last.validation.size() == 3);
  CHECK(last.validation[0] < 2 * std::log(2.) + .02);  // of g = 0
  CHECK((last.validation[1] > .2 && last.validation[1] <= 1));
  CHECK(last.training.size() == 3);

  const EmshapGate& g = result.gate;
  CHECK(g.pairs == 500);
  CHECK(g.gain == doctest::Approx(g.full_ll - g.proposal_ll));
  CHECK((g.gain_error > 0 && g.gain_error < .1));
  CHECK(g.used == (g.gain > o.gate_gain && g.gain > 2 * g.gain_error));
  CHECK(g.proposal_ll == doctest::Approx(-result.stages[0].best_validation_loss).epsilon(.3));
  CHECK(result.fitted.energy_used == g.used);
  CHECK(result.fitted.model->energy_used() == g.used);
  CHECK(has(lines.text, g.used ? "its weights are used" : "its weights are not used"));

  for (const double threshold : {-1e9, 1e9}) {
    EmshapJob other = job;
    other.options.training.max_steps = 3;
    other.options.energy_training.max_steps = 2;
    other.options.gate_gain = threshold;
    CHECK(train_emshap(other, pool).fitted.energy_used == (threshold < 0));
  }
}

TEST_CASE("emshap: the same bits for 1, 2, 3 and 7 threads") {
  for (const bool rich : {false, true}) {
    EmshapOptions o = quick();
    o.space.rows_per_category = 5;
    const EmshapJob job = job_of(sample(600, {.missing = rich, .categorical = rich}), o);
    std::vector<float> reference;
    for (const int threads : {1, 2, 3, 7}) {
      TeamPool pool(threads);
      const std::vector<float> mine = weights(train_emshap(job, pool).fitted);
      if (reference.empty()) reference = mine;
      CAPTURE(threads);
      CHECK(mine == reference);
    }
  }
}

TEST_CASE("emshap: options change what is trained") {
  const std::string csv = sample(400);
  TeamPool pool(1);
  const auto run = [&](auto change) {
    EmshapOptions o = quick();
    o.training.batch_size = 64;
    change(o);
    const EmshapResult result = train_emshap(job_of(csv, o), pool);
    for (const float w : weights(result.fitted))
      if (!std::isfinite(w) && result.gate.pairs > 0) return std::vector<float>{};
    return weights(result.fitted);
  };
  const auto base = run([](EmshapOptions&) {});
  REQUIRE_FALSE(base.empty());
  CHECK(run([](EmshapOptions&) {}) == base);
  const auto differs = [&](auto change) {
    const auto mine = run(change);
    CHECK_FALSE(mine.empty());
    CHECK(mine != base);
  };
  CHECK(run([](EmshapOptions& o) { o.masking.kind = Masking::kernel; }) == base);  // uniform for 3 features
  differs([](EmshapOptions& o) { o.seed = 7; });
  for (const Masking m : {Masking::bernoulli, Masking::linear, Masking::progressive})
    differs([m](EmshapOptions& o) { o.masking.kind = m; });
  differs([](EmshapOptions& o) { o.energy_loss = EnergyLoss::ranking_nce; });
  differs([](EmshapOptions& o) { o.energy_loss = EnergyLoss::importance; });
  differs([](EmshapOptions& o) { o.energy.form = EnergyForm::absolute; });
  differs([](EmshapOptions& o) { o.energy_draws = 5; });
  differs([](EmshapOptions& o) { o.training.ema_decay = 0; });
  differs([](EmshapOptions& o) { o.space.transform = FeatureTransform::quantile; });
  differs([](EmshapOptions& o) { o.proposal = ProposalChoice::mlp; });
}

TEST_CASE("emshap: training by sizes that move until the end is not stopped before") {
  TeamPool pool(1);
  const auto stage_of = [&](Masking masking) {
    EmshapOptions o = quick();
    o.masking.kind = masking;
    o.training.max_steps = 30;
    o.training.adam.learning_rate = .5;  // soon gets worse
    o.training.early_stopping.patience = 1;
    o.training.validate_every = 1;
    return train_emshap(job_of(sample(400), o), pool).stages.front();
  };
  CHECK(stage_of(Masking::uniform).stopped_early);
  CHECK_FALSE(stage_of(Masking::linear).stopped_early);
  CHECK(stage_of(Masking::linear).steps == 30);
  CHECK(stage_of(Masking::progressive).steps == 30);
}

TEST_CASE("emshap: of two proposals the one with the better held-out CRPS is kept") {
  EmshapOptions o = quick();
  o.proposal = ProposalChoice::automatic;
  const EmshapJob job = job_of(sample(400), o);
  TeamPool pool(2);
  const EmshapResult result = train_emshap(job, pool);
  REQUIRE(result.stages.size() == 3);
  CHECK(result.stages[0].name == "proposal_gru");
  CHECK(result.stages[1].name == "proposal_mlp");
  REQUIRE(result.crps.size() == 2);
  const bool mlp = result.crps[1].second < result.crps[0].second;
  CHECK(result.fitted.proposal == (mlp ? "mlp" : "gru"));
}

TEST_CASE("emshap: without validation rows the last weights are kept and the energy is not used") {
  EmshapOptions o = quick();
  o.split.validation = 0;
  o.split.train = .8;
  const EmshapJob job = job_of(sample(300), o);
  TeamPool pool(1);
  Lines lines;
  const EmshapResult result = train_emshap(job, pool, nullptr, false, {}, lines);
  CHECK_FALSE(result.fitted.energy_used);
  CHECK(std::isnan(result.fitted.energy_gain));
  CHECK(has(lines.text, "no validation rows"));
}

TEST_CASE("emshap: batches of any size, the last row included") {
  TeamPool pool(2);
  for (const std::int64_t batch : {1, 2, 31, 69, 70, 71, 1000}) {  // 70 training rows
    EmshapOptions o = quick();
    o.training.batch_size = o.energy_training.batch_size = batch;
    o.training.max_steps = 4;
    o.energy_training.max_steps = 3;
    const EmshapResult result = train_emshap(job_of(sample(100), o), pool);
    for (const float w : weights(result.fitted)) REQUIRE(std::isfinite(w));
  }
}

TEST_CASE("emshap: rows with missing values train; rows without any value are left out and counted") {
  EmshapOptions o = quick();
  o.training.max_steps = 120;
  o.training.batch_size = 128;
  const EmshapJob job = job_of(sample(1000, {.missing = true}), o);
  CHECK(told(job, "20 rows without any value are left out"));
  CHECK(job.train.size() + job.validation.size() + job.test.size() == 980);
  TeamPool pool(2);
  const EmshapResult result = train_emshap(job, pool);
  CHECK(result.stages[0].best_validation_loss < result.history.rows.front().validation[0]);
  for (const EnergyForm form : {EnergyForm::residual, EnergyForm::absolute}) {
    EmshapJob other = job;
    other.options.training.max_steps = 5;
    other.options.energy.form = form;
    const EmshapResult short_run = train_emshap(other, pool);
    for (const float w : weights(short_run.fitted)) REQUIRE(std::isfinite(w));
  }
}

TEST_CASE("emshap: data that cannot be trained on") {
  const EmshapOptions o = quick();
  std::string never = "a,b,c\n", flat = "a,b\n", empty = "a,b\n";
  for (int i = 0; i < 60; ++i) {
    never += fmt::format("{},,{}\n", i * .37, i % 7);
    flat += "1,2\n";
    empty += ",\n";
  }
  const std::string text = message_of([&] { job_of(never, o); });
  CHECK(has(text, "b"));
  CHECK(has(text, "sample.csv"));
  CHECK_THROWS_AS(job_of(never, o), DataError);
  CHECK_THROWS_AS(job_of(flat, o), DataError);
  CHECK_THROWS_AS(job_of(empty, o), DataError);
  CHECK_THROWS_AS(job_of("a,b\n", o), DataError);
}

TEST_CASE("emshap: options that only the energy needs are looked at before anything is trained") {
  for (const bool gate : {false, true}) {
    EmshapOptions o = quick();
    (gate ? o.gate_draws : o.energy_draws) = 0;
    const EmshapJob job = job_of(sample(300), o);
    TeamPool pool(1);
    Lines lines;
    CHECK_THROWS_AS(train_emshap(job, pool, nullptr, false, {}, lines), ConfigError);
    CHECK(lines.text.empty());
  }
}

TEST_CASE("emshap: duplicate columns and columns of one value train") {
  std::string csv = "a,b,twin,one\n";
  Generator random({.seed = 3, .purpose = RandomPurpose::test});
  for (int i = 0; i < 300; ++i) {
    const double a = random.normal(), b = random.normal();
    csv += fmt::format("{:.4f},{:.4f},{:.4f},7\n", a, b, a);
  }
  TeamPool pool(2);
  const EmshapResult result = train_emshap(job_of(csv, quick()), pool);
  CHECK(result.fitted.space.features() == 3);
  for (const float w : weights(result.fitted)) REQUIRE(std::isfinite(w));
}

TEST_CASE("emshap: a loss that is not finite names stage, epoch and step") {
  EmshapOptions o = quick();
  o.training.adam.learning_rate = 1e30;
  o.training.clip_norm = 0;
  const EmshapJob job = job_of(sample(300), o);
  TeamPool pool(2);
  CHECK_THROWS_AS(train_emshap(job, pool), NumericalError);
  const std::string text = message_of([&] { train_emshap(job, pool); });
  for (const char* part : {"stage proposal", "epoch", "step"}) CHECK(has(text, part));
}

TEST_CASE("emshap: a run folder, stopped at every step and resumed, gives the model of a straight run") {
  EmshapOptions o = quick();
  o.training.max_steps = 7;
  o.energy_training.max_steps = 4;
  for (const ProposalChoice choice : {ProposalChoice::gru, ProposalChoice::automatic}) {
    o.proposal = choice;
    const report::TemporaryFolder folder;
    const EmshapJob job = job_of(sample(500), o);
    TeamPool pool(2);
    const std::vector<float> straight = weights(train_emshap(job, pool).fitted);

    RunDirectory run = RunDirectory::prepare(folder.path() / "run", EmshapFiles::model, RunMode::create);
    StopToken stop;
    stop.request_stop();  // after each step
    CHECK_THROWS_AS(train_emshap(job, pool, &run, false, "x = 1\n", null_sink(), &stop), Interrupted);
    CHECK_THROWS_AS(load_emshap(run), IoError);  // not finished
    const int steps = choice == ProposalChoice::gru ? 11 : 18;
    for (int i = 1; i < steps; ++i) {
      CAPTURE(i);
      CHECK_THROWS_AS(train_emshap(job, pool, &run, true, "x = 1\n", null_sink(), &stop), Interrupted);
    }
    const EmshapResult resumed = train_emshap(job, pool, &run, true, "x = 1\n");
    CHECK(weights(resumed.fitted) == straight);
    CHECK(resumed.history.stages.size() == (choice == ProposalChoice::gru ? 2 : 3));
    CHECK(resumed.crps.size() == resumed.history.stages.size() - 1);
    finish_emshap(run, {});

    const RunDirectory opened = RunDirectory::open(run.folder());
    const FittedEmshap loaded = load_emshap(opened);
    CHECK(weights(loaded) == straight);
    CHECK(loaded.proposal == resumed.fitted.proposal);
    CHECK(loaded.energy_used == resumed.fitted.energy_used);
    CHECK(loaded.model->energy_used() == resumed.fitted.energy_used);
    CHECK(loaded.space.hash() == job.space.hash());
    CHECK(read_file(opened.verified(EmshapFiles::config)) == "x = 1\n");

    // Other data under the same run are refused.
    CHECK_THROWS_AS(train_emshap(job_of(sample(501), o), pool, &run, true), IoError);
  }
}

TEST_CASE("emshap: files of a run that do not fit together are refused in one sentence") {
  const report::TemporaryFolder folder;
  EmshapOptions o = quick();
  o.training.max_steps = 2;
  o.energy_training.max_steps = 1;
  const EmshapJob job = job_of(sample(200), o);
  TeamPool pool(1);
  RunDirectory run = RunDirectory::prepare(folder.path() / "run", EmshapFiles::model, RunMode::create);
  train_emshap(job, pool, &run, false, "");
  CHECK(has(message_of([&] { load_emshap(run); }), "has not been finished"));
  finish_emshap(run, {});
  CHECK_NOTHROW(load_emshap(run));
  const std::string space = read_file(run.path(EmshapFiles::space));
  const std::string checkpoint = read_file(run.path(EmshapFiles::checkpoint));

  // A feature set of its own.
  const EmshapJob other = job_of(sample(200, {.categorical = true}), o);
  write_file_atomically(run.path(EmshapFiles::space), other.space.to_json());
  CHECK(has(message_of([&] { load_emshap(run); }), "changed or damaged"));
  run.add_file(EmshapFiles::model, EmshapFiles::space);
  CHECK(has(message_of([&] { load_emshap(run); }), "another feature set"));
  write_file_atomically(run.path(EmshapFiles::space), space.substr(0, space.size() / 2));
  run.add_file(EmshapFiles::model, EmshapFiles::space);
  CHECK_THROWS_AS(load_emshap(run), IoError);
  write_file_atomically(run.path(EmshapFiles::space), space);
  run.add_file(EmshapFiles::model, EmshapFiles::space);
  CHECK_NOTHROW(load_emshap(run));

  for (std::size_t cut = 0; cut < checkpoint.size(); cut += checkpoint.size() / 50) {
    write_file_atomically(run.path(EmshapFiles::checkpoint), checkpoint.substr(0, cut));
    CHECK_THROWS_AS(load_emshap(run), IoError);
    run.add_file(EmshapFiles::model, EmshapFiles::checkpoint);
    CHECK_THROWS_AS(load_emshap(run), IoError);
  }
  CheckpointWriter power;
  power.add("architecture", R"({"model": "power"})");
  power.write(run.path(EmshapFiles::checkpoint));
  run.add_file(EmshapFiles::model, EmshapFiles::checkpoint);
  CHECK(has(message_of([&] { load_emshap(run); }), "power"));
  // A checkpoint of another model cannot be resumed either.
  CHECK_THROWS_AS(train_emshap(job, pool, &run, true), IoError);
}

TEST_CASE("emshap: the architecture text makes the same model again") {
  EmshapOptions o = quick();
  o.space.rows_per_category = 5;
  TeamPool pool(1);
  for (const ProposalChoice choice : {ProposalChoice::gru, ProposalChoice::mlp}) {
    o.proposal = choice;
    o.training.max_steps = 2;
    o.energy_training.max_steps = 1;
    const EmshapResult result = train_emshap(job_of(sample(300, {.categorical = true}), o), pool);
    const std::string text = emshap_architecture(*result.fitted.model, "some hash");
    CHECK(architecture_space_hash(text) == "some hash");
    const auto again = make_emshap_model(text);
    CHECK(emshap_architecture(*again, "some hash") == text);
    CHECK(again->proposal().layout() == result.fitted.model->proposal().layout());
    CHECK(again->proposal().layout().total_categories() == 3);
    CHECK_FALSE(again->energy_used());
    for (std::size_t cut = 0; cut < text.size(); cut += 37)
      CHECK_THROWS_AS(make_emshap_model(text.substr(0, cut)), IoError);
  }
  CHECK_THROWS_AS(make_emshap_model("{}"), IoError);
  CHECK_THROWS_AS(make_emshap_model(R"({"model": "power"})"), IoError);
}

TEST_CASE("emshap: a training step takes no memory after the first ones") {
  EmshapOptions o = quick();
  const EmshapJob job = job_of(sample(1200, {.missing = true}), o);
  const Tensor raw = raw_features(job.table, job.train);
  const HeldOutPairs none = HeldOutPairs::make(job.space, raw.view().rows(0, 0), 1, 0, 0);
  for (const int threads : {1, 2}) {
    TeamPool pool(threads);
    EmshapArchitecture a;
    a.layout = FeatureLayout::numeric(3);
    a.base = {{0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    a.energy = o.energy;
    a.energy.features = 3;
    a.proposals = {{.kind = "gru", .hidden = 12, .components = 2, .embedding = 4, .blocks = 0, .seed = 1}};
    auto proposal = a.make_proposal("gru", DType::f32, Device{});
    ProposalTask first(*proposal, job.space, raw, none, {}, EmshapStream::gru);
    const auto model = a.make_model(std::move(proposal));
    EnergyTask second(*model, "gru", job.space, raw, none, EnergyLoss::binary_nce, 4, 1);
    for (TrainingTask* task : {static_cast<TrainingTask*>(&first), static_cast<TrainingTask*>(&second)}) {
      Trainer trainer(pool, 1);
      StageOptions stage = o.training;
      stage.batch_size = 128;
      trainer.add_stage("stage", *task, stage);
      trainer.run_steps(7);  // an epoch has 6 steps, the last one of more rows
      const std::int64_t before = allocation_count();
      trainer.run_steps(4);
      CAPTURE(threads);
      CHECK(allocation_count() == before);
    }
  }
}
