// Writes the ONNX file of a run again, from its checkpoint, or shows what an ONNX file holds.
#include <filesystem>

#include <fmt/format.h>

#include "common/app.h"
#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/power_model.h"

namespace {

using namespace emshap;

struct Options {
  std::string run, out, inspect;
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

void export_run(const Options& options, app::Session& session) {
  const RunDirectory run = RunDirectory::open(options.run);
  const RunModel& entry = run.model(PowerFiles::model);
  const PowerModel model = load_power_model(run);
  io::PowerOnnxInfo info;
  info.target = model.target;
  if (const auto unit = entry.notes.find("unit"); unit != entry.notes.end()) info.target_unit = unit->second;
  info.more = {{"data_hash", entry.data_hash}, {"seed", std::to_string(entry.seed)}};

  // Rows that the run kept in raw units: what the file gives must be what the checkpoint's network gives.
  const Tensor rows = read_npy(run.verified(PowerFiles::background));
  const double worst = io::export_power_predictor(options.out, model.scaler, *model.network, info, rows);
  session.print(summary(io::OnnxModel::load(options.out)));
  session.print(
      fmt::format("verified on {} rows of {}, largest deviation {:.1e}\n", rows.rows(), options.run, worst));
}

}  // namespace

int main(int argc, char** argv) {
  app::App app("emshap_export", "Writes the ONNX file of a trained run, or shows what an ONNX file holds.");
  Options options;
  app::Command& command = app.command("", "",
                                      "  emshap_export --run RUN --out power.onnx\n"
                                      "  emshap_export --inspect power.onnx\n");
  command.settings.add("export", "run", options.run, "Folder of a finished run");
  command.settings.add("export", "out", options.out, "ONNX file to write; an existing one is replaced");
  command.settings.add("export", "inspect", options.inspect, "ONNX file to show instead of writing one");
  command.run = [&](app::Session& session) {
    if (options.inspect.empty() == options.run.empty())
      throw ConfigError("expected either --run with --out, or --inspect");
    if (options.run.empty() != options.out.empty()) throw ConfigError("--run and --out belong together");
    if (options.run.empty())
      session.print(summary(io::OnnxModel::load(options.inspect)));
    else
      export_run(options, session);
  };
  return app.run(argc, argv);
}
