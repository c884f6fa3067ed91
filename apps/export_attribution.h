#pragma once
// emshap_export --attribution: Shapley values of a model as one ONNX file.
#include <string>

#include "common/app.h"
#include "emshap/explain/drawn_values.h"
#include "explain_models.h"

namespace emshap::app {

/// See the options of the same names.
struct AttributionChoice {
  ModelChoice models;
  DrawnValueOptions drawn;
  std::string strategy = "auto", budget = "auto";
  PlayerChoice players;
  double tolerance = .02;
};

void add_attribution_settings(Settings& settings, AttributionChoice& choice);

/// Writes the file, verified; with `test_rows` also a folder of rows and what the library gives for them, for
/// scripts/verify_onnx.py. Returns a line that says how well it agrees.
std::string export_attribution(const AttributionChoice& choice, const std::string& out,
                               const std::string& test_rows, Session& session);

}  // namespace emshap::app
