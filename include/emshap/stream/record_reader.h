#pragma once
// Files of messages, read record by record: CSV, JSON lines, length-delimited protobuf, FeatureVectorBatch
// (docs/formats.md).
//
// Every record becomes a sample or a rejected entry with its bytes; none is passed over. Offsets count the
// records from 0, in partition 0. A record that is not whole yet at the end of the file is left alone: tail()
// tells of it, and it is read when the rest is there, now or in a later run.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "emshap/core/export.h"
#include "emshap/data/csv.h"
#include "emshap/stream/feature_vector.h"
#include "emshap/stream/sample.h"

namespace emshap::stream {

enum class RecordFormat : std::uint8_t {
  automatic,  ///< by the ending of the name
  csv,    ///< one record a line (no line ends in quotes); the header names time, node_id, power_consumption,
          ///< metrics, others
  jsonl,  ///< one JSON object a line
  protobuf,  ///< each FeatureVector after its length as a varint, as protobuf's writeDelimitedTo does
  batch,     ///< one FeatureVectorBatch, or several one after another
};
/// Parses "auto", "csv", "jsonl", "protobuf" or "batch". Throws ConfigError.
EMSHAP_API RecordFormat parse_record_format(const std::string& text);
EMSHAP_API const char* to_string(RecordFormat format);
/// By the ending, in any case: .csv; .jsonl, .ndjson; .pb, .protobuf, .delimited; .pbatch, .batch. Throws
/// ConfigError for others.
EMSHAP_API RecordFormat record_format_of(const std::filesystem::path& path);

struct RecordOptions {
  RecordFormat format = RecordFormat::automatic;
  Acceptance acceptance;
  char delimiter = ',';                  ///< of CSV
  bool last_line = false;                ///< take the last line of a text file though its line end is missing
  std::int64_t batch_bytes = 16 << 20;   ///< a batch ends when its records have this many bytes
  std::size_t buffer_bytes = 256 << 10;  ///< read at once; grows up to one record
};

/// What stands at the end of a file without being a whole record.
struct IncompleteTail {
  std::int64_t record = 0;  ///< its offset, once it is whole
  std::int64_t byte = 0;    ///< where it starts in the file, from 0
  std::int64_t bytes = 0;   ///< how many are there
  std::string what;         ///< one phrase: "the last line has no line end"
};

class EMSHAP_API RecordReader {
 public:
  virtual ~RecordReader() = default;
  virtual const std::string& name() const = 0;
  virtual RecordFormat format() const = 0;

  /// Replaces the batch (all but its topic) with the next records, at most `most_records`, as one range of
  /// partition 0. False, with an empty batch, when no whole record is left; may be called again after the
  /// file has grown. `now`: Unix seconds, for times in the future. Throws IoError when reading fails,
  /// DataError where the file cannot be cut into records any further (a length that is none); the records
  /// before have then been given.
  virtual bool next(std::int64_t most_records, std::int64_t now, Batch& batch) = 0;
  /// Reads up to `count` records without giving them out; returns how many there were.
  virtual std::int64_t skip(std::int64_t count) = 0;

  /// Offset of the next record.
  virtual std::int64_t offset() const = 0;
  /// Bytes of the file before it, for progress.
  virtual std::int64_t bytes() const = 0;
  /// Of the bytes of all records before offset() (and of the header of CSV): 16 hexadecimal digits. Does not
  /// depend on how they were read.
  virtual std::string fingerprint() const = 0;
  /// Set once next() or skip() has come to the end and something is left.
  virtual std::optional<IncompleteTail> tail() const = 0;
  /// Of the accepted records.
  virtual const Presence& presence() const = 0;
};

/// Throws ConfigError for an unknown ending or delimiter, IoError for a file that cannot be read, DataError
/// for CSV without a usable header.
EMSHAP_API std::unique_ptr<RecordReader> open_records(const std::filesystem::path& path,
                                                      const RecordOptions& options = {});
/// The same over any bytes; options.format must be given. `name` is for messages.
EMSHAP_API std::unique_ptr<RecordReader> open_records(std::string name, ByteReader reader,
                                                      const RecordOptions& options);

/// Goes on where a store is (Position of feature_store.h): skips the records before `next_offset`. Throws
/// DataError when the file has fewer or when they are not those that were stored.
EMSHAP_API void resume(RecordReader& reader, std::int64_t next_offset, const std::string& fingerprint);

}  // namespace emshap::stream
