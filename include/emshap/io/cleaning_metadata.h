#pragma once
// What an ONNX file says about the cleaning that its model was trained behind. Clipping is part of the graph;
// the rest looks at other rows, and is told to whoever feeds the file:
//   "cleaning"               the content of cleaning.json, with which our apps clean raw rows themselves
//   "cleaning_not_in_graph"  JSON list of sentences on inputs that a row of raw metrics alone does not give
#include <map>
#include <string>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"
#include "emshap/data/cleaning.h"

namespace emshap::io {

/// Adds both keys, unless nothing is cleaned.
EMSHAP_API void add_cleaning(const Cleaning& cleaning, std::map<std::string, std::string>& metadata);
/// The cleaning of a file; one that does nothing where its metadata have none. Throws IoError naming `file`.
EMSHAP_API Cleaning read_cleaning(const std::map<std::string, std::string>& metadata,
                                  const std::string& file);

/// The rows (n, D) f32 of the cleaning's outputs to verify a file on: one in three with its clipped columns
/// moved beyond their bounds, so that clipping is verified too. Throws ShapeError for other columns.
EMSHAP_API Tensor rows_beyond(const Cleaning& cleaning, Tensor rows);

}  // namespace emshap::io
