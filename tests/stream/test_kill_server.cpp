// Harm to the PostgreSQL server while emshap_ingest writes: it waits, goes on, and nothing is lost or twice.
#include <doctest/doctest.h>

#include "stream/kill_run.h"
#include "stream/postgres_server.h"

using namespace emshap;
using namespace emshap::test;

TEST_SUITE("kill: server") {
  TEST_CASE("connections end, backends are killed, the server goes down and comes back") {
    const auto server = PostgresServer::start(true);
    if (!server) return;
    KillPlan plan;
    plan.engine = "PostgreSQL, the server harmed";
    plan.store = server->new_store();
    plan.kills = number_from("EMSHAP_KILLS", 9);
    plan.seed = static_cast<std::uint64_t>(number_from("EMSHAP_KILL_SEED", 1)) + 30;
    plan.harm = [&](std::int64_t k) {
      const std::string others =
          "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
      if (k % 3 == 0) {  // connections end, the server stays
        server->psql("SELECT pg_terminate_backend(pid) " + others);
      } else if (k % 3 == 1) {  // kill -9 of the backends: the server starts over by itself
        server->psql("COPY (SELECT pid " + others + ") TO PROGRAM 'xargs -r kill -9'");
      } else {
        server->stop(SIGQUIT);
        sleep_ms(500);
        server->run();
      }
      return true;
    };
    run_kills(plan);
  }
}
