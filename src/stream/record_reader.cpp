#include "emshap/stream/record_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <limits>
#include <utility>

#include "data/file_bytes.h"
#include "emshap/core/error.h"
#include "emshap/data/hash.h"
#include "stream/checks.h"
#include "stream/record_cutter.h"
#include "stream/record_parser.h"

namespace emshap::stream {
namespace {

class MessageParser final : public RecordParser {
 public:
  explicit MessageParser(const RecordOptions& options) : decoder_(options.acceptance) {}
  void parse(std::string_view bytes, std::int64_t offset, std::int64_t now, Batch& batch) override {
    decoder_.decode(bytes, 0, offset, now, batch);
  }
  const Presence& presence() const override { return decoder_.presence(); }

 private:
  Decoder decoder_;
};

class FileRecords final : public RecordReader {
 public:
  FileRecords(std::string name, ByteReader bytes, const RecordOptions& options)
      : options_(options), cutter_(cutter(std::move(name), std::move(bytes), options)) {
    switch (options_.format) {
      case RecordFormat::csv: {
        Record header;
        if (!cutter_->next(header) || header.too_large)
          throw DataError(fmt::format(
              "{} line 1: there is no whole line, expected a header with column names", cutter_->name()));
        parser_ = csv_parser(cutter_->name(), header.bytes, options_);
        hash_.text(header.bytes);
        break;
      }
      case RecordFormat::jsonl:
        parser_ = json_parser(options_);
        break;
      default:
        parser_ = message_parser(options_);
    }
  }

  const std::string& name() const override { return cutter_->name(); }
  RecordFormat format() const override { return options_.format; }
  std::int64_t offset() const override { return offset_; }
  std::int64_t bytes() const override { return cutter_->position(); }
  std::string fingerprint() const override { return hash_.hex(); }
  std::optional<IncompleteTail> tail() const override { return tail_; }
  const Presence& presence() const override { return parser_->presence(); }

  bool next(std::int64_t most_records, std::int64_t now, Batch& batch) override {
    batch.clear();
    const std::int64_t first = offset_, stop = first + std::max<std::int64_t>(most_records, 1);
    std::int64_t size = 0;
    Record record;
    while (offset_ < stop && size < options_.batch_bytes && cut(record, offset_ == first)) {
      if (record.too_large)
        Checks::reject(0, offset_, Reason::too_large,
                       fmt::format("{} bytes, expected at most {}; the first ones are kept", record.size,
                                   options_.acceptance.most_bytes),
                       record.bytes, batch);
      else
        parser_->parse(record.bytes, offset_, now, batch);
      size += static_cast<std::int64_t>(record.bytes.size());
      ++offset_;
    }
    if (offset_ == first) return false;
    batch.ranges.push_back({.partition = 0, .first = first, .next = offset_});
    return true;
  }

  std::int64_t skip(std::int64_t count) override {
    std::int64_t skipped = 0;
    Record record;
    for (; skipped < count && cut(record, true); ++skipped) ++offset_;
    return skipped;
  }

 private:
  static std::unique_ptr<RecordCutter> cutter(std::string name, ByteReader bytes,
                                              const RecordOptions& options) {
    const bool take = options.last_line;
    switch (options.format) {
      case RecordFormat::csv:
        return cut_lines(std::move(name), std::move(bytes), options,
                         [take](std::string_view) { return take; });
      case RecordFormat::jsonl:  // an object tells where it ends
        return cut_lines(std::move(name), std::move(bytes), options,
                         [take](std::string_view line) { return take || is_json_object(line); });
      case RecordFormat::protobuf:
      case RecordFormat::batch:
        return cut_messages(std::move(name), std::move(bytes), options,
                            options.format == RecordFormat::batch);
      case RecordFormat::automatic:
        break;
    }
    throw ConfigError(fmt::format("{}: the format of the records is not given", name));
  }

