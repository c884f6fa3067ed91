#pragma once
// Raw rows made into what the models of a run see: the cleaning of training, replayed.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/data/cleaning.h"
#include "emshap/data/source.h"
#include "emshap/data/split.h"
#include "emshap/data/table.h"

namespace emshap::app {

/// Both models' cleaning; null: no such model. Throws ConfigError when they differ.
Cleaning common_cleaning(const Cleaning* power, const Cleaning* density);

/// Chooses the columns of the data that the `features` of a model are made from: themselves without cleaning,
/// else the raw metrics and the columns of times and nodes among those `available`. Throws ConfigError for a
/// feature that the cleaning does not give.
void select_raw(const Cleaning& cleaning, const std::vector<std::string>& features,
                const std::vector<std::string>& available, ColumnSelection& selection);

/// The table as the models see it; raw rows of one part of the split do not look at those of another. Without
/// a split (null) all rows are one part.
Table replay(const Cleaning& cleaning, Table table, const Split* split);

/// Metric of each column, where the cleaning derives some from others; else empty.
std::vector<std::string> metrics_of(const Cleaning& cleaning, const std::vector<std::string>& columns);

}  // namespace emshap::app
