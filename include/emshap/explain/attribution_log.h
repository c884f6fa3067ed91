#pragma once
// Results of a long explanation while it runs: what is finished lies on disk and is found again after an
// interruption, a crash or a power cut.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

/// What is kept of one row.
struct ExplainedRow {
  static constexpr std::uint32_t missing = 1;  ///< some of its values are missing
  static constexpr std::uint32_t not_converged =
      2;                                       ///< standard errors are not small beside the spread of phi
  static constexpr std::uint32_t unusual = 4;  ///< less likely than nearly all background rows
  static constexpr std::uint32_t outside = 8;  ///< values outside the training range

  std::int64_t row = 0;  ///< its number in the data
  double prediction = 0, effective_min = 0, effective_mean = 0;
  double msev = 0;         ///< NaN where values are missing
  double log_density = 0;  ///< per value; NaN where it is not known
  std::uint32_t flags = 0;
  std::vector<double> phi, standard_error;  ///< (M)
};
/// "missing|out_of_distribution"; empty for no flag.
EMSHAP_API std::string flag_names(std::uint32_t flags);

/// Two files in a folder: attributions.partial with the rows, to which is appended only, and
/// attributions.progress, replaced atomically after each commit: how many rows count, their checksum, sums
/// over them, and the hash of the settings that they belong to. Rows beyond the progress are cut off when the
/// log is opened again.
class EMSHAP_API AttributionLog {
 public:
  /// A new log; what another one left in the folder is removed. The folder is made.
  static AttributionLog create(const std::filesystem::path& folder, const std::string& settings_hash,
                               std::int64_t players);
  /// Whether there is something to go on with.
  static bool exists(const std::filesystem::path& folder);
  /// Goes on where the log stopped. Throws ConfigError when it belongs to other settings, IoError when a file
  /// is missing or damaged.
  static AttributionLog resume(const std::filesystem::path& folder, const std::string& settings_hash,
                               std::int64_t players);
  ~AttributionLog();
  AttributionLog(AttributionLog&& other) noexcept;
  AttributionLog& operator=(AttributionLog&&) = delete;

  std::int64_t players() const { return players_; }
  std::int64_t rows() const { return rows_; }  ///< appended so far
  /// As of the last commit.
  const std::vector<double>& sums() const { return sums_; }
  const std::string& note() const { return note_; }

  /// Kept in memory until the next commit.
  void append(const ExplainedRow& row);
  /// Writes and flushes all rows to disk, then notes their number, the sums and the note.
  void commit(std::span<const double> sums, const std::string& note);
  /// Committed rows [begin, begin + count).
  std::vector<ExplainedRow> read(std::int64_t begin, std::int64_t count) const;
  /// Deletes the files, once the results are elsewhere.
  void remove();

 private:
  AttributionLog(std::filesystem::path folder, std::string settings_hash, std::int64_t players);
  void open(bool fresh);
  void check_content(std::uint64_t expected);
  std::int64_t record_bytes() const;
  std::filesystem::path rows_file() const;
  std::filesystem::path folder_;
  std::string settings_hash_, note_;
  std::int64_t players_ = 0, rows_ = 0, committed_ = 0;
  std::uint64_t hash_ = 0;
  std::vector<double> sums_, pending_;
  int descriptor_ = -1;
};

}  // namespace emshap
