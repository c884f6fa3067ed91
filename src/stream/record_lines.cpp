#include <utility>

#include "emshap/core/error.h"
#include "stream/record_cutter.h"

namespace emshap::stream {
namespace {

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

class LineCutter final : public RecordCutter {
 public:
  LineCutter(std::string name, ByteReader reader, const RecordOptions& options,
             std::function<bool(std::string_view)> whole)
      : RecordCutter(std::move(name), std::move(reader), options.buffer_bytes, options.acceptance.most_bytes),
        whole_(std::move(whole)) {}

  bool next(Record& record) override {
    if (!marked_) skip_mark();
    while (true) {
      const std::string_view view = window_.view();
      const std::size_t end = view.find('\n', scanned_);
      if (end != std::string_view::npos) {
        if (finish(view.substr(0, end), end + 1, record)) return true;
        continue;
      }
      scanned_ = view.size();
      // Too long even if a carriage return ends it: its start is kept, the rest only counted.
      if (long_size_ > 0 || view.size() > most_ + 1) {
        keep_long(view);
        window_.drop(view.size());
        scanned_ = 0;
      }
      if (window_.more()) continue;
      const std::string_view rest = window_.view();
      const std::string_view line = long_size_ > 0 ? std::string_view(head_) : rest;
      if (blank(line) || !whole_(line)) return false;
      return finish(rest, rest.size(), record);
    }
  }

  std::optional<IncompleteTail> tail() const override {
    const auto left = static_cast<std::int64_t>(window_.view().size());
    if (long_size_ == 0 && blank(window_.view())) return std::nullopt;
    return IncompleteTail{.byte = window_.position() - long_size_,
                          .bytes = left + long_size_,
                          .what = "the last line has no line end"};
  }

 private:
  // A byte-order mark is no part of the first line.
  void skip_mark() {
    while (window_.view().size() < 3 && window_.more()) {
    }
    const std::string_view head = window_.view().substr(0, 3);
    if (head.substr(0, 2) == "\xFF\xFE" || head.substr(0, 2) == "\xFE\xFF")
      throw DataError(name_ + " line 1: the file is UTF-16, expected UTF-8");
    if (head == "\xEF\xBB\xBF") window_.drop(3);
    marked_ = head.size() == 3;
  }

  void keep_long(std::string_view part) {
    if (part.empty()) return;
    if (long_size_ == 0) head_.assign(part.substr(0, most_));
    long_size_ += static_cast<std::int64_t>(part.size());
    long_return_ = part.back() == '\r';
  }

  // The line ends here; false for a blank one.
  bool finish(std::string_view line, std::size_t consumed, Record& record) {
    marked_ = true;
    scanned_ = 0;
    if (long_size_ > 0) {
      keep_long(line);
      record = {head_, long_size_ - (long_return_ ? 1 : 0), true};
      long_size_ = 0;
    } else {
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      record = {line.substr(0, most_), static_cast<std::int64_t>(line.size()), line.size() > most_};
    }
    window_.drop(consumed);
    return record.too_large || !blank(line);
  }

  std::function<bool(std::string_view)> whole_;
  bool marked_ = false;
  std::size_t scanned_ = 0;     // no line end before this
  std::string head_;            // of a line that is too long
  std::int64_t long_size_ = 0;  // its bytes so far
  bool long_return_ = false;
};

}  // namespace

std::unique_ptr<RecordCutter> cut_lines(std::string name, ByteReader reader, const RecordOptions& options,
                                        std::function<bool(std::string_view)> whole) {
  return std::make_unique<LineCutter>(std::move(name), std::move(reader), options, std::move(whole));
}

}  // namespace emshap::stream
