#pragma once
// One call of emshap_explain, from options to files.
#include <cstdint>
#include <string>
#include <vector>

#include "common/app.h"
#include "explain_models.h"
#include "explain_rows.h"
#include "explain_values.h"

namespace emshap::app {

/// Options of the command line, by their names.
struct ExplainTask {
  ModelChoice models;
  RowChoice rows;
  ValueChoice values;
  std::string strategy = "auto", budget = "auto", out = "explanation";
  PlayerChoice players;
  bool report = true, resume = false, overwrite = false;
  double tolerance = .02;
  std::vector<std::string> compare;
  std::int64_t compare_rows = 200, report_rows = 2000, json_rows = 10000, memory_limit = 1024;
};

/// In the folder `out`: the effective configuration, which --resume reads.
inline constexpr const char* explain_config_file = "config.toml";

/// Explains, compares, reports and writes. Throws ConfigError, DataError and what the parts throw;
/// Interrupted after what was finished has been saved.
void explain(const ExplainTask& task, Session& session);
/// Empty for "auto" and numbers above 0, else what was expected.
std::string check_budget(const std::string& text);
/// Empty for names of methods, else what was expected.
std::string check_method(const std::string& name);
std::string check_methods(const std::vector<std::string>& names);

}  // namespace emshap::app
