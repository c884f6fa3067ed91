// Training of the power predictor from a table to a run folder: the same bits for any number of threads,
// after a resume and after loading, and no memory taken by a step.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/data/csv.h"
#include "emshap/train/power.h"
#include "report/child_process.h"
#include "train/power_task.h"

using namespace emshap;

namespace {

/// y = |a| + .5 b, c without influence, d constant, some cells of b empty when asked for.
std::string sample(int rows, bool missing = false) {
  Generator random({.seed = 8, .purpose = RandomPurpose::test});
  std::string text = "a,b,c,d,y\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.normal(), b = random.normal(), c = random.uniform();
    const std::string b_text = missing && i % 9 == 4 ? "" : fmt::format("{:.5f}", b);
    text += fmt::format("{:.5f},{},{:.5f},3,{:.5f}\n", a, b_text, c, std::abs(a) + .5 * b);
  }
  return text;
}

PowerJob job_of(const std::string& csv, const PowerOptions& options) {
  ByteReader reader = [csv, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = csv.copy(buffer, capacity, at);
    at += count;
    return count;
  };
  CsvSource source("sample.csv", std::move(reader),
                   {.target = "y", .features = {}, .exclude = {}, .group = "", .time = "", .node_id = ""});
  return prepare_power(source, options);
}

PowerOptions quick() {
  PowerOptions o;
  o.network.hidden = {24, 12};
  o.training.epochs = 8;
  o.training.batch_size = 260;  // several shards, so that threads share a batch
  o.training.adam.learning_rate = .01;
  return o;
}

std::vector<float> predictions(const PowerResult& result) {
  std::vector<float> all;
  for (const PowerPart& part : result.parts)
    all.insert(all.end(), part.predicted.begin(), part.predicted.end());
  return all;
}

}  // namespace

TEST_CASE("power: learns a bent function and reports on every part") {
  PowerOptions o = quick();
  o.training.epochs = 40;
  const PowerJob job = job_of(sample(2000), o);
  TeamPool pool(2);
  const PowerResult result = train_power(job, pool);
  REQUIRE(result.parts.size() == 3);
  CHECK(result.parts[0].name == "train");
  CHECK(result.parts[2].name == "test");
  CHECK(result.parts[2].metrics.rows == 400);
  CHECK(result.parts[2].metrics.r2 > .97);
  CHECK(result.history.rows.size() == static_cast<std::size_t>(result.training.epochs));
  bool told = false;  // the constant column
  for (const auto& [level, text] : job.messages)
    told |= level == LogLevel::warning && text.find("d") != std::string::npos;
  CHECK(told);
}

TEST_CASE("power: the same bits for 1, 2, 3 and 7 threads") {
  for (const bool missing : {false, true}) {
    const PowerJob job = job_of(sample(900, missing), quick());
    std::vector<float> reference;
    for (const int threads : {1, 2, 3, 7}) {
      TeamPool pool(threads);
      const std::vector<float> mine = predictions(train_power(job, pool));
      if (reference.empty()) reference = mine;
      CAPTURE(threads);
      CHECK(mine == reference);
    }
  }
}

TEST_CASE("power: options change what is trained") {
  const std::string csv = sample(600);
  TeamPool pool(1);
  const auto run = [&](auto change) {
    PowerOptions o = quick();
    change(o);
    return predictions(train_power(job_of(csv, o), pool));
  };
  const auto base = run([](PowerOptions&) {});
  CHECK(run([](PowerOptions&) {}) == base);
  CHECK(run([](PowerOptions& o) { o.seed = 7; }) != base);
  CHECK(run([](PowerOptions& o) { o.bins = 0; }) != base);
  CHECK(run([](PowerOptions& o) { o.network.members = 1; }) != base);
  CHECK(run([](PowerOptions& o) { o.loss = Loss::huber; }) != base);
  CHECK(run([](PowerOptions& o) { o.network.residual_blocks = 1; }) != base);
  CHECK(run([](PowerOptions& o) { o.training.ema_decay = .9; }) != base);
  CHECK(run([](PowerOptions& o) {
          o.split.validation = 0;
          o.split.train = .8;
        }) != base);
}

