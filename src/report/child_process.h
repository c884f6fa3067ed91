#pragma once
// A program run to its end: no shell, no inherited input, bounded in time.
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap::report {

struct ChildResult {
  bool started = false;
  bool timed_out = false;
  int exit_status = -1;  ///< exit code, or 128 + signal
  std::string output;    ///< first 4 KiB of standard output and error together, or why it did not start
};

/// Runs `program` with `arguments` in `folder`, standard input empty, output into a file of `folder`. After
/// `time_limit` seconds the child and its own children are killed.
EMSHAP_API ChildResult run_child(const std::filesystem::path& program,
                                 const std::vector<std::string>& arguments,
                                 const std::filesystem::path& folder, double time_limit);

/// Looks `name` up as a shell would: a name with a slash as it is, others in the folders of PATH. Empty when
/// there is no such executable file.
EMSHAP_API std::filesystem::path find_program(const std::filesystem::path& name);

/// A private folder (mode 0700) below the system's temporary folder, removed with its content at the end.
/// Throws IoError (environment).
class EMSHAP_API TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace emshap::report
