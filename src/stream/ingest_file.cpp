// The loop over a file: one partition, whose position carries a fingerprint of what was read.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/ingest_shared.h"
#include "stream/store_text.h"

namespace emshap::stream {
namespace {

/// Standard input, without waiting longer than until `due` or a stop.
struct Input {
  const StopToken& stop;
  Clock::time_point due = Clock::time_point::max();
  bool ended = false;

  std::size_t read(char* to, std::size_t size) {
    while (!ended && !stop.stop_requested() && Clock::now() < due) {
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (::poll(&input, 1, 50) <= 0) continue;
      const ssize_t got = ::read(STDIN_FILENO, to, size);
      ended = got == 0;
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR && errno != EAGAIN)
        throw IoError(fmt::format("standard input cannot be read: {}", std::strerror(errno)));
    }
    return 0;
  }
};

std::unique_ptr<RecordReader> open_input(const std::filesystem::path& file, const std::string& name,
                                         RecordOptions records, Input& input) {
  if (file != "-") {
    input.ended = true;
    return open_records(file, records);
  }
  if (records.format == RecordFormat::automatic)
    throw ConfigError("standard input has no ending that tells its format; give --format");
  return open_records(
      name, [&input](char* to, std::size_t size) { return input.read(to, size); }, records);
}

std::int64_t bytes_of(const Batch& batch) {
  std::int64_t bytes = batch.records() * static_cast<std::int64_t>(sizeof(Sample));
  for (const Rejected& r : batch.rejected) bytes += static_cast<std::int64_t>(r.bytes.size());
  return bytes;
}

class FileIngest {
 public:
  FileIngest(FeatureStore& store, RecordReader& reader, Input& input, const IngestOptions& options,
             IngestReport& report, ProgressSink& sink, const StopToken& stop)
      : reader_(reader),
        input_(input),
        options_(options),
        report_(report),
        sink_(sink),
        stop_(stop),
        writer_(store, {options.ahead_bytes, options.store_seconds, options.store_name}, stop) {}

  void run() {
    try {
      read();
      finish();
    } catch (...) {
      add(report_, writer_.take(), sink_);
      report_.seconds = seconds_since(start_);
      throw;
    }
  }

 private:
  void read() {
    while (report_.ended.empty()) {
      Parcel parcel = writer_.blank(report_.topic);
      std::int64_t most = options_.batch_records;
      if (options_.messages > 0) most = std::min(most, options_.messages - report_.received);
      const std::int64_t before = reader_.bytes();
      bool more = false;
      input_.due = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(std::min(options_.batch_seconds, 1e6)));
      try {
        more = reader_.next(most, unix_seconds(), parcel.batch);
      } catch (...) {
        finish();  // what was before is good
        throw;
      }
      if (!more && input_.ended) {
        report_.ended = "end of the file";
        break;
      }
      if (!more) {
        take_written();
        see_end();
        continue;
      }
      report_.received += parcel.batch.records();
      report_.bytes += reader_.bytes() - before;
      parcel.generations.assign(parcel.batch.ranges.size(), writer_.generation(0));
      parcel.fingerprint = reader_.fingerprint();
      parcel.bytes = bytes_of(parcel.batch);
      while (!writer_.push(parcel, std::chrono::milliseconds(1000))) sink_.progress(progress_of(report_, 0));
      take_written();
      sink_.progress(progress_of(report_, options_.messages));
      see_end();
    }
    if (const auto tail = reader_.tail())
      sink_.log(
          LogLevel::warning,
          fmt::format("{}: the last {} bytes, from byte {} on, are no whole record ({}); they are read when "
                      "the rest is there",
                      reader_.name(), tail->bytes, tail->byte, tail->what));
  }

  void see_end() {
    if (stop_.stop_requested())
      report_.ended = "stopped";
    else if (options_.messages > 0 && report_.received >= options_.messages)
      report_.ended = fmt::format("{} messages", options_.messages);
    else if (options_.for_seconds > 0 && seconds_since(start_) >= options_.for_seconds)
      report_.ended = "time is over";
  }

  void finish() {
    while (!writer_.drain(std::chrono::milliseconds(1000))) {
    }
    report_.seconds = seconds_since(start_);
    take_written();
    warn_of_zeros(report_, reader_.presence(), options_.acceptance.absent, sink_);
  }

  void take_written() {
    writer_.check();
    const Written written = writer_.take();
    add(report_, written, sink_);
    if (!written.moved.empty())
      throw IoError(fmt::format("{}: another process reads the same file into {} and is at record {}",
                                reader_.name(), options_.store_name, written.moved.begin()->second),
                    ErrorKind::environment);
  }

  RecordReader& reader_;
  Input& input_;
  const IngestOptions& options_;
  IngestReport& report_;
  ProgressSink& sink_;
  const StopToken& stop_;
  BatchWriter writer_;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace

void ingest_file(FeatureStore& store, const std::filesystem::path& file, const std::string& name,
                 const RecordOptions& records, const IngestOptions& options, IngestReport& report,
                 ProgressSink& sink, const StopToken& stop) {
  report = {};
  report.topic = "file:" + name;
  report.store = options.store_name;
  if (!is_storable(name))
    throw ConfigError(fmt::format(
        "{}: its name is no UTF-8 text and cannot be stored; give another one with --as", storable(name)));
  try {
    RecordOptions used = records;
    used.acceptance = options.acceptance;
    Input input{stop};
    const auto reader = open_input(file, name, used, input);
    const auto stored = store.positions(report.topic);
    if (const auto found = stored.find(0); found != stored.end()) {
      resume(*reader, found->second.next_offset, found->second.fingerprint);
      report.positions[0] = found->second.next_offset;
      if (found->second.next_offset > 0)
        sink.log(LogLevel::info, fmt::format("{}: {} records are in {} already; going on behind them",
                                             reader->name(), found->second.next_offset, options.store_name));
    }
    FileIngest(store, *reader, input, options, report, sink, stop).run();
  } catch (const Error& e) {
    report.ended = "failed";
    if (e.kind() != ErrorKind::environment || report.batches == 0) throw;
    throw IoError(fmt::format("{}; {}", e.what(), standing(report)), e.kind());
  }
}

}  // namespace emshap::stream
