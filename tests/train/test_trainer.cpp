#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include <unistd.h>

#include "emshap/core/error.h"
#include "train/linear_task.h"

using namespace emshap;
using emshap::test::LinearTask;

namespace {

StageOptions quick() {
  StageOptions o;
  o.epochs = 6;
  o.batch_size = 128;
  o.adam.learning_rate = .02;
  o.schedule.warmup_steps = 3;
  o.schedule.floor = .1;
  o.early_stopping.patience = 0;
  return o;
}

struct TemporaryFile {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("emshap_trainer_" + std::to_string(::getpid()) + ".bin");
  ~TemporaryFile() { std::filesystem::remove(path); }
};

/// Everything that training leaves behind, bit for bit (times aside).
struct Outcome {
  std::vector<double> weight, bias;
  std::string history;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome outcome(LinearTask& task, const Trainer& trainer) {
  History h = trainer.history();
  for (auto& row : h.rows) row.seconds = 0;
  return {task.store.get(task.weight), task.store.get(task.bias), h.csv()};
}

std::string numerical_message(LinearTask& task, const StageOptions& options) {
  TeamPool pool(1);
  Trainer trainer(pool, 7);
  trainer.add_stage("fit", task, options);
  try {
    trainer.run();
  } catch (const NumericalError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("batch plan: what happens to the rows left over") {
  const auto check = [](std::int64_t rows, std::int64_t batch, std::int64_t count, std::int64_t last) {
    CAPTURE(rows);
    CAPTURE(batch);
    const BatchPlan p = BatchPlan::make(rows, batch);
    CHECK(p.count == count);
    if (count == 0) return;
    CHECK(p.end(count - 1) - p.begin(count - 1) == last);
    std::int64_t seen = 0, largest = 0;
    for (std::int64_t i = 0; i < p.count; ++i) {
      CHECK(p.begin(i) == seen);
      seen = p.end(i);
      largest = std::max(largest, p.end(i) - p.begin(i));
    }
    CHECK(seen == rows);
    CHECK(p.largest() == largest);
  };
  check(0, 64, 0, 0);
  check(1, 64, 1, 1);
  check(63, 64, 1, 63);
  check(64, 64, 1, 64);
  check(65, 64, 1, 65);  // a batch of one row would break batch normalisation
  check(95, 64, 1, 95);
  check(96, 64, 2, 32);
  check(129, 64, 2, 65);
  check(5, 2, 2, 3);
  check(7, 1, 7, 1);
  check(10, 100, 1, 10);
}

TEST_CASE("trainer learns a linear function") {
  LinearTask task(1000);
  TeamPool pool(2);
  Trainer trainer(pool, 1);
  StageOptions o = quick();
  o.epochs = 120;
  o.schedule.floor = 0;
  trainer.add_stage("fit", task, o);
  trainer.run();
  const auto w = task.store.get(task.weight);
  for (std::size_t c = 0; c < w.size(); ++c)
    CHECK(w[c] == doctest::Approx(static_cast<double>(c) - 2).epsilon(1e-3).scale(1));
  CHECK(task.store.get(task.bias)[0] == doctest::Approx(.5).epsilon(1e-3));
  const StageResult& result = trainer.results().at(0);
  CHECK(result.epochs == 120);
  CHECK(result.steps == 120 * 8);
  CHECK(trainer.history().rows.size() == 120);
  CHECK(trainer.history().rows.back().training.at(1) ==
        doctest::Approx(2 * trainer.history().rows.back().training.at(0)));
}

TEST_CASE("trainer: bits do not depend on the number of threads") {
  Outcome reference;
  for (const int threads : {1, 2, 3, 7}) {
    LinearTask task(1000, 100, .3);
    TeamPool pool(threads);
    Trainer trainer(pool, 5);
    StageOptions o = quick();
    o.batch_size = 300;  // 5 shards
    o.clip_norm = .5;
    o.ema_decay = .9;
    o.adam.weight_decay = .01;
    trainer.add_stage("fit", task, o);
    trainer.run();
    if (threads == 1)
      reference = outcome(task, trainer);
    else
      CHECK(outcome(task, trainer) == reference);
  }
}

TEST_CASE("trainer: a resumed run continues bit for bit") {
  TemporaryFile file;
  for (const int threads : {1, 2})
    for (const ScheduleKind kind : {ScheduleKind::cosine, ScheduleKind::plateau})
      for (const std::int64_t stop_at : {1, 7, 8, 10, 47}) {  // 8 batches an epoch: within and between epochs
        CAPTURE(threads);
        CAPTURE(stop_at);
        StageOptions o = quick();
        o.schedule.kind = kind;
        o.schedule.plateau_patience = 1;
        o.ema_decay = kind == ScheduleKind::cosine ? .95 : 0;
        const auto make = [&](LinearTask& task, Trainer& trainer) {
          trainer.add_stage("fit", task, o);
          trainer.set_checkpoint(file.path, "linear", "text");
        };
        LinearTask straight(1000, 100, .3);
        TeamPool pool(threads);
        Trainer one(pool, 9);
        make(straight, one);
        one.run();

        LinearTask first(1000, 100, .3), second(1000, 100, .3);
        {
          Trainer trainer(pool, 9);
          make(first, trainer);
          CHECK_FALSE(trainer.run_steps(stop_at));
        }
        Trainer trainer(pool, 9);
        make(second, trainer);
        trainer.resume();
        trainer.run();
        CHECK(outcome(second, trainer) == outcome(straight, one));
      }
}

TEST_CASE("trainer: ten steps, a file, ten more equal twenty") {
  TemporaryFile file;
  StageOptions o = quick();
  o.max_steps = 20;
  const auto run = [&](LinearTask& task, std::vector<std::int64_t> parts) {
    Outcome result;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      TeamPool pool(1);
      Trainer trainer(pool, 2);
      trainer.add_stage("fit", task, o);
      trainer.set_checkpoint(file.path, "linear", "");
      if (i > 0) trainer.resume();
      CHECK(trainer.run_steps(parts[i]) == (i + 1 == parts.size()));
      result = outcome(task, trainer);
      CHECK(trainer.results().size() == (i + 1 == parts.size() ? 1 : 0));
    }
    return result;
  };
  LinearTask straight(1000), halves(1000);
  CHECK(run(straight, {20}) == run(halves, {10, 10}));
}

TEST_CASE("trainer: a stop request saves and throws, a resume finishes with the same bits") {
  TemporaryFile file;
  TeamPool pool(2);
  LinearTask straight(1000), stopped(1000);
  Trainer one(pool, 9);
  one.add_stage("fit", straight, quick());
  one.run();

  StopToken token;
  token.request_stop();
  {
    Trainer trainer(pool, 9, null_sink(), &token);
    trainer.add_stage("fit", stopped, quick());
    trainer.set_checkpoint(file.path, "linear", "");
    CHECK_THROWS_AS(trainer.run(), Interrupted);
  }
  LinearTask fresh(1000);
  Trainer trainer(pool, 9);
  trainer.add_stage("fit", fresh, quick());
  trainer.set_checkpoint(file.path, "linear", "");
  trainer.resume();
  trainer.run();
  CHECK(outcome(fresh, trainer) == outcome(straight, one));
}

TEST_CASE("trainer: early stopping restores the best weights") {
  LinearTask task(500);
  task.planned_validation = {5, 3, 4, 2.9, 2.95, 2.95, 1};
  TeamPool pool(1);
  Trainer trainer(pool, 1);
  StageOptions o = quick();
  o.epochs = 50;
  o.early_stopping = {.patience = 3, .min_delta = .2};
  trainer.add_stage("fit", task, o);
  trainer.run();
  // 2.9 is no improvement on 3 by more than .2, so 4, 2.9 and 2.95 use the patience up.
  const StageResult& r = trainer.results().at(0);
  CHECK(r.epochs == 5);
  CHECK(r.best_epoch == 2);
  CHECK(r.stopped_early);
  CHECK(r.best_validation_loss == 3);
  CHECK(task.store.get(task.weight) == task.weights_seen.at(1));
  CHECK(task.weights_seen.at(1) != task.weights_seen.at(4));
}

TEST_CASE("trainer: averaged weights are validated and kept") {
  const auto last_weights = [](double decay) {
    LinearTask task(1000, 100, .3);
    TeamPool pool(1);
    Trainer trainer(pool, 1);
    StageOptions o = quick();
    o.ema_decay = decay;
    trainer.add_stage("fit", task, o);
    trainer.run();
    const auto best = static_cast<std::size_t>(trainer.results().at(0).best_epoch) - 1;
    CHECK(task.store.get(task.weight) == task.weights_seen.at(best));
    return task.weights_seen.back();
  };
  CHECK(last_weights(.9) != last_weights(0));
}

TEST_CASE("trainer: without validation rows the last weights are kept") {
  LinearTask task(200, 0);
  TeamPool pool(1);
  Trainer trainer(pool, 1);
  StageOptions o = quick();
  o.early_stopping.patience = 1;
  trainer.add_stage("fit", task, o);
  trainer.run();
  CHECK(trainer.results().at(0).epochs == 6);
  CHECK(trainer.results().at(0).best_epoch == 6);
  CHECK(trainer.history().rows.at(0).validation.empty());
}

TEST_CASE("trainer: stages run one after the other, frozen parameters stay") {
  TemporaryFile file;
  const auto run = [&](std::vector<std::int64_t> parts) {
    LinearTask first(300), second(300);
    second.store.set_frozen(second.bias, true);
    const double kept[] = {.25};
    second.store.set(second.bias, kept);
    Outcome a, b;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      TeamPool pool(1);
      Trainer trainer(pool, 1);
      trainer.add_stage("proposal", first, quick());
      StageOptions o = quick();
      o.validate_every = 4;
      trainer.add_stage("energy", second, o);
      trainer.set_checkpoint(file.path, "two", "");
      if (i > 0) trainer.resume();
      trainer.run_steps(parts[i]);
      a = outcome(first, trainer);
      b = outcome(second, trainer);
    }
    CHECK(second.store.get(second.bias)[0] == .25);
    CHECK(a.weight != b.weight);
    CHECK(a.history.find("energy,2,4,") != std::string::npos);
    return std::pair{a, b};
  };
  const auto straight = run({1000});
  CHECK(run({5, 1000}) == straight);
  CHECK(run({12, 1000}) == straight);  // between the stages: 2 batches, 6 epochs
  CHECK(run({15, 2, 1000}) == straight);
}

TEST_CASE("trainer: a loss that is not a number is named and leaves the weights alone") {
  LinearTask task(1000);
  task.poison_step = 10;
  const std::string text = numerical_message(task, quick());
  CHECK(text.find("stage fit") != std::string::npos);
  CHECK(text.find("nan in epoch 2, step 11") != std::string::npos);
  for (const double w : task.store.get(task.weight)) CHECK(std::isfinite(w));

  LinearTask diverging(1000);
  diverging.y.ptr<float>()[0] = 3e38f;
  CHECK(numerical_message(diverging, quick()).find("inf") != std::string::npos);
}

TEST_CASE("trainer: a step allocates nothing after the second") {
  LinearTask task(1000);
  TeamPool pool(2);
  Trainer trainer(pool, 1);
  StageOptions o = quick();
  o.epochs = 100;
  o.ema_decay = .99;
  trainer.add_stage("fit", task, o);
  trainer.run_steps(2);
  const std::int64_t before = allocation_count();
  trainer.run_steps(4);  // within the first epoch
  CHECK(allocation_count() == before);
}

TEST_CASE("trainer: what does not fit is refused") {
  TemporaryFile file;
  TeamPool pool(1);
  LinearTask task(300), other_rows(200);
  const auto attempt = [&](TrainingTask& t, StageOptions o, std::uint64_t seed, const char* architecture) {
    Trainer trainer(pool, seed);
    trainer.add_stage("fit", t, o);
    trainer.set_checkpoint(file.path, architecture, "");
    trainer.resume();
  };
  {
    Trainer trainer(pool, 1);
    trainer.add_stage("fit", task, quick());
    trainer.set_checkpoint(file.path, "linear", "");
    trainer.run_steps(1);
  }
  CHECK_NOTHROW(attempt(task, quick(), 1, "linear"));
  CHECK_THROWS_AS(attempt(task, quick(), 2, "linear"), IoError);
  CHECK_THROWS_AS(attempt(task, quick(), 1, "other"), IoError);
  CHECK_THROWS_AS(attempt(other_rows, quick(), 1, "linear"), IoError);
  StageOptions o = quick();
  o.batch_size = 64;
  CHECK_THROWS_AS(attempt(task, o, 1, "linear"), IoError);
  o = quick();
  o.ema_decay = .5;
  CHECK_THROWS_AS(attempt(task, o, 1, "linear"), IoError);

  const auto add = [&](auto change) {
    StageOptions bad = quick();
    change(bad);
    Trainer trainer(pool, 1);
    trainer.add_stage("fit", task, bad);
  };
  CHECK_THROWS_AS(add([](StageOptions& b) { b.batch_size = 0; }), ConfigError);
  CHECK_THROWS_AS(add([](StageOptions& b) { b.epochs = 0; }), ConfigError);
  CHECK_THROWS_AS(add([](StageOptions& b) { b.adam.learning_rate = 0; }), ConfigError);
  CHECK_THROWS_AS(add([](StageOptions& b) { b.ema_decay = 1; }), ConfigError);
  CHECK_THROWS_AS(add([](StageOptions& b) { b.early_stopping.patience = -1; }), ConfigError);
  CHECK_THROWS_AS(add([](StageOptions& b) { b.schedule.floor = 2; }), ConfigError);
  LinearTask empty(0);
  Trainer trainer(pool, 1);
  CHECK_THROWS_AS(trainer.add_stage("fit", empty, quick()), DataError);
}
