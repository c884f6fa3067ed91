#include "stream/byte_window.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace emshap::stream {

ByteWindow::ByteWindow(ByteReader reader, std::size_t bytes)
    : reader_(std::move(reader)), buffer_(std::max<std::size_t>(bytes, 16)) {}

bool ByteWindow::more() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const std::size_t got = reader_(buffer_.data() + end_, buffer_.size() - end_);
  end_ += got;
  return got > 0;
}

void ByteWindow::drop(std::size_t count) {
  begin_ += count;
  position_ += static_cast<std::int64_t>(count);
}

}  // namespace emshap::stream
