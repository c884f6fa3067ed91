#pragma once
// Small tables of hosts in time, and what cleaning makes of them.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "data_support.h"
#include "emshap/data/cleaning.h"

namespace emshap::test {

inline constexpr float missing = std::numeric_limits<float>::quiet_NaN();

struct HostRow {
  std::string node;
  std::int64_t time = 0;
  float a = 0, b = 0;
};

inline Table host_table(const std::vector<HostRow>& rows) {
  Table t({{"a", ColumnType::f32, ColumnRole::feature},
           {"b", ColumnType::f32, ColumnRole::feature},
           {"node", ColumnType::text, ColumnRole::node_id},
           {"time", ColumnType::i64, ColumnRole::time}});
  t.provenance().source = "hosts";
  const auto push = [](Column& column, float v) {
    if (std::isnan(v))
      column.push_missing();
    else
      column.push_f32(v);
  };
  for (const HostRow& row : rows) {
    push(t.columns()[0], row.a);
    push(t.columns()[1], row.b);
    t.columns()[2].push_text(row.node);
    t.columns()[3].push_i64(row.time);
  }
  return t;
}

inline std::vector<float> values(const Table& table, const std::string& name) {
  const auto from = table.column(name).f32();
  return {from.begin(), from.end()};
}

/// Equal, or both missing.
inline bool same(float a, float b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}
inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
  bool all = a.size() == b.size();
  for (std::size_t i = 0; all && i < a.size(); ++i) all = same(a[i], b[i]);
  return all;
}

}  // namespace emshap::test
