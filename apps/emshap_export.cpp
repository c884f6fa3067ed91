// Writes the ONNX file of a run again, from its checkpoint, or shows what an ONNX file holds.
#include <filesystem>

#include <fmt/format.h>

#include "common/app.h"
#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/power_model.h"
#include "emshap/train/run_cleaning.h"
#include "export_attribution.h"

namespace {

using namespace emshap;

struct Options {
  std::string run, model = "auto", out, test_rows, inspect;
  bool attribution = false;
  app::AttributionChoice explained;
};

std::string value_line(const io::OnnxValue& value) {
  std::string dims;
  for (const GraphDim& dim : value.dims) {
    const auto* extent = std::get_if<std::int64_t>(&dim.value());
    dims += fmt::format("{}{}", dims.empty() ? "" : ", ",
                        extent != nullptr ? std::to_string(*extent) : std::get<std::string>(dim.value()));
  }
  return fmt::format("{} [{}] {}", value.name, dims, value.type);
}

/// A long text is cut, at a character's start in UTF-8.
std::string shortened(const std::string& text) {
  constexpr std::size_t most = 160;
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{} ... ({} bytes)", text.substr(0, end), text.size());
}

std::string summary(const io::OnnxModel& model) {
  std::int64_t numbers = 0;
  for (const io::OnnxTensor& tensor : model.initialisers()) {
    std::int64_t count = 1;
    for (const std::int64_t extent : tensor.extents) count *= extent;
    numbers += count;
  }
  std::string text = fmt::format("{}: {}\n  written by {}, ONNX opset {}, IR version {}\n", model.file(),
                                 model.doc().empty() ? model.graph_name() : model.doc(),
                                 model.producer().empty() ? "an unnamed producer" : model.producer(),
                                 model.opset(), model.ir_version());
  text += fmt::format("  {} nodes, {} initialisers with {} numbers\n", model.nodes().size(),
                      model.initialisers().size(), numbers);
  for (const io::OnnxValue& value : model.inputs()) text += fmt::format("  input   {}\n", value_line(value));
  for (const io::OnnxValue& value : model.outputs()) text += fmt::format("  output  {}\n", value_line(value));
  for (const auto& [key, value] : model.metadata()) text += fmt::format("  {}: {}\n", key, shortened(value));
  return text;
}

void write_power_samples(const std::filesystem::path& folder, const PowerModel& model, const Tensor& rows) {
  std::filesystem::create_directories(folder);
  Context ctx;
  Tensor power({rows.rows(), 1});
  io::predict_power(ctx, model.scaler, *model.network, rows, power);
  write_npy(folder / "x.npy", rows);
  write_npy(folder / "power.npy", power);
}

double export_power(const Options& options, const RunDirectory& run, const Tensor& background) {
  const RunModel& entry = run.model(PowerFiles::model);
  const PowerModel model = load_power_model(run);
  io::PowerOnnxInfo info;
  info.target = model.target;
  if (const auto unit = entry.notes.find("unit"); unit != entry.notes.end()) info.target_unit = unit->second;
  info.more = {{"data_hash", entry.data_hash}, {"seed", std::to_string(entry.seed)}};
  const Cleaning cleaning = load_cleaning(run, PowerFiles::model);
  io::add_cleaning(cleaning, info.more);
  const Tensor rows = io::rows_beyond(cleaning, background.clone());
  const double worst = io::export_power_predictor(options.out, model.scaler, *model.network, info, rows);
  if (!options.test_rows.empty()) write_power_samples(options.test_rows, model, rows);
  return worst;
}

/// Rows with masks and what the library gives for them, which other programs' results can be held against.
void write_samples(const std::filesystem::path& folder, const FittedEmshap& fitted, const Tensor& rows) {
  std::filesystem::create_directories(folder);
  const auto [x, mask] = io::emshap_pairs(rows, 1000);
  Context ctx;
  const io::EmshapOutputs out = io::emshap_outputs(ctx, fitted, x, mask);
  const auto write = [&](const char* name, const Tensor& values) {
    write_npy(folder / fmt::format("{}.npy", name), values);
  };
  write("x", x);
  write("mask", mask);
  write("energy", out.energy);
  write("proposal_mean", out.proposal_mean);
  write("proposal_logvar", out.proposal_logvar);
  write("context", out.context);
  write("mixture", out.mixture);
  if (!out.categorical.empty()) write("categorical", out.categorical);
  write("conditional_mean", out.conditional_mean);
}

double export_emshap_model(const Options& options, const RunDirectory& run, const Tensor& background) {
  const RunModel& entry = run.model(EmshapFiles::model);
  const FittedEmshap fitted = load_emshap(run);
  const Cleaning cleaning = load_cleaning(run, EmshapFiles::model);
  io::EmshapOnnxInfo info{{{"data_hash", entry.data_hash}}};
  io::add_cleaning(cleaning, info.more);
  const Tensor rows = io::rows_beyond(cleaning, background.clone());
  const double worst = io::export_emshap(options.out, fitted, info, rows);
  if (!options.test_rows.empty()) write_samples(options.test_rows, fitted, rows);
  return worst;
}

void export_run(const Options& options, app::Session& session) {
  const RunDirectory run = RunDirectory::open(options.run);
  const bool power = options.model == "power" || (options.model == "auto" && run.has(PowerFiles::model));
  run.model(power ? PowerFiles::model : EmshapFiles::model);  // throws when there is none
  // Rows that the run kept in raw units: what the file gives must be what the run's model gives.
  const Tensor rows = read_npy(run.verified(power ? PowerFiles::background : EmshapFiles::background));
  const double worst = power ? export_power(options, run, rows) : export_emshap_model(options, run, rows);
  session.print(summary(io::OnnxModel::load(options.out)));
  session.print(fmt::format("verified on rows of {}, largest deviation {:.1e}\n", options.run, worst));
}

void export_explained(Options& options, app::Session& session) {
  if (options.out.empty()) throw ConfigError("--attribution needs --out");
  options.explained.models.run = options.run;
  const std::string verified =
      app::export_attribution(options.explained, options.out, options.test_rows, session);
  session.print(summary(io::OnnxModel::load(options.out)));
  session.print(verified);
}

}  // namespace

