#include "report/number_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "emshap/report/text_table.h"
#include "report/utf8.h"

namespace emshap::report {
namespace {

constexpr const char* minus = "\xE2\x88\x92";     // U+2212
constexpr const char* infinity = "\xE2\x88\x9E";  // U+221E
constexpr const char* ellipsis = "\xE2\x80\xA6";  // U+2026
constexpr double longest = 1e15;                  // above it digits before the point say nothing

std::string special(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? infinity : std::string(minus) + infinity;
}

/// Groups of three before the point of a number that fmt wrote with 'f'.
std::string grouped(std::string digits) {
  const std::size_t point = std::min(digits.find('.'), digits.size());
  for (std::size_t i = point; i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string scientific(double size) {
  std::string text = fmt::format("{:.2e}", size);
  const std::size_t sign = text.find("e-");
  return sign == std::string::npos ? text : text.replace(sign + 1, 1, minus);
}

}  // namespace

std::string fixed_text(double value, int decimals) {
  if (!std::isfinite(value)) return special(value);
  const double size = std::abs(value);
  const std::string text =
      size >= longest ? scientific(size) : grouped(fmt::format("{:.{}f}", size, std::clamp(decimals, 0, 12)));
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? minus + text : text;
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return special(value);
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size < 1e-4 || size >= longest) return (value < 0 ? minus : "") + scientific(size);
  const int before = static_cast<int>(std::floor(std::log10(size))) + 1;  // digits before the point
  std::string text = fixed_text(value, std::max(3 - before, 0));
  // Zeros at the end are left out only where they are exact: 10, but 0.470 for 0.4699.
  const double last = size * std::pow(10.0, std::max(3 - before, 0));  // in units of the last digit
  if (text.find('.') == std::string::npos || std::abs(last - std::round(last)) > 1e-6 * last) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string signed_text(double value, int decimals) {
  const std::string text = fixed_text(value, decimals);
  return value > 0 && text.find_first_not_of("0.") != std::string::npos ? "+" + text : text;
}

std::string error_text(double value, int decimals) {
  if (std::isnan(value)) return "?";
  const std::string text = fixed_text(value, decimals);
  if (value <= 0 || text.find_first_not_of("0.") != std::string::npos) return text;
  return "<" + fixed_text(std::pow(10.0, -decimals), decimals);
}

std::string percent_text(double share) {
  if (!std::isfinite(share)) return "\xE2\x80\x93";  // U+2013
  const double percent = 100 * share;
  if (percent > 0 && percent < .05) return "<0.1 %";
  return fixed_text(percent, percent == std::round(percent) ? 0 : 1) + " %";
}

int decimals_for(double scale) {
  if (!std::isfinite(scale) || scale <= 0) return 2;
  return std::clamp(3 - static_cast<int>(std::floor(std::log10(scale))), 0, 9);
}

double finite_quantile(std::vector<double> values, double p) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double place = p * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

std::string short_text(std::string_view given, std::int64_t width) {
  const std::string text = printable(given);
  if (display_width(text) <= width) return text;
  std::vector<std::string> letters;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    next_code_point(text, i);
    letters.push_back(text.substr(begin, i - begin));
  }
  // Three fifths of what is left from the start, the rest from the end.
  std::string head, tail;
  std::int64_t room = std::max<std::int64_t>(width - 1, 0), used = 0;
  std::size_t next = 0, last = letters.size();
  while (next < last && used + display_width(letters[next]) <= room * 3 / 5) {
    used += display_width(letters[next]);
    head += letters[next++];
  }
  while (last > next && used + display_width(letters[last - 1]) <= room) {
    used += display_width(letters[last - 1]);
    tail = letters[--last] + tail;
  }
  return head + ellipsis + tail;
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace emshap::report
