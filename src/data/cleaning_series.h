#pragma once
// Rows of each node in order of time, and what is computed along them.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/data/table.h"

namespace emshap::cleaning {

/// Row numbers, run after run: a run holds the rows of one node in one part, in order of time.
struct Series {
  std::vector<std::int64_t> rows;
  std::vector<std::size_t> begins;  ///< of each run in `rows`, and the end

  std::size_t runs() const { return begins.size() - 1; }
  std::span<const std::int64_t> run(std::size_t i) const {
    return std::span(rows).subspan(begins[i], begins[i + 1] - begins[i]);
  }
};
/// What says which rows belong to one node: the node id or group of this name, else the node id, else the
/// group, else null.
const Column* node_column(const Table& table, const std::string& name = {});
/// `part` is empty or has one entry a row; `time`, `node`: columns of the table, null: the order of its rows,
/// all of one node.
Series series_of(const Table& table, std::span<const std::int32_t> part, const Column* time,
                 const Column* node);

/// Missing values (NaN) become the last present one of their run, else its next one, else `mean`, which may
/// be NaN. Returns how many were filled.
std::int64_t fill_forward(const Series& series, std::vector<float>& values, double mean);
/// out[r]: the value `back` rows before r in its run, NaN where there is none.
void lag(const Series& series, std::span<const float> values, std::int64_t back, std::vector<float>& out);
/// Mean and standard deviation (window - 1 in the denominator) of the last `window` rows, in double; NaN
/// where there are fewer or one of them is missing.
void rolling(const Series& series, std::span<const float> values, std::int64_t window,
             std::vector<float>& mean, std::vector<float>& deviation);

/// Calendar of a time, see CleaningOptions::calendar.
struct Calendar {
  int hour, day_of_week;
  bool weekend;
};
Calendar calendar_of(std::int64_t time);

}  // namespace emshap::cleaning
