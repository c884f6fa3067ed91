#pragma once
#include <fmt/format.h>

#include <string>

#include "data_support.h"
#include "emshap/core/random.h"

namespace emshap::test {

inline ColumnSelection y_target() {
  ColumnSelection selection;
  selection.target = "y";
  return selection;
}

/// Three features: one normal around 50, one constant, one with missing cells; y = row.
inline Table example(int rows, bool missing = true) {
  Generator random({3, RandomPurpose::test});
  std::string text = "a,k,m,y\n";
  for (int i = 0; i < rows; ++i) {
    const double a = 50 + 3 * random.normal(), m = random.uniform();
    const bool absent = missing && i % 5 == 1;
    text += fmt::format("{},7,{},{}\n", a, absent ? "" : fmt::format("{}", m), i);
  }
  return csv_table(text, y_target());
}

}  // namespace emshap::test
