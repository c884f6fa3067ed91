// Writes synthetic host metrics as CSV (docs/datagen.md), streamed, so that any number of rows fits.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "common/app.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"

namespace {

struct Options {
  emshap::HostSimulatorOptions simulator;
  std::string out;
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

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app("emshap_datagen", "Writes synthetic metrics of computer hosts and their power as CSV.");
  Options options;
  Command& command =
      app.command("", "",
                  "  emshap_datagen --out hosts.csv\n"
                  "  emshap_datagen --rows 20000 --nodes 8 --seed 42 --out hosts.csv\n"
                  "  emshap_datagen --rows 100000 --interval 5 --missing 0.02 --out hosts.csv\n");
  Settings& settings = command.settings;
  settings.add("data", "out", options.out, "CSV file to write; an existing one is replaced").required = true;
  settings.add("data", "rows", options.simulator.rows, "Rows to write", at_least(0));
  settings.add("data", "nodes", options.simulator.nodes, "Hosts; every second one has GPUs", at_least(1));
  settings.add("data", "interval", options.simulator.interval, "Seconds between two samples of a host",
               at_least(1));
  settings.add("data", "start", options.simulator.start, "Time of the first sample, Unix seconds",
               at_least(0));
  settings.add("data", "missing", options.simulator.missing, "Share of metric cells left empty",
               in_range(0, 1, true));
  command.run = [&](Session& session) { generate(options, session); };
  return app.run(argc, argv);
}
