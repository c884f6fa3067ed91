// The same on a PostgreSQL server of the test's own.
#include <doctest/doctest.h>

#include "stream/kill_run.h"
#include "stream/postgres_server.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void kill_postgresql(std::size_t consumers, std::int64_t kills) {
  const auto server = PostgresServer::start(true);
  if (!server) return;
  KillPlan plan;
  plan.engine = "PostgreSQL";
  plan.store = server->new_store();
  plan.consumers = consumers;
  plan.kills = kills;
  plan.seed = static_cast<std::uint64_t>(number_from("EMSHAP_KILL_SEED", 1)) + 10 * consumers;
  run_kills(plan);
}

}  // namespace

TEST_SUITE("kill: PostgreSQL") {
  TEST_CASE("one consumer, killed and started again") {
    kill_postgresql(1, (number_from("EMSHAP_KILLS", 20) + 1) / 2);
  }
  TEST_CASE("two consumers of a group, one killed after the other") {
    kill_postgresql(2, number_from("EMSHAP_KILLS", 20) / 2);
  }
}
