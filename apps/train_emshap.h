#pragma once
#include "emshap/train/emshap.h"
#include "train_settings.h"

namespace emshap::app {

/// What is set for the EmSHAP model beside data and run; texts are parsed once all is known.
struct EmshapSettings {
  EmshapOptions options;
  std::string proposal, transform = "auto", masking, energy_loss = "nce", energy_form;

  EmshapSettings();
};
void add_emshap_settings(Settings& s, EmshapSettings& v);

/// Trains into `folder` and writes ONNX file and plots; beside a power model of that folder with its
/// features, target and split. Throws what training throws.
void train_emshap_model(EmshapSettings& v, DataSettings data, const CleaningSettings& cleaning,
                        const RunSettings& run, const std::filesystem::path& folder, RunMode mode,
                        const std::string& config, Session& session, const Begun& begun = {});

/// Adds `emshap_train emshap`.
void add_train_emshap(App& app);
/// Adds `emshap_train all`: both models in one run.
void add_train_all(App& app);

}  // namespace emshap::app