  // An error behind whole records waits until they have been given: cutting again finds it again.
  bool cut(Record& record, bool may_throw) {
    tail_.reset();
    try {
      if (!cutter_->next(record)) {
        tail_ = cutter_->tail();
        if (tail_) tail_->record = offset_;
        return false;
      }
    } catch (const Error&) {
      if (may_throw) throw;
      return false;
    }
    hash_.text(record.bytes);
    if (record.too_large) hash_.word(static_cast<std::uint64_t>(record.size));
    return true;
  }

  RecordOptions options_;
  std::unique_ptr<RecordCutter> cutter_;
  std::unique_ptr<RecordParser> parser_;
  Hash64 hash_;
  std::int64_t offset_ = 0;
  std::optional<IncompleteTail> tail_;
};

}  // namespace

std::unique_ptr<RecordParser> message_parser(const RecordOptions& options) {
  return std::make_unique<MessageParser>(options);
}

RecordFormat parse_record_format(const std::string& text) {
  if (text == "auto") return RecordFormat::automatic;
  for (const RecordFormat format :
       {RecordFormat::csv, RecordFormat::jsonl, RecordFormat::protobuf, RecordFormat::batch})
    if (text == to_string(format)) return format;
  throw ConfigError(
      fmt::format("'{}' is no format of records, expected auto, csv, jsonl, protobuf or batch", text));
}

const char* to_string(RecordFormat format) {
  switch (format) {
    case RecordFormat::automatic:
      return "auto";
    case RecordFormat::csv:
      return "csv";
    case RecordFormat::jsonl:
      return "jsonl";
    case RecordFormat::protobuf:
      return "protobuf";
    case RecordFormat::batch:
      return "batch";
  }
  return "";
}

RecordFormat record_format_of(const std::filesystem::path& path) {
  static constexpr std::pair<const char*, RecordFormat> endings[] = {
      {".csv", RecordFormat::csv},           {".jsonl", RecordFormat::jsonl},
      {".ndjson", RecordFormat::jsonl},      {".pb", RecordFormat::protobuf},
      {".protobuf", RecordFormat::protobuf}, {".delimited", RecordFormat::protobuf},
      {".pbatch", RecordFormat::batch},      {".batch", RecordFormat::batch}};
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto& [known, format] : endings)
    if (ending == known) return format;
  throw ConfigError(fmt::format(
      "{}: the ending '{}' does not tell the format, expected .csv, .jsonl, .ndjson, .pb, .protobuf, "
      ".delimited, .pbatch or .batch, or --format",
      path.string(), ending));
}

std::unique_ptr<RecordReader> open_records(const std::filesystem::path& path, const RecordOptions& options) {
  RecordOptions chosen = options;
  if (chosen.format == RecordFormat::automatic) chosen.format = record_format_of(path);
  return open_records(path.string(), open_bytes(path, "a file of messages"), chosen);
}

std::unique_ptr<RecordReader> open_records(std::string name, ByteReader reader,
                                           const RecordOptions& options) {
  check_limits(options.acceptance);
  const auto d = static_cast<unsigned char>(options.delimiter);
  if (d == 0 || d >= 128 || std::isalnum(d) != 0 || std::strchr("\"\r\n.+-", options.delimiter) != nullptr)
    throw ConfigError(
        fmt::format("csv delimiter (character code {}) is not possible, expected a comma, semicolon, "
                    "tab, blank or other mark",
                    static_cast<int>(d)));
  return std::make_unique<FileRecords>(std::move(name), std::move(reader), options);
}

void resume(RecordReader& reader, std::int64_t next_offset, const std::string& fingerprint) {
  reader.skip(next_offset - reader.offset());
  if (reader.offset() < next_offset)
    throw DataError(
        fmt::format("{}: the file has {} whole records, but {} of it are stored: it was cut or replaced; "
                    "give a new file a name of its own",
                    reader.name(), reader.offset(), next_offset));
  if (!fingerprint.empty() && reader.fingerprint() != fingerprint)
    throw DataError(
        fmt::format("{}: the first {} records are not those that are stored from it: the file was "
                    "changed or replaced; give a new file a name of its own",
                    reader.name(), next_offset));
}

}  // namespace emshap::stream