TEST_CASE("power: batches of any size, the last row included") {
  TeamPool pool(2);
  for (const std::int64_t batch : {2, 31, 64, 69, 70, 71, 1000}) {  // 70 training rows
    PowerOptions o = quick();
    o.training.batch_size = batch;
    o.training.epochs = 2;
    for (const float p : predictions(train_power(job_of(sample(100), o), pool))) REQUIRE(std::isfinite(p));
  }
}

TEST_CASE("power: a run folder, stopped and resumed, gives the predictions of a straight run") {
  const report::TemporaryFolder folder;
  const PowerJob job = job_of(sample(700), quick());
  TeamPool pool(2);
  const std::vector<float> straight = predictions(train_power(job, pool));

  RunDirectory run = RunDirectory::prepare(folder.path() / "run", PowerFiles::model, RunMode::create);
  StopToken stop;
  stop.request_stop();  // after one step
  CHECK_THROWS_AS(train_power(job, pool, &run, false, "x = 1\n", null_sink(), &stop), Interrupted);
  CHECK_THROWS_AS(load_power_model(run), IoError);  // not finished
  for (int i = 0; i < 5; ++i)
    CHECK_THROWS_AS(train_power(job, pool, &run, true, "x = 1\n", null_sink(), &stop), Interrupted);
  const PowerResult resumed = train_power(job, pool, &run, true, "x = 1\n");
  CHECK(predictions(resumed) == straight);
  finish_power(run, {});

  const RunDirectory opened = RunDirectory::open(run.folder());
  const PowerModel loaded = load_power_model(opened);
  CHECK(loaded.target == "y");
  std::vector<float> again;
  for (const auto* rows : {&job.split.train, &job.split.validation, &job.split.test}) {
    const Tensor y = loaded.predict(pool, job.table, *rows);
    again.insert(again.end(), y.ptr<float>(), y.ptr<float>() + y.elements());
  }
  CHECK(again == straight);
  CHECK(read_file(opened.verified(PowerFiles::config)) == "x = 1\n");

  // Other data under the same run are refused, and so is a scaler of another run.
  CHECK_THROWS_AS(train_power(job_of(sample(701), quick()), pool, &run, true), IoError);
  RunDirectory other = RunDirectory::open(run.folder());
  job_of(sample(300), quick()).scaler.save(other.path(PowerFiles::scaler));
  CHECK_THROWS_AS(load_power_model(other), IoError);
  other.add_file(PowerFiles::model, PowerFiles::scaler);
  CHECK_THROWS_AS(load_power_model(other), IoError);
}

TEST_CASE("power: a training step takes no memory after the second") {
  const PowerJob job = job_of(sample(1200), quick());
  for (const int threads : {1, 2}) {
    TeamPool pool(threads);
    PowerPredictor network(job.options.network);
    PowerTask task(network, power_rows(job.scaler, job.table, job.split.train),
                   power_rows(job.scaler, job.table, job.split.validation),
                   final_encoding(job.scaler.features), Loss::mse, 1);
    Trainer trainer(pool, 1);
    StageOptions stage = job.options.training;
    stage.batch_size = 128;
    stage.ema_decay = .99;
    trainer.add_stage("power", task, stage);
    trainer.run_steps(2);
    const std::int64_t before = allocation_count();
    trainer.run_steps(3);  // within the first epoch of 7
    CHECK(allocation_count() == before);
  }
}

TEST_CASE("power: the architecture text names every option") {
  PowerPredictorOptions o{.features = 5, .hidden = {3, 2}, .activation = Activation::gelu};
  o.members = 3;
  o.dropout = .25;
  CHECK(parse_power_architecture(power_architecture(o, "h")) == o);
  CHECK_THROWS_AS(parse_power_architecture("{}"), IoError);
  CHECK_THROWS_AS(parse_power_architecture("{"), IoError);
  CHECK_THROWS_AS(parse_power_architecture(R"({"model": "emshap"})"), IoError);
}
