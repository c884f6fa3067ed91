#include "data/csv_values.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <system_error>

namespace emshap {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}

// Decimal exponent of the first digit that is not zero; used only for numbers that from_chars calls out of
// range.
bool below_one(std::string_view text) {
  std::int64_t before_point = 0, exponent = 0, zeros_after = 0;
  bool point = false, found = false;
  std::size_t i = 0;
  for (; i < text.size() && (digit(text[i]) || text[i] == '.' || text[i] == '-'); ++i) {
    if (text[i] == '.') point = true;
    if (!digit(text[i])) continue;
    if (text[i] != '0') found = true;
    if (!point && found) ++before_point;
    if (point && !found) ++zeros_after;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    const bool minus = i + 1 < text.size() && text[i + 1] == '-';
    for (++i; i < text.size(); ++i)
      if (digit(text[i]))
        exponent = std::min<std::int64_t>(exponent * 10 + (text[i] - '0'), std::int64_t{1} << 40);
    if (minus) exponent = -exponent;
  }
  return (before_point > 0 ? before_point : -zeros_after) + exponent <= 0;
}

// Fixed-width digits of a date; false when others stand there.
bool digits(std::string_view text, std::size_t at, std::size_t count, int& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (!digit(text[i])) return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

// The digits after a point as microseconds.
std::int64_t micros(std::string_view fraction) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < 6; ++i) value = value * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  return value;
}

bool parse_integer(std::string_view text, std::int64_t& value) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (text.empty() || !digit(text[0])) return false;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_decimal(std::string_view text, std::int64_t& value) {
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos || point + 1 >= text.size()) return false;
  const std::string_view fraction = text.substr(point + 1);
  if (!std::all_of(fraction.begin(), fraction.end(), digit)) return false;
  std::int64_t seconds = 0;
  if (!parse_integer(text.substr(0, point), seconds)) return false;
  constexpr std::int64_t limit = std::int64_t{9'000'000'000'000};
  if (seconds > limit || seconds < -limit) return false;
  value = seconds * 1'000'000 + (text[0] == '-' ? -micros(fraction) : micros(fraction));
  return true;
}

// YYYY-MM-DD, then optionally T or blank, hh:mm, :ss, a fraction, and Z or +hh:mm, +hhmm, +hh.
bool parse_iso8601(std::string_view text, std::int64_t& value) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t fraction = 0, zone = 0;
  if (!digits(text, 0, 4, year) || !digits(text, 5, 2, month) || !digits(text, 8, 2, day)) return false;
  if (text[4] != '-' || text[7] != '-') return false;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return false;
  std::size_t at = 10;
  if (at < text.size()) {
    if (text[at] != 'T' && text[at] != ' ') return false;
    if (!digits(text, at + 1, 2, hour) || text.size() <= at + 3 || text[at + 3] != ':' ||
        !digits(text, at + 4, 2, minute))
      return false;
    at += 6;
    if (at < text.size() && text[at] == ':') {
      if (!digits(text, at + 1, 2, second)) return false;
      at += 3;
      if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
        std::size_t end = ++at;
        while (end < text.size() && digit(text[end])) ++end;
        if (end == at) return false;
        fraction = micros(text.substr(at, end - at));
        at = end;
      }
    }
    if (at < text.size() && text[at] == 'Z') {
      ++at;
    } else if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
      int zone_hour = 0, zone_minute = 0;
      const int sign = text[at] == '-' ? -1 : 1;
      if (!digits(text, at + 1, 2, zone_hour)) return false;
      at += 3;
      if (at < text.size()) {
        if (text[at] == ':') ++at;
        if (!digits(text, at, 2, zone_minute)) return false;
        at += 2;
      }
      zone = sign * (zone_hour * 60 + zone_minute);
    }
    if (at != text.size() || hour > 24 || minute > 59 || second > 60) return false;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  value = (((days * 24 + hour) * 60 + minute - zone) * 60 + second) * 1'000'000 + fraction;
  return true;
}

}  // namespace

CellError parse_float(std::string_view text, float& value) {
  // Most cells: at most seven digits. Digits and power of ten are then exact in float32, and one correctly
  // rounded division gives the nearest float (Clinger 1990, the fast path).
  static constexpr float powers[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f};
  const char* p = text.data();
  const char* const end = p + text.size();
  if (text.size() <= 9) {
    const bool minus = p < end && *p == '-';
    if (minus) ++p;
    std::int32_t mantissa = 0;
    int count = 0, decimals = 0;
    for (; p < end && digit(*p); ++p, ++count) mantissa = mantissa * 10 + (*p - '0');
    if (p < end && *p == '.' && count > 0) {
      ++p;
      for (; p < end && digit(*p); ++p, ++count, ++decimals) mantissa = mantissa * 10 + (*p - '0');
    }
    if (p == end && count > 0 && count <= 7) {
      const float magnitude = static_cast<float>(mantissa) / powers[decimals];
      value = minus ? -magnitude : magnitude;
      return CellError::none;
    }
  }
  p = text.data();
  if (p < end && *p == '+') {
    ++p;
    if (p < end && *p == '-') return CellError::syntax;
  }
  const auto [stop, error] = std::from_chars(p, end, value);
  if (error == std::errc::invalid_argument || stop != end) return CellError::syntax;
  if (error == std::errc::result_out_of_range) {
    if (!below_one(std::string_view(p, static_cast<std::size_t>(end - p)))) return CellError::overflow;
    double wide = 0;  // denormal numbers, where this library reports them as out of range
    value = std::from_chars(p, end, wide).ec == std::errc() ? static_cast<float>(wide) : 0.0f;
    return CellError::none;
  }
  if (std::isnan(value)) return CellError::syntax;
  return std::isinf(value) ? CellError::infinite : CellError::none;
}

const char* describe(TimeForm form) {
  switch (form) {
    case TimeForm::unknown:
      return "an integer, decimal seconds or an ISO 8601 date";
    case TimeForm::integer:
      return "an integer as in the rows before";
    case TimeForm::decimal:
      return "decimal seconds as in the rows before";
    case TimeForm::iso8601:
      return "an ISO 8601 date as in the rows before";
  }
  return "?";
}

bool parse_time(std::string_view text, TimeForm& form, std::int64_t& value) {
  switch (form) {
    case TimeForm::integer:
      return parse_integer(text, value);
    case TimeForm::decimal:
      return parse_decimal(text, value);
    case TimeForm::iso8601:
      return parse_iso8601(text, value);
    case TimeForm::unknown:
      break;
  }
  for (const TimeForm candidate : {TimeForm::integer, TimeForm::decimal, TimeForm::iso8601}) {
    TimeForm trial = candidate;
    if (parse_time(text, trial, value)) {
      form = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace emshap
