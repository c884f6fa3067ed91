#pragma once
// Reader of the reference files that tests/golden/make_golden.py writes: named float64 tensors as text.
#include <string>
#include <unordered_map>
#include <vector>

#include "emshap/core/tensor_view.h"

namespace emshap::test {

class Golden {
 public:
  struct Entry {
    Shape shape;
    std::vector<double> values;
  };
  /// tests/golden/<name>.txt. Throws IoError for a missing or malformed file.
  explicit Golden(const std::string& name);
  /// Throws IoError naming file and entry.
  const Entry& operator[](const std::string& name) const;
  bool has(const std::string& name) const { return entries_.contains(name); }
  const std::vector<std::string>& names() const { return names_; }  ///< in order of the file
  const std::string& header() const { return header_; }             ///< torch's version, seed and command

 private:
  std::string file_, header_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace emshap::test
