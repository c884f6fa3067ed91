#pragma once
// Consumers killed at random moments while a producer runs.
//
// EMSHAP_KILLS sets how often (20 without it), EMSHAP_KILL_SEED when, and a row of results is appended to the
// file that EMSHAP_KILL_TABLE names (scripts/soak.sh).
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/random.h"
#include "report/child_process.h"
#include "stream/cluster.h"
#include "stream/ingest_process.h"
#include "stream/produced.h"

namespace emshap::test {

inline std::int64_t number_from(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text && *text ? std::atoll(text) : otherwise;
}

struct KillPlan {
  std::string engine;  ///< for the table
  std::string store;
  std::size_t consumers = 1;
  std::int64_t kills = 20;
  std::uint64_t seed = 1;
  /// Does the k-th harm itself and returns true, or leaves it to a consumer to be killed.
  std::function<bool(std::int64_t k)> harm = [](std::int64_t) { return false; };
};

/// Kills `plan.kills` times and checks at the end that all acknowledged messages are stored or in quarantine,
/// each once, at its offset, with its bytes and its fate.
inline void run_kills(const KillPlan& plan) {
  const report::TemporaryFolder folder;
  Cluster cluster(folder.path());
  const std::string topic = cluster.topic();
  const auto begin = Clock::now();
  Generator random({plan.seed, RandomPurpose::test});
  // Large message sets: the mock cluster gives one of them a partition and fetch, and looks for it in a list.
  // More rows than it comes to: the producer is told to end when the last kill is done.
  Producer producer(
      cluster, topic, "sent", folder.path(),
      {"--rows", "20000000", "--nodes", "640", "--interval", "30", "--start", "1600000000", "--rate", "2000",
       "--poison", "0.02", "--ahead-of", cluster.group(), "--property", "linger.ms=300"});
  std::vector<std::unique_ptr<Consumer>> consumers(plan.consumers);
  std::int64_t started = 0, at_work = 0;
  const auto start = [&](std::size_t i) {
    consumers[i].reset();  // kills it
    consumers[i] = std::make_unique<Consumer>(
        cluster, topic, plan.store, fmt::format("consumer_{}", started++), folder.path(),
        std::vector<std::string>{"--batch-seconds", "0.02", "--batch-records", "500", "--log-level",
                                 "warning"});
  };
  for (std::size_t i = 0; i < plan.consumers; ++i) start(i);
  for (std::int64_t k = 0; k < plan.kills; ++k) {
    if (random.uniform() < .2) {
      sleep_ms(static_cast<std::int64_t>(random.below(1500)));  // starting, joining
    } else {
      const std::int64_t before = progress(plan.store, topic);
      const auto give_up = Clock::now() + std::chrono::seconds(30);
      while (progress(plan.store, topic) == before && Clock::now() < give_up) sleep_ms(5);
      sleep_ms(static_cast<std::int64_t>(random.below(200)));
      ++at_work;
    }
    if (plan.harm(k)) continue;
    const std::size_t victim = random.below(plan.consumers);
    INFO("consumer ", victim, " before kill ", k, ": ", consumers[victim]->child().err());
    REQUIRE(consumers[victim]->child().running());
    start(victim);
  }
  producer.child().signal(SIGTERM);
  REQUIRE(producer.child().wait(60) == 130);
  const auto sent = producer.report();
  CHECK(sent["failed"] == 0);
  const auto ends = cluster.ends(topic);
  if (!cluster.real()) CHECK(sum(ends) == sent["acknowledged"].get<std::int64_t>());
  wait_for_progress(plan.store, topic, sum(ends), 300);
  for (auto& consumer : consumers) consumer->stop();
  const Stored stored = read_store(plan.store);
  const Acknowledgements acknowledged = producer.acknowledged();
  check_store(stored, ends, acknowledged);
  CHECK(stored.missed == 0);
  CHECK(stored.samples == sent["good"].get<std::int64_t>());
  CHECK(at_work >= plan.kills / 2);

  if (const char* table = std::getenv("EMSHAP_KILL_TABLE")) {
    const Differences d = compare(stored, ends, acknowledged);
    const auto seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::ofstream(table, std::ios::app) << fmt::format(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {:.0f} |\n", plan.engine, plan.consumers, plan.kills,
        acknowledged.size(), stored.samples, stored.records.size() - static_cast<std::size_t>(stored.samples),
        d.lost, d.twice, seconds);
  }
}

}  // namespace emshap::test
