#pragma once
// What emshap_explain says about its results: the summary on the terminal, warnings, and the HTML report.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/app.h"
#include "emshap/explain/attribution_run.h"
#include "emshap/explain/comparison.h"
#include "explain_models.h"
#include "explain_rows.h"

namespace emshap::app {

struct Explained {
  const AttributionRun& run;
  const AttributionAbout& about;
  const ExplainModels& models;
  const ExplainRows& data;
  const ValueFunction& values;
  std::optional<MethodComparison> comparison;
};

/// Sentences about what should make the user careful.
std::vector<std::string> explanation_warnings(const AttributionRun& run, const ValueFunction& values,
                                              const std::vector<std::int64_t>& outside_by_feature);
/// Importance of the players and the quality of the result, as text.
std::string explanation_summary(const Explained& all);
/// report.html and its pictures, of at most `rows` rows (a seeded choice).
void write_report(const Explained& all, const std::filesystem::path& folder, std::int64_t rows,
                  TeamPool& pool, Session& session);

}  // namespace emshap::app
