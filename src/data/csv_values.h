#pragma once
// From the text of a cell to a number or a time.
#include <cstdint>
#include <string_view>

#include "emshap/core/export.h"

namespace emshap {

enum class CellError { none, syntax, infinite, overflow };

/// float32 nearest to the decimal number; underflow gives a denormal number or zero. "nan" is a syntax error.
CellError parse_float(std::string_view text, float& value);

/// The forms of a time column; its first cell decides.
enum class TimeForm { unknown, integer, decimal, iso8601 };
EMSHAP_API const char* describe(TimeForm form);

/// Reads one cell in `form`, or finds the form when it is unknown. Decimal seconds and ISO 8601 give
/// microseconds since 1970-01-01 00:00 UTC (fractions beyond are cut off). False when the text does not fit.
EMSHAP_API bool parse_time(std::string_view text, TimeForm& form, std::int64_t& value);

}  // namespace emshap
