#pragma once
// Runs an app of this build and keeps what it said.
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/data/source.h"
#include "report/child_process.h"

namespace emshap::test {

struct AppRun {
  int exit_code = -1;
  std::string output;  ///< standard output and error
  bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
};

/// `folder` is the working folder.
inline AppRun run_app(const std::string& name, const std::vector<std::string>& arguments,
                      const std::filesystem::path& folder) {
  const auto result =
      report::run_child(std::filesystem::path(EMSHAP_BINARY_DIR) / "bin" / name, arguments, folder, 300);
  return {result.exit_status, result.output};
}

/// How the columns of emshap_datagen's files are used.
inline ColumnSelection host_columns() {
  ColumnSelection columns;
  columns.target = "power_consumption";
  columns.time = "time";
  columns.node_id = "node_id";
  return columns;
}

}  // namespace emshap::test
