#pragma once
// From the bytes of one record to a sample or a rejected entry.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "emshap/stream/record_reader.h"

namespace emshap::stream {

class RecordParser {
 public:
  virtual ~RecordParser() = default;
  /// Appends to batch.samples or batch.rejected.
  virtual void parse(std::string_view bytes, std::int64_t offset, std::int64_t now, Batch& batch) = 0;
  virtual const Presence& presence() const = 0;
};

/// Throws DataError for a header that lacks a column or names one twice; `name` is for messages.
std::unique_ptr<RecordParser> csv_parser(const std::string& name, std::string_view header,
                                         const RecordOptions& options);
std::unique_ptr<RecordParser> json_parser(const RecordOptions& options);
/// Whether a line is a whole JSON object.
bool is_json_object(std::string_view line);
std::unique_ptr<RecordParser> message_parser(const RecordOptions& options);

/// Seconds of what csv_values.h reads: an integer, decimal seconds, ISO 8601. False for other text.
bool read_seconds(std::string_view text, std::int64_t& seconds);
/// What a message shows of a text: its start, printable ASCII.
std::string shown(std::string_view text);

}  // namespace emshap::stream
