#include "data/json_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace emshap::json_text {
namespace {

template <class T, class Format>
std::string join(std::span<const T> values, const Format& format) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += format(values[i]);
  }
  return text + "]";
}

}  // namespace

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  std::string text(digits, result.ptr);
  // A reader that tells integers from reals keeps the sign of -0 and the type this way.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 32) {
          out += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

std::string list(std::span<const double> values) {
  return join(values, [](double v) { return number(v); });
}
std::string list(std::span<const std::int64_t> values) {
  return join(values, [](std::int64_t v) { return std::to_string(v); });
}
std::string list(std::span<const std::string> values) {
  return join(values, [](const std::string& v) { return quote(v); });
}

}  // namespace emshap::json_text
