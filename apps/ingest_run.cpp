#include "ingest_run.h"

#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/stream/ingest.h"

namespace emshap::app {
namespace {

struct Options {
  std::string store = "features.db", repeated = "first";
  bool sync = true;
  stream::KafkaOptions kafka;
  std::vector<std::string> property, table;  // of the command line, of the configuration file
  std::string properties;
  std::string file, format = "auto", as;
  std::string absent = "missing", nodes, from = "beginning", report;
  stream::IngestOptions ingest;
};

std::unordered_set<std::string> read_nodes(const std::string& file) {
  std::unordered_set<std::string> nodes;
  const std::string text = read_file(file);
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::size_t next = end + 1;
    while (end > begin && std::isspace(static_cast<unsigned char>(text[end - 1])) != 0) --end;
    if (end > begin && text[begin] != '#') nodes.insert(text.substr(begin, end - begin));
    begin = next;
  }
  if (nodes.empty()) throw DataError(fmt::format("{}: names no node", file));
  return nodes;
}

/// Days of reading should not end with a report that cannot be written.
void check_folder(const std::filesystem::path& report) {
  if (report.empty()) return;
  const std::filesystem::path folder = report.has_parent_path() ? report.parent_path() : ".";
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    throw IoError(fmt::format("--report {}: no file can be written in {}: {}", report.string(),
                              folder.string(), std::strerror(errno)),
                  ErrorKind::environment);
}

stream::KafkaProperties properties_of(const Options& o) {
  stream::KafkaProperties properties;
  if (!o.properties.empty()) stream::add_properties_file(properties, o.properties);
  stream::add_properties_environment(properties, environ);
  for (const std::string& entry : o.table)
    stream::add_property(properties, entry, "configuration file, [kafka]");
  for (const std::string& entry : o.property) stream::add_property(properties, entry, "--property");
  return properties;
}

void run(const Options& o, Session& session) {
  stream::IngestOptions ingest = o.ingest;
  ingest.acceptance.absent = stream::parse_absent(o.absent);
  ingest.from = stream::parse_from(o.from);
  if (!o.nodes.empty()) ingest.acceptance.nodes = read_nodes(o.nodes);
  ingest.store_name = stream::without_password(o.store);
  stream::StoreOptions store_options;
  store_options.repeated = stream::parse_repeated(o.repeated);
  store_options.sync = o.sync;
  stream::KafkaOptions kafka = o.kafka;
  if (o.file.empty()) {
    if (!o.as.empty()) throw ConfigError("--as names what --file reads, but there is no --file");
    kafka.properties = properties_of(o);
  } else if (o.file == "-" && o.as.empty()) {
    throw ConfigError("--file - reads standard input, which has no name; give it one with --as NAME");
  }
  check_folder(o.report);
  const auto store = stream::open_store(o.store, store_options);

  stream::IngestReport report;
  const auto tell = [&] {
    session.print(stream::to_text(report));
    if (!o.report.empty()) write_file_atomically(o.report, stream::to_json(report));
  };
  try {
    if (o.file.empty()) {
      stream::ingest_topic(*store, kafka, ingest, report, session.sink(), session.stop());
    } else {
      stream::RecordOptions records;
      records.format = stream::parse_record_format(o.format);
      const std::string name = o.as.empty() ? std::filesystem::path(o.file).filename().string() : o.as;
      stream::ingest_file(*store, o.file, name, records, ingest, report, session.sink(), session.stop());
    }
  } catch (...) {
    if (report.received > 0) {
      try {
        tell();
      } catch (const std::exception& e) {  // the first error counts
        session.sink().log(LogLevel::warning, e.what());
      }
    }
    throw;
  }
  tell();
}

void add_settings(Settings& s, Options& o) {
  stream::IngestOptions& in = o.ingest;
  s.add("store", "store", o.store, "SQLite file, or postgresql://user@host/database");
  s.add("store", "repeated", o.repeated, "Which sample of one node and time stays: first or last",
        one_of({"first", "last"}));
  s.add("store", "batch-records", in.batch_records, "Most records of one transaction", at_least(1));
  s.add("store", "batch-seconds", in.batch_seconds, "A record is written after this time at most",
        more_than(0));
  s.add("store", "store-seconds", in.store_seconds,
        "How long a store that cannot be written is tried again; 0: not", in_range(0, 1e9));
  s.add("store", "sync", o.sync, "Wait until the disk has each batch (SQLite)");
  s.add("kafka", "brokers", o.kafka.brokers, "HOST:PORT, several with commas");
  s.add("kafka", "topic", o.kafka.topic, "Topic to read");
  s.add("kafka", "group", o.kafka.group, "Consumer group");
  s.add("kafka", "from", o.from, "Where partitions begin that the store does not know: beginning or end",
        one_of({"beginning", "end"}));
  s.add("kafka", "connect-seconds", in.connect_seconds, "How long brokers and topic are waited for at start",
        in_range(0, 1e9));
  s.add("kafka", "property", o.property, "KEY=VALUE for librdkafka; may be repeated; no secrets").whole =
      true;
  s.add("kafka", "properties", o.properties, "File of lines KEY=VALUE for librdkafka, for secrets too");
  s.add_rest("kafka", o.table);
  s.add("file", "file", o.file, "Read this file instead of a topic; - for standard input");
  s.add("file", "format", o.format, "auto (by the ending), csv, jsonl, protobuf or batch",
        one_of({"auto", "csv", "jsonl", "protobuf", "batch"}));
  s.add("file", "as", o.as, "Name under which the store keeps the file's position; the file's own");
  s.add("messages", "absent", o.absent, "What an absent metric means: missing or zero",
        one_of({"missing", "zero"}));
  s.add("messages", "nodes", o.nodes, "File with the accepted node_ids, one a line; all without it");
  s.add("messages", "future-seconds", in.acceptance.future_seconds,
        "How far a time may be ahead of this host's clock", at_least(0));
  s.add("run", "for", in.for_seconds, "End after so many seconds; 0: no limit", in_range(0, 1e9));
  s.add("run", "messages", in.messages, "End after so many messages; 0: no limit", at_least(0));
  s.add("run", "until-idle", in.until_idle, "End when nothing is left and nothing came for so many seconds",
        in_range(0, 1e9));
  s.add("run", "report", o.report, "Write the counts to this file (JSON)");
}

}  // namespace

void add_run_command(App& app) {
  const auto options = std::make_shared<Options>();
  const char* examples =
      "  emshap_ingest --brokers kafka1:9092,kafka2:9092 --store features.db\n"
      "  emshap_ingest --store postgresql://emshap@db/metrics --properties kafka.properties\n"
      "  emshap_ingest --until-idle 5 --property fetch.wait.max.ms=50 --report ingest.json\n"
      "  emshap_ingest --file hosts.csv --store features.db\n";
  for (const char* name : {"", "run"}) {
    Command& command =
        app.command(name, "Reads a topic or a file into a store; also without a subcommand.", examples);
    add_settings(command.settings, *options);
    command.run = [options](Session& session) { run(*options, session); };
  }
}

}  // namespace emshap::app
