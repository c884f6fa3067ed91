// Synthetic host metrics (docs/datagen.md) as CSV or messages, in a file or a Kafka topic; streamed, so that
// any number of rows fits.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "common/app.h"
#include "datagen_messages.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"

namespace {

struct Options {
  emshap::HostSimulatorOptions simulator;
  emshap::app::MessageOptions messages;
  std::string out, format = "csv";
};

void generate(const Options& options, emshap::app::Session& session) {
  emshap::HostSimulatorOptions simulated = options.simulator;
  simulated.seed = session.seed();
  emshap::HostSimulator simulator(simulated);
  emshap::CsvWriter writer(options.out);
  emshap::Table table(emshap::host_schema());
  std::vector<emshap::HostSample> samples(4096);
  std::int64_t done = 0;
  do {  // once for no rows too: the file then holds its header
    const std::int64_t n = simulator.next(samples);
    table.clear_rows();
    append_hosts(table, std::span(samples).first(static_cast<std::size_t>(n)));
    writer.write(table);
    done += n;
    session.sink().progress({"generating", done, simulated.rows, "row", {}});
    if (session.stop().stop_requested())
      throw emshap::Interrupted(
          fmt::format("stopped after {} of {} rows; {} was not written", done, simulated.rows, options.out));
  } while (done < simulated.rows);
  writer.commit();
  session.print(fmt::format("{}: {} rows of {} nodes, {} s apart, seed {}\n", options.out, done,
                            simulated.nodes, simulated.interval, simulated.seed));
}

/// Options that do not go together are refused rather than passed over.
void run(const Options& options, emshap::app::Session& session) {
  const bool kafka = !options.messages.brokers.empty();
  if (kafka == !options.out.empty())
    throw emshap::ConfigError("expected either --out FILE or --kafka BROKERS");
  if (!kafka && options.messages.poison > 0 && options.format != "protobuf")
    throw emshap::ConfigError(fmt::format(
        "--poison is for messages, expected --kafka or --format protobuf, got {}", options.format));
  emshap::app::MessageOptions messages = options.messages;
  messages.simulator = options.simulator;
  if (kafka)
    publish(messages, session);
  else if (options.format == "csv")
    generate(options, session);
  else
    write_messages(messages, options.format, options.out, session);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app("emshap_datagen",
          "Makes synthetic metrics of computer hosts and their power, as a file or as messages to Kafka.");
  Options options;
  Command& command =
      app.command("", "",
                  "  emshap_datagen --out hosts.csv\n"
                  "  emshap_datagen --rows 20000 --nodes 8 --seed 42 --out hosts.csv\n"
                  "  emshap_datagen --rows 100000 --interval 5 --missing 0.02 --out hosts.csv\n"
                  "  emshap_datagen --kafka localhost:9092 --rows 50000 --poison 0.01 --report sent.json\n");
  Settings& settings = command.settings;
  settings.add("data", "out", options.out, "File to write; an existing one is replaced");
  settings.add("data", "format", options.format,
               "Of the file: csv, protobuf (messages, each after its length) or jsonl",
               one_of({"csv", "protobuf", "jsonl"}));
  settings.add("data", "rows", options.simulator.rows, "Rows to write", at_least(0));
  settings.add("data", "nodes", options.simulator.nodes, "Hosts; every second one has GPUs", at_least(1));
  settings.add("data", "interval", options.simulator.interval, "Seconds between two samples of a host",
               at_least(1));
  settings.add("data", "start", options.simulator.start, "Time of the first sample, Unix seconds",
               at_least(0));
  settings.add("data", "missing", options.simulator.missing, "Share of metric cells left empty",
               in_range(0, 1, true));
  MessageOptions& messages = options.messages;
  settings.add("data", "poison", messages.poison, "Share of messages spoiled on purpose", in_range(0, 1));
  settings.add("kafka", "kafka", messages.brokers, "Publish to these brokers, HOST:PORT[,...]");
  settings.add("kafka", "topic", messages.topic, "Topic to publish to");
  settings.add("kafka", "rate", messages.rate, "Messages a second, 0: as fast as possible", at_least(0));
  settings.add("kafka", "compression", messages.compression, "none, gzip, snappy, lz4 or zstd",
               one_of({"none", "gzip", "snappy", "lz4", "zstd"}));
  settings
      .add("kafka", "property", messages.property, "KEY=VALUE for librdkafka; may be repeated; no secrets")
      .whole = true;
  settings.add("kafka", "properties", messages.properties,
               "File of lines KEY=VALUE for librdkafka, for secrets too");
  settings.add("kafka", "ahead-of", messages.ahead_of,
               "Consumer group that is not left more than 3 MiB a partition behind");
  settings.add("kafka", "report", messages.report, "JSON file for what was sent, by kind and partition");
  settings.add("kafka", "acknowledged", messages.acknowledged,
               "CSV file for partition, offset, hash and kind of every acknowledged message");
  command.run = [&](Session& session) { run(options, session); };
  return app.run(argc, argv);
}
