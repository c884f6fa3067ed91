#include "ingest_store.h"

#include <chrono>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/stream/feature_store.h"
#include "emshap/stream/store_report.h"

namespace emshap::app {
namespace {

Setting& add_store_setting(Settings& s, std::string& store) {
  Setting& setting = s.add("store", "store", store, "SQLite file or postgresql:// URL of the store");
  setting.required = true;
  setting.saved_as = stream::without_password;
  return setting;
}

std::unique_ptr<stream::FeatureStore> open_existing(const std::string& location, bool read_only) {
  stream::StoreOptions options;
  options.create = false;
  options.read_only = read_only;
  return stream::open_store(location, options);
}

void add_inspect(App& app) {
  struct Values {
    std::string store;
    std::int64_t quarantine = 0;
    bool json = false;
  };
  auto v = std::make_shared<Values>();
  Command& c = app.command("inspect", "Shows what is in a store.",
                           "  emshap_ingest inspect --store metrics.db\n"
                           "  emshap_ingest inspect --store metrics.db --quarantine 20 --json\n");
  add_store_setting(c.settings, v->store);
  c.settings.add("output", "quarantine", v->quarantine, "Messages of the quarantine to show", at_least(0));
  c.settings.add("output", "json", v->json, "Write one JSON object");
  c.run = [v](Session& session) {
    const auto store = open_existing(v->store, true);
    const stream::StoreReport report = inspect_store(*store, v->quarantine);
    session.print(v->json ? report_json(report) : report_text(report));
  };
}

void add_prune(App& app) {
  struct Values {
    std::string store, older_than;
  };
  auto v = std::make_shared<Values>();
  Command& c = app.command("prune", "Removes what is old from a store; positions stay.",
                           "  emshap_ingest prune --store metrics.db --older-than 30d\n"
                           "  emshap_ingest prune --store metrics.db --older-than 2025-01-31T12:00\n");
  add_store_setting(c.settings, v->store);
  c.settings
      .add("store", "older-than", v->older_than,
           "Age (45s, 90m, 12h, 30d, 2w) or time (ISO 8601 in UTC, Unix seconds) of what stays at least")
      .required = true;
  c.run = [v](Session& session) {
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    const std::int64_t before = stream::parse_older_than(v->older_than, now);
    const auto [samples, quarantined] = open_existing(v->store, false)->prune(before);
    session.print(fmt::format("{}: removed {} samples and {} quarantined messages from before {}\n",
                              stream::without_password(v->store), samples, quarantined,
                              stream::utc_text(before)));
  };
}

void add_export(App& app) {
  struct Values {
    std::string store, where, out;
    std::vector<std::string> extra;
  };
  auto v = std::make_shared<Values>();
  Command& c = app.command(
      "export", "Copies samples into a CSV file or files for NumPy.",
      "  emshap_ingest export --store metrics.db --out metrics.csv\n"
      "  emshap_ingest export --store metrics.db --where \"time >= 2025-01-01\" --out metrics.npy\n");
  add_store_setting(c.settings, v->store);
  c.settings.add("store", "where", v->where, "Samples that are copied, all when empty: \"node_id = web-1\"");
  c.settings
      .add("output", "out", v->out, "X.csv, or X.npy beside which come X_time.npy, X_node.npy, X_names.json")
      .required = true;
  c.settings.add("output", "extra", v->extra, "Further metrics that become columns of the CSV file");
  c.run = [v](Session& session) {
    const std::filesystem::path out = v->out;
    const bool npy = out.extension() == ".npy";
    if (!npy && out.extension() != ".csv")
      throw ConfigError(fmt::format("--out is {}, expected a name that ends in .csv or .npy", v->out));
    if (npy && !v->extra.empty()) throw ConfigError("--extra goes with a .csv file, not with .npy");
    const stream::RowFilter filter = stream::parse_row_filter(v->where);
    const auto store = open_existing(v->store, true);
    const stream::ExportResult result =
        npy ? export_npy(*store, filter, out, session.sink(), &session.stop())
            : export_csv(*store, filter, out, v->extra, session.sink(), &session.stop());
    session.print(fmt::format("{}: {} rows{}\n", v->out, result.rows,
                              npy ? std::string() : ", data hash " + result.data_hash));
  };
}

}  // namespace

void add_store_commands(App& app) {
  add_inspect(app);
  add_prune(app);
  add_export(app);
}

}  // namespace emshap::app
