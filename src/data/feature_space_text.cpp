// A feature space as JSON, and its hash. Reading it back is in feature_space_json.cpp.
#include <fmt/format.h>

#include "data/json_text.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/hash.h"

namespace emshap {

std::string FeatureSpace::to_json() const {
  using json_text::list;
  using json_text::number;
  using json_text::quote;
  std::string columns;
  for (const FeatureColumn& c : columns_)
    columns += fmt::format(
        "{}\n  {{\"name\": {}, \"kind\": \"{}\", \"may_be_missing\": {}, \"low\": {}, \"high\": {}, \"sd\": "
        "{}, "
        "\"delta\": {},\n   \"values\": {},\n   \"counts\": {}}}",
        columns.empty() ? "" : ",", quote(c.name), to_string(c.kind), c.may_be_missing, number(c.low),
        number(c.high), number(c.sd), number(c.delta), list(c.values), list(c.counts));
  return fmt::format(
      "{{\"format\": \"emshap feature space\", \"version\": 1, \"hash\": \"{}\",\n \"options\": "
      "{{\"transform\": "
      "\"{}\", \"ties\": {}, \"max_categories\": {}, \"rows_per_category\": {}, \"range_margin\": {}}},\n "
      "\"transform\": \"{}\",\n \"pipeline\": {},\n \"columns\": [{}],\n \"notes\": {}}}\n",
      hash(), to_string(options_.transform), options_.ties, options_.max_categories,
      options_.rows_per_category, number(options_.range_margin), to_string(chosen_), pipeline_.to_json(),
      columns, list(notes_));
}

std::string FeatureSpace::hash() const {
  Hash64 hash;
  hash.text(pipeline_.hash());
  hash.text(to_string(options_.transform));
  hash.word(options_.ties ? 1 : 0);
  hash.word(static_cast<std::uint64_t>(options_.max_categories));
  hash.word(static_cast<std::uint64_t>(options_.rows_per_category));
  hash.number(options_.range_margin);
  hash.text(to_string(chosen_));
  for (const FeatureColumn& c : columns_) {
    hash.text(c.name);
    hash.text(to_string(c.kind));
    hash.word(c.may_be_missing ? 1 : 0);
    const double numbers[] = {c.low, c.high, c.sd, c.delta};
    hash.numbers(numbers);
    hash.word(c.values.size());
    hash.numbers(c.values);
    for (const std::int64_t count : c.counts) hash.word(static_cast<std::uint64_t>(count));
  }
  return hash.hex();
}

}  // namespace emshap