int main(int argc, char** argv) {
  app::App app("emshap_export", "Writes the ONNX file of a trained run, or shows what an ONNX file holds.");
  Options options;
  app::Command& command =
      app.command("", "",
                  "  emshap_export --run RUN --out power.onnx\n"
                  "  emshap_export --run RUN --model emshap --out emshap.onnx\n"
                  "  emshap_export --run RUN --attribution --budget 512 --out "
                  "emshap_attribution.onnx\n"
                  "  emshap_export --attribution --predictor f.onnx --emshap emshap.onnx \\\n"
                  "      --background train.csv --out emshap_attribution.onnx\n"
                  "  emshap_export --inspect power.onnx\n");
  command.settings.add("export", "run", options.run, "Folder of a finished run");
  command.settings.add("export", "model", options.model,
                       "power, emshap, or auto: power where the run holds both",
                       app::one_of({"auto", "power", "emshap"}));
  command.settings.add("export", "attribution", options.attribution,
                       "Write Shapley values of the predictor as one file that any ONNX runtime computes");
  command.settings.add("export", "test-rows", options.test_rows,
                       "Folder for rows and our outputs as .npy, for scripts/verify_onnx.py");
  command.settings.add("export", "out", options.out, "ONNX file to write; an existing one is replaced");
  command.settings.add("export", "inspect", options.inspect, "ONNX file to show instead of writing one");
  app::add_attribution_settings(command.settings, options.explained);
  command.run = [&](app::Session& session) {
    if (options.attribution && options.inspect.empty()) return export_explained(options, session);
    if (options.attribution || options.inspect.empty() == options.run.empty())
      throw ConfigError("expected either --run with --out, or --inspect");
    if (options.run.empty() && !options.test_rows.empty()) throw ConfigError("--test-rows needs --out");
    if (options.run.empty() != options.out.empty()) throw ConfigError("--run and --out belong together");
    if (options.run.empty())
      session.print(summary(io::OnnxModel::load(options.inspect)));
    else
      export_run(options, session);
  };
  return app.run(argc, argv);
}
