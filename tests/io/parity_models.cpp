// Writes ONNX files with inputs and our own outputs as .npy for tests/io/parity.py, which runs the files in
// ONNX Runtime:  <case>.onnx  <case>.<rows>.<value name>.npy
#include <fmt/format.h>

#include <filesystem>

#include "emshap/data/npy.h"
#include "io/sample_emshap.h"
#include "io/sample_graphs.h"
#include "io/sample_predictor.h"

using namespace emshap;

namespace {

void write_power_case(const std::filesystem::path& folder, const std::string& name,
                      const PowerPredictorOptions& options, bool missing, std::int64_t bins = 0) {
  const test::SamplePredictor sample(options, missing, bins);
  const auto path = folder / fmt::format("{}.onnx", name);
  io::export_power_predictor(path, sample.preprocessor, sample.predictor, sample.info, sample.rows(1000));
  Context ctx;
  for (const std::int64_t rows : {1, 7, 1000}) {
    const Tensor x = sample.rows(rows);
    Tensor y({rows, 1});
    io::predict_power(ctx, sample.preprocessor, sample.predictor, x, y);
    write_npy(folder / fmt::format("{}.{}.x.npy", name, rows), x);
    write_npy(folder / fmt::format("{}.{}.power.npy", name, rows), y);
  }
}

/// All masks: empty, full, single, all but one, random; NaN and infinity in half of the unknown entries.
void write_emshap_case(const std::filesystem::path& folder, const std::string& name,
                       const test::SampleOptions& options) {
  const test::SampleEmshap sample(options);
  io::export_emshap(folder / fmt::format("{}.onnx", name), sample.fitted, {}, sample.rows(64));
  Context ctx;
  for (const std::int64_t rows : {1, 7, 1000}) {
    Tensor x = sample.rows(rows);
    const Tensor mask = sample.masks(rows);
    test::SampleEmshap::hide(x, mask);
    const io::EmshapOutputs out = io::emshap_outputs(ctx, sample.fitted, x, mask);
    const auto write = [&](const char* value, const Tensor& values) {
      if (!values.empty()) write_npy(folder / fmt::format("{}.{}.{}.npy", name, rows, value), values);
    };
    write("x", x);
    write("mask", mask);
    write("energy", out.energy);
    write("proposal_mean", out.proposal_mean);
    write("proposal_logvar", out.proposal_logvar);
    write("context", out.context);
    write("mixture", out.mixture);
    write("categorical", out.categorical);
    write("conditional_mean", out.conditional_mean);
  }
}

void write_scan_case(const std::filesystem::path& folder) {
  io::GraphBuilder graph("scan");
  test::build_scan(graph);
  graph.save(folder / "scan.onnx");
  for (const std::int64_t rows : {1, 7, 1000}) {
    Tensor x({rows, 4}), y({rows, 4}), last({4});
    Generator random({5, RandomPurpose::test});
    std::vector<float> h{0, 1, 0, -1};
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < 4; ++c) {
        const float value = static_cast<float>(random.normal());
        float& state = h[static_cast<std::size_t>(c)];
        state = .5f * state + value;
        x.ptr<float>()[r * 4 + c] = value;
        y.ptr<float>()[r * 4 + c] = state;
        last.ptr<float>()[c] = state;
      }
    write_npy(folder / fmt::format("scan.{}.x.npy", rows), x);
    write_npy(folder / fmt::format("scan.{}.y.npy", rows), y);
    write_npy(folder / fmt::format("scan.{}.last.npy", rows), last);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  write_scan_case(folder);
  for (const Activation activation :
       {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::tanh, Activation::sigmoid,
        Activation::softplus, Activation::silu, Activation::identity})
    write_power_case(folder, to_string(activation),
                     {.features = 12, .hidden = {32, 16}, .activation = activation}, false);
  write_power_case(folder, "default", {.features = 12}, false);
  write_power_case(folder, "missing", {.features = 12}, true);
  write_power_case(folder, "residual", {.features = 12, .hidden = {24, 8}, .residual_blocks = 2}, false);
  write_power_case(folder, "plain", {.features = 12, .batch_norm = false, .residual_blocks = 1}, false);
  write_power_case(folder, "linear", {.features = 12, .hidden = {}}, false);
  write_power_case(folder, "members", {.features = 12, .hidden = {16, 8}, .members = 3}, false);
  write_power_case(folder, "encoded", {.features = 12, .members = 2}, true, 8);
  for (const char* proposal : {"gru", "mlp"})
    for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile})
      for (const bool categories : {false, true})
        write_emshap_case(
            folder,
            fmt::format("emshap_{}_{}_{}", proposal, to_string(transform),
                        categories ? "categories" : "numbers"),
            {.proposal = proposal, .transform = transform, .categories = categories, .constant = categories});
  write_emshap_case(folder, "emshap_absolute", {.form = EnergyForm::absolute, .more = 24});
  return 0;
}
