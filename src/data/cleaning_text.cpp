// Names of cleaning's options, its saved form and sentences on what it computes.
#include <fmt/format.h>

#include "data/cleaning_names.h"
#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/hash.h"

namespace emshap {

FillMissing parse_fill_missing(const std::string& text) {
  for (const FillMissing fill : {FillMissing::keep, FillMissing::forward})
    if (text == to_string(fill)) return fill;
  throw ConfigError(fmt::format("fill-missing '{}' is not known, expected keep or forward", text));
}

Outliers parse_outliers(const std::string& text) {
  for (const Outliers outliers : {Outliers::off, Outliers::clip, Outliers::drop})
    if (text == to_string(outliers)) return outliers;
  throw ConfigError(fmt::format("outliers '{}' is not known, expected off, clip or drop", text));
}

const char* to_string(FillMissing fill) {
  return fill == FillMissing::forward ? "forward" : "keep";
}

const char* to_string(Outliers outliers) {
  switch (outliers) {
    case Outliers::off:
      return "off";
    case Outliers::clip:
      return "clip";
    case Outliers::drop:
      return "drop";
  }
  return "?";
}

std::vector<std::string> Cleaning::descriptions() const {
  std::vector<std::string> texts;
  if (options_.fill == FillMissing::forward)
    texts.emplace_back(
        "a missing value is the last present one of the node, else its next one, else the mean of the "
        "training rows");
  if (options_.calendar) {
    texts.emplace_back("hour is the hour of the day of the sample's time, 0 to 23, UTC");
    texts.emplace_back("day_of_week is the day of the week of the sample's time, Monday 0 to Sunday 6, UTC");
    texts.emplace_back("weekend is 1 on Saturday and Sunday, else 0, UTC");
  }
  const char* const of = options_.outliers == Outliers::clip ? " after clipping" : "";
  for (const std::string& metric : options_.derive_from.empty() ? inputs_ : options_.derive_from) {
    for (const std::int64_t lag : options_.lags)
      texts.push_back(fmt::format("{} is {}{} {} sample{} of the node before",
                                  cleaning::lag_name(metric, lag), metric, of, lag, lag == 1 ? "" : "s"));
    if (options_.rolling == 0) continue;
    texts.push_back(fmt::format("{} is the mean of {}{} over the last {} samples of the node",
                                cleaning::mean_name(metric, options_.rolling), metric, of, options_.rolling));
    texts.push_back(fmt::format(
        "{} is the standard deviation (divided by {}) of {}{} over the last {} samples of the node",
        cleaning::deviation_name(metric, options_.rolling), options_.rolling - 1, metric, of,
        options_.rolling));
  }
  return texts;
}

std::string Cleaning::hash() const {
  Hash64 hash;
  const auto names = [&hash](const std::vector<std::string>& list) {
    hash.word(list.size());
    for (const std::string& name : list) hash.text(name);
  };
  hash.word(static_cast<std::uint64_t>(options_.fill));
  hash.word(static_cast<std::uint64_t>(options_.outliers));
  hash.number(options_.iqr_factor);
  hash.word(options_.calendar ? 1 : 0);
  hash.word(options_.lags.size());
  for (const std::int64_t lag : options_.lags) hash.word(static_cast<std::uint64_t>(lag));
  hash.word(static_cast<std::uint64_t>(options_.rolling));
  names(options_.derive_from);
  names(options_.products);
  hash.text(time_);
  hash.text(node_);
  names(inputs_);
  names(outputs_);
  hash.numbers(mean_);
  hash.numbers(input_low_);
  hash.numbers(input_high_);
  return hash.hex();
}

std::string Cleaning::to_json() const {
  using namespace json_text;
  const CleaningOptions& o = options_;
  return fmt::format(
      "{{\"format\": \"emshap cleaning\", \"version\": 1,\n"
      " \"fill_missing\": {}, \"outliers\": {}, \"iqr_factor\": {}, \"calendar\": {},\n"
      " \"lags\": {}, \"rolling\": {}, \"derive_from\": {}, \"products\": {},\n"
      " \"time_column\": {}, \"node_column\": {},\n"
      " \"inputs\": {},\n \"low\": {},\n \"high\": {},\n \"means\": {},\n"
      " \"outputs\": {},\n \"metrics\": {},\n"
      " \"hash\": {}}}\n",
      quote(to_string(o.fill)), quote(to_string(o.outliers)), number(o.iqr_factor), o.calendar, list(o.lags),
      o.rolling, list(o.derive_from), list(o.products), quote(time_), quote(node_), list(inputs_),
      list(input_low_), list(input_high_), list(mean_), list(outputs_), list(metrics_), quote(hash()));
}

}  // namespace emshap
