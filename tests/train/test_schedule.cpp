#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/train/early_stopping.h"
#include "emshap/train/history.h"
#include "emshap/train/schedule.h"

using namespace emshap;

TEST_CASE("schedules: warm-up, shape and floor") {
  const Schedule constant({.kind = ScheduleKind::constant, .warmup_steps = 4}, 100);
  CHECK(constant.factor(0) == .25);
  CHECK(constant.factor(3) == 1);
  CHECK(constant.factor(99) == 1);

  const Schedule cosine({.kind = ScheduleKind::cosine, .warmup_steps = 10, .floor = .1}, 110);
  CHECK(cosine.factor(9) == 1);
  CHECK(cosine.factor(10) == 1);
  CHECK(cosine.factor(60) == doctest::Approx(.55));
  CHECK(cosine.factor(110) == doctest::Approx(.1));
  CHECK(cosine.factor(1000) == doctest::Approx(.1));
  for (std::int64_t s = 10; s < 109; ++s) CHECK(cosine.factor(s + 1) < cosine.factor(s));

  const Schedule nothing({.kind = ScheduleKind::cosine, .warmup_steps = 10}, 5);  // ends during the warm-up
  CHECK(nothing.factor(4) == .5);
}

TEST_CASE("schedules: reduce on plateau, and its state") {
  const ScheduleOptions o{
      .kind = ScheduleKind::plateau, .floor = .2, .plateau_factor = .5, .plateau_patience = 2};
  Schedule s(o, 100);
  s.observe(1);
  s.observe(1);
  CHECK(s.factor(50) == 1);
  s.observe(1.1);
  CHECK(s.factor(50) == .5);
  s.observe(.9);
  s.observe(.9);
  Schedule copy(o, 100);
  copy.set_state(s.state());
  for (Schedule* each : {&s, &copy}) {
    each->observe(.95);
    CHECK(each->factor(50) == .25);
    each->observe(1);
    each->observe(1);
    CHECK(each->factor(50) == .2);  // the floor
  }
  CHECK_THROWS_AS(s.set_state({1}), IoError);
}

TEST_CASE("schedules: names and limits") {
  for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::plateau})
    CHECK(parse_schedule(to_string(kind)) == kind);
  CHECK_THROWS_AS(parse_schedule("step"), ConfigError);
  CHECK_THROWS_AS(Schedule({.floor = -.1}, 1), ConfigError);
  CHECK_THROWS_AS(Schedule({.warmup_steps = -1}, 1), ConfigError);
  CHECK_THROWS_AS(Schedule({.plateau_factor = 1}, 1), ConfigError);
  CHECK_THROWS_AS(Schedule({.plateau_patience = 0}, 1), ConfigError);
}

TEST_CASE("early stopping: patience, min-delta, NaN and state") {
  EarlyStopping e({.patience = 2, .min_delta = .1});
  CHECK(e.observe(1));
  CHECK_FALSE(e.observe(.95));
  CHECK_FALSE(e.should_stop());
  CHECK(e.observe(.8));
  CHECK_FALSE(e.observe(std::numeric_limits<double>::quiet_NaN()));
  EarlyStopping copy({.patience = 2, .min_delta = .1});
  copy.set_state(e.state());
  CHECK(copy.best() == .8);
  CHECK_FALSE(copy.observe(.8));
  CHECK(copy.should_stop());
  EarlyStopping never({.patience = 0});
  for (int i = 0; i < 100; ++i) never.observe(1);
  CHECK_FALSE(never.should_stop());
  CHECK_THROWS_AS(EarlyStopping({.patience = -1}), ConfigError);
  CHECK_THROWS_AS(EarlyStopping({.patience = 1, .min_delta = -1}), ConfigError);
}

TEST_CASE("history: one table for stages with different terms") {
  History h;
  h.stages = {{"a", {"mse"}}, {"b", {"nce", "mse"}}};
  h.rows.push_back(
      {.stage = "a", .epoch = 1, .step = 10, .training = {.5}, .validation = {.25}, .best = true});
  h.rows.push_back({.stage = "b", .epoch = 1, .step = 5, .training = {3, .125}, .validation = {}});
  CHECK(h.csv() ==
        "stage,epoch,step,train_mse,train_nce,val_mse,val_nce,learning_rate,gradient_norm,seconds,best\n"
        "a,1,10,0.5,,0.25,,0,0,0.000000,1\n"
        "b,1,5,0.125,3,,,0,0,0.000000,0\n");
}
