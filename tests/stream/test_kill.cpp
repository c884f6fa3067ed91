// emshap_ingest is killed while it writes SQLite: nothing is lost, nothing is there twice.
#include <doctest/doctest.h>

#include "stream/kill_run.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void kill_sqlite(std::size_t consumers, std::int64_t kills) {
  const report::TemporaryFolder folder;
  KillPlan plan;
  plan.engine = "SQLite";
  plan.store = (folder.path() / "store.db").string();
  plan.consumers = consumers;
  plan.kills = kills;
  plan.seed = static_cast<std::uint64_t>(number_from("EMSHAP_KILL_SEED", 1)) + consumers;
  run_kills(plan);
}

}  // namespace

TEST_SUITE("kill: SQLite") {
  TEST_CASE("one consumer, killed and started again") {
    kill_sqlite(1, (number_from("EMSHAP_KILLS", 20) + 1) / 2);
  }
  TEST_CASE("two consumers of a group, one killed after the other") {
    kill_sqlite(2, number_from("EMSHAP_KILLS", 20) / 2);
  }
}
