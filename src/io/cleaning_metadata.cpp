#include "emshap/io/cleaning_metadata.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"

namespace emshap::io {

void add_cleaning(const Cleaning& cleaning, std::map<std::string, std::string>& metadata) {
  if (cleaning.empty()) return;
  metadata["cleaning"] = cleaning.to_json();
  metadata["cleaning_not_in_graph"] = nlohmann::json(cleaning.descriptions()).dump();
}

Cleaning read_cleaning(const std::map<std::string, std::string>& metadata, const std::string& file) {
  const auto text = metadata.find("cleaning");
  if (text == metadata.end()) return {};
  try {
    return Cleaning::from_json(text->second);
  } catch (const IoError& e) {
    throw IoError(fmt::format("{}: its metadata 'cleaning' cannot be used: {}", file, e.what()));
  }
}

Tensor rows_beyond(const Cleaning& cleaning, Tensor rows) {
  const auto width = static_cast<std::size_t>(rows.cols());
  if (cleaning.empty()) return rows;
  if (cleaning.low().size() != width)
    throw ShapeError(
        fmt::format("rows_beyond: rows have {} columns, expected {}", width, cleaning.low().size()));
  for (std::int64_t r = 1; r < rows.rows(); r += 3)
    for (std::size_t c = 0; c < width; ++c) {
      const double low = cleaning.low()[c], high = cleaning.high()[c];
      float& x = rows.ptr<float>()[static_cast<std::size_t>(r) * width + c];
      if (!std::isfinite(low) || !std::isfinite(high) || std::isnan(x)) continue;
      const bool down = (c + static_cast<std::size_t>(r / 3)) % 2 == 0;
      x = static_cast<float>(down ? low - (high - low) : high + (high - low));
    }
  return rows;
}

}  // namespace emshap::io
