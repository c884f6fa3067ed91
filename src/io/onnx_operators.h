#pragma once
// The operators that run_onnx knows, on arrays of doubles.
#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "emshap/core/error.h"
#include "io/graph_array.h"

namespace emshap::io {

/// One node: its attributes with ONNX's defaults, and its results.
struct Call {
  const onnx::NodeProto& node;
  std::vector<const Array*> in;  ///< null: an optional input left out
  std::vector<Array> out;

  const Array& at(std::size_t i) const {
    if (i >= in.size() || in[i] == nullptr) throw IoError(fmt::format("input {} is missing", i));
    return *in[i];
  }
  const onnx::AttributeProto* attribute(const char* name) const {
    for (const auto& a : node.attribute())
      if (a.name() == name) return &a;
    return nullptr;
  }
  std::int64_t integer(const char* name, std::int64_t otherwise) const {
    const auto* a = attribute(name);
    return a != nullptr ? a->i() : otherwise;
  }
  double real(const char* name, double otherwise) const {
    const auto* a = attribute(name);
    return a != nullptr ? static_cast<double>(a->f()) : otherwise;
  }
  std::vector<std::int64_t> integers(const char* name) const {
    const auto* a = attribute(name);
    if (a == nullptr) throw IoError(fmt::format("attribute '{}' is missing", name));
    return {a->ints().begin(), a->ints().end()};
  }
  /// The only entry of input i, a list of integers.
  std::int64_t single(std::size_t i) const {
    if (at(i).elements() != 1)
      throw IoError(fmt::format("input {} has {} entries, expected 1", i, at(i).elements()));
    return static_cast<std::int64_t>(at(i).v[0]);
  }
};

using Operator = void (*)(Call&);
/// Null for an operator that is not known. Scan is the runner's own.
Operator find_operator(const std::string& op_type);

}  // namespace emshap::io
