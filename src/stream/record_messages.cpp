#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "emshap/core/error.h"
#include "stream/record_cutter.h"

namespace emshap::stream {
namespace {

enum class Read { done, more, bad };

// A varint at `at`, which is moved behind it.
Read read_varint(std::string_view bytes, std::size_t& at, std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (at == bytes.size()) return Read::more;
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    if (shift == 63 && byte > 1) return Read::bad;
    value |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte < 128) return Read::done;
  }
  return Read::bad;
}

class MessageCutter final : public RecordCutter {
 public:
  MessageCutter(std::string name, ByteReader reader, const RecordOptions& options, bool batch)
      : RecordCutter(std::move(name), std::move(reader), options.buffer_bytes, options.acceptance.most_bytes),
        batch_(batch) {}

  bool next(Record& record) override {
    while (true) {
      if (!open_ && !start()) return false;
      if (is_record_ && size_ <= static_cast<std::int64_t>(most_)) {
        while (static_cast<std::int64_t>(window_.view().size()) < size_)
          if (!window_.more()) return false;
        record = {window_.view().substr(0, static_cast<std::size_t>(size_)), size_, false};
        window_.drop(static_cast<std::size_t>(size_));
        open_ = false;
        return true;
      }
      if (!pass_by()) return false;
      open_ = false;
      if (!is_record_) continue;
      record = {head_, size_, true};
      return true;
    }
  }

  std::optional<IncompleteTail> tail() const override {
    const std::int64_t left = static_cast<std::int64_t>(window_.view().size());
    if (!open_) {
      if (left == 0) return std::nullopt;
      return IncompleteTail{
          .byte = window_.position(), .bytes = left, .what = "the length of a message is cut off"};
    }
    return IncompleteTail{
        .byte = start_,
        .bytes = window_.position() + left - start_,
        .what = fmt::format("{} of the {} bytes of a message are there", passed_ + left, size_)};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(fmt::format("{} byte {}: {}, expected {}; the file is damaged or has another format",
                                name_, window_.position(), what,
                                batch_ ? "a field of a FeatureVectorBatch" : "the length of a message"));
  }

  // What stands before the bytes of a record (or of a field that is passed by). False when it is not whole.
  bool start() {
    while (true) {
      const std::string_view view = window_.view();
      std::size_t at = 0;
      std::uint64_t size = 0;
      is_record_ = true;
      Read read = view.empty() ? Read::more
                  : batch_     ? read_field(view, at, size)
                               : read_varint(view, at, size);
      if (read == Read::bad) fail("there is no number that can be read");
      if (read == Read::done) {
        if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()))
          fail(fmt::format("a length of {} is beyond that of any message", size));
        start_ = window_.position();
        window_.drop(at);
        size_ = static_cast<std::int64_t>(size);
        passed_ = 0;
        head_.clear();
        open_ = true;
        return true;
      }
      if (!window_.more()) return false;
    }
  }

  Read read_field(std::string_view view, std::size_t& at, std::uint64_t& size) {
    std::uint64_t key = 0, ignored = 0;
    if (const Read read = read_varint(view, at, key); read != Read::done) return read;
    const std::uint64_t number = key >> 3;
    if (number == 0 || number > 536'870'911) fail(fmt::format("there is no field {}", number));
    is_record_ = number == 1 && (key & 7) == 2;
    switch (key & 7) {
      case 0:
        size = 0;
        return read_varint(view, at, ignored);
      case 1:
        size = 8;
        return Read::done;
      case 2:
        return read_varint(view, at, size);
      case 5:
        size = 4;
        return Read::done;
      default:
        fail(fmt::format("field {} has wire type {}", number, key & 7));
    }
  }

  // Bytes that are not decoded; the first ones of a record are kept. False when they are not all there.
  bool pass_by() {
    while (passed_ < size_) {
      const std::string_view view = window_.view();
      if (view.empty()) {
        if (!window_.more()) return false;
        continue;
      }
      const auto count =
          static_cast<std::size_t>(std::min(size_ - passed_, static_cast<std::int64_t>(view.size())));
      if (is_record_) head_.append(view.substr(0, std::min(count, most_ - head_.size())));
      window_.drop(count);
      passed_ += static_cast<std::int64_t>(count);
    }
    return true;
  }

  bool batch_;
  bool open_ = false, is_record_ = true;            // between the length and the end of the bytes
  std::int64_t start_ = 0, size_ = 0, passed_ = 0;  // passed_: bytes that have left the window
  std::string head_;
};

}  // namespace

std::unique_ptr<RecordCutter> cut_messages(std::string name, ByteReader reader, const RecordOptions& options,
                                           bool batch) {
  return std::make_unique<MessageCutter>(std::move(name), std::move(reader), options, batch);
}

}  // namespace emshap::stream
