// FeatureVector messages from Kafka or files into a feature store, each once (docs/ingestion.md).
#include "common/app.h"
#include "ingest_run.h"
#include "ingest_store.h"

int main(int argc, char** argv) {
  emshap::app::App app("emshap_ingest",
                       "Reads FeatureVector messages from Kafka or files into a feature store.");
  emshap::app::add_run_command(app);
  emshap::app::add_store_commands(app);
  return app.run(argc, argv);
}
