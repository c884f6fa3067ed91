// Trains models from the command line.
#include "train_emshap.h"
#include "train_power.h"

int main(int argc, char** argv) {
  emshap::app::App app("emshap_train", "Trains models on host metrics.");
  emshap::app::add_train_power(app);
  emshap::app::add_train_emshap(app);
  emshap::app::add_train_all(app);
  return app.run(argc, argv);
}
