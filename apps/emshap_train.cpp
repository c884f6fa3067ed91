// Trains models from the command line.
#include "train_power.h"

int main(int argc, char** argv) {
  emshap::app::App app("emshap_train", "Trains models on host metrics.");
  emshap::app::add_train_power(app);
  return app.run(argc, argv);
}
