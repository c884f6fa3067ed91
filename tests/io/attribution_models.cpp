// Writes attribution files with rows and what the library gives for them as .npy, for
// tests/io/attribution.py, which runs the files in ONNX Runtime:  <case>.onnx  <case>.<value name>.npy
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "emshap/core/atomic_file.h"
#include "emshap/data/npy.h"
#include "io/sample_attribution.h"

using namespace emshap;

namespace {

Tensor as_float(const Tensor& wide) {
  Tensor out({wide.rows(), wide.cols()});
  for (std::int64_t i = 0; i < wide.elements(); ++i)
    out.ptr<float>()[i] = static_cast<float>(wide.ptr<double>()[i]);
  return out;
}

void write_case(const std::filesystem::path& folder, const std::string& name,
                const test::SampleAttributionOptions& options, std::int64_t rows = 5) {
  const test::SampleAttribution sample(options);
  const io::AttributionSettings settings = sample.settings();
  TeamPool pool;
  write_file_atomically(folder / fmt::format("{}.onnx", name),
                        io::attribution_onnx(pool, settings, {.target = "power", .target_unit = "W"}));
  const Tensor x = sample.rows(rows);
  const io::AttributionOutputs out = io::attribution_outputs(pool, settings, x);
  write_npy(folder / fmt::format("{}.x.npy", name), x);
  write_npy(folder / fmt::format("{}.phi.npy", name), as_float(out.phi));
  write_npy(folder / fmt::format("{}.prediction.npy", name), as_float(out.prediction));
  write_npy(folder / fmt::format("{}.standard_error.npy", name), as_float(out.standard_error));
  Tensor phi0({rows, 1});
  std::fill_n(phi0.ptr<float>(), rows, static_cast<float>(out.phi0));
  write_npy(folder / fmt::format("{}.phi0.npy", name), phi0);
}

/// A model of 20 features and the usual sizes.
void write_large(const std::filesystem::path& folder, std::int64_t budget, std::int64_t draws, bool energy,
                 const std::string& proposal = "gru") {
  test::SampleAttributionOptions options;
  options.emshap.transform = FeatureTransform::quantile;
  options.emshap.categories = options.emshap.constant = false;
  options.emshap.more = 14;
  options.emshap.full_size = true;
  options.emshap.proposal = proposal;
  options.energy = energy;
  options.strategy = CoalitionStrategy::kernel;
  options.budget = budget;
  options.draws = draws;
  options.replicates = 8;
  options.hidden = {128, 64};
  write_case(folder, fmt::format("large_{}_{}_{}{}", proposal, budget, draws, energy ? "_energy" : ""),
             options, 2);
}

}  // namespace

/// With "memory" only large models, with BUDGET, DRAWS and PROPOSAL only one of this size.
int main(int argc, char** argv) {
  if (argc < 2 || argc > 5) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  if (argc == 3) {
    write_large(folder, 40, 16, false);
    write_large(folder, 512, 128, false);
    write_large(folder, 64, 128, true);
    return 0;
  }
  if (argc == 5) {
    for (const bool energy : {false, true})
      write_large(folder, std::atoll(argv[2]), std::atoll(argv[3]), energy, argv[4]);
    return 0;
  }
  for (const char* proposal : {"gru", "mlp"})
    for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile})
      for (const bool categories : {false, true})
        for (const bool energy : {false, true}) {
          test::SampleAttributionOptions options;
          options.emshap.proposal = proposal;
          options.emshap.transform = transform;
          options.emshap.categories = options.emshap.constant = categories;
          options.energy = energy;
          write_case(folder,
                     fmt::format("{}_{}_{}_{}", proposal, to_string(transform),
                                 categories ? "categories" : "numbers", energy ? "energy" : "proposal"),
                     options);
        }
  test::SampleAttributionOptions wide;
  wide.emshap.transform = FeatureTransform::quantile;
  wide.emshap.categories = false;
  wide.emshap.more = 6;
  wide.strategy = CoalitionStrategy::leverage;
  wide.budget = 150;
  wide.draws = 24;
  wide.replicates = 3;
  write_case(folder, "leverage", wide);
  wide.energy = false;
  wide.strategy = CoalitionStrategy::kernel;
  wide.budget = 100;
  wide.draws = 16;
  wide.replicates = 4;
  write_case(folder, "kernel", wide);
  wide.draws = 8;
  wide.replicates = 1;
  write_case(folder, "single_replicate", wide);
  wide.strategy = CoalitionStrategy::permutation;
  wide.budget = 120;
  wide.draws = 15;
  wide.replicates = 5;
  wide.orders = 3;
  write_case(folder, "permutation", wide);
  return 0;
}
