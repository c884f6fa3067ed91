#pragma once
// The part of a file that is being looked at; grows only for a record that does not fit.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "emshap/data/csv.h"

namespace emshap::stream {

class ByteWindow {
 public:
  ByteWindow(ByteReader reader, std::size_t bytes);

  std::string_view view() const { return {buffer_.data() + begin_, end_ - begin_}; }
  /// Adds what comes next; views end. False when nothing does, now: a file may grow.
  bool more();
  void drop(std::size_t count);
  /// Of the first byte of view() in the file.
  std::int64_t position() const { return position_; }

 private:
  ByteReader reader_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::int64_t position_ = 0;
};

}  // namespace emshap::stream
