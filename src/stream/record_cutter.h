#pragma once
// Where one record of a file ends and the next begins; what is in it does not matter here.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "emshap/stream/record_reader.h"
#include "stream/byte_window.h"

namespace emshap::stream {

/// Valid until the next one is cut.
struct Record {
  std::string_view bytes;  ///< of a record that is too large, its first `most` bytes
  std::int64_t size = 0;
  bool too_large = false;
};

class RecordCutter {
 public:
  /// `most`: bytes a record may have.
  RecordCutter(std::string name, ByteReader reader, std::size_t buffer, std::int64_t most)
      : name_(std::move(name)), window_(std::move(reader), buffer), most_(static_cast<std::size_t>(most)) {}
  virtual ~RecordCutter() = default;

  /// False when no whole record is left; may be called again when the file has grown. Throws DataError.
  virtual bool next(Record& record) = 0;
  /// After next() was false: what is left, without `record`.
  virtual std::optional<IncompleteTail> tail() const = 0;

  const std::string& name() const { return name_; }
  std::int64_t position() const { return window_.position(); }

 protected:
  std::string name_;
  ByteWindow window_;
  std::size_t most_;
};

/// Lines, without their ends; blank ones are none. `whole` says whether a last line that lacks its end is a
/// record.
std::unique_ptr<RecordCutter> cut_lines(std::string name, ByteReader reader, const RecordOptions& options,
                                        std::function<bool(std::string_view)> whole);
/// Messages after their lengths; with `batch` those of field 1 of a message around them.
std::unique_ptr<RecordCutter> cut_messages(std::string name, ByteReader reader, const RecordOptions& options,
                                           bool batch);

}  // namespace emshap::stream
