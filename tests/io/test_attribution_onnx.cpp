// The attribution graph, run by our own interpreter, against the library.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "emshap/core/error.h"
#include "emshap/io/onnx_run.h"
#include "io/clip_support.h"
#include "io/foreign_models.h"
#include "io/sample_attribution.h"

using namespace emshap;

namespace {

io::OnnxModel file_of(const test::SampleAttribution& sample) {
  TeamPool pool;
  return io::OnnxModel::parse(io::attribution_onnx(pool, sample.settings(), {}), "attribution");
}

template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

test::SampleAttributionOptions small() {
  test::SampleAttributionOptions options;
  options.draws = 8;
  return options;
}

}  // namespace

TEST_CASE("the attribution graph gives what the library gives") {
  for (const char* proposal : {"gru", "mlp"})
    for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile})
      for (const bool energy : {false, true}) {
        CAPTURE(proposal);
        CAPTURE(to_string(transform));
        CAPTURE(energy);
        test::SampleAttributionOptions options = small();
        options.emshap.proposal = proposal;
        options.emshap.transform = transform;
        options.energy = energy;
        const test::SampleAttribution sample(options);
        TeamPool pool;
        CHECK(io::verify_attribution(pool, file_of(sample), sample.settings(), sample.rows(2)) < 1e-5);
      }
}

TEST_CASE("rows beyond the bounds are explained as rows at the bounds") {
  for (const bool own : {true, false}) {
    CAPTURE(own);
    test::SampleAttribution sample(small());
    const Tensor x = sample.rows(6);
    const test::Bounds bounds(sample.rows(100));
    const Tensor at = bounds.clipped(x);
    REQUIRE_FALSE(test::same_bits(x, at));
    sample.emshap.fitted.space.clip_inputs(bounds.low, bounds.high);
    if (own) sample.preprocessor.features.clip_inputs(bounds.low, bounds.high);  // else f does not clip
    TeamPool pool;
    const io::OnnxModel file = file_of(sample);
    CHECK(io::verify_attribution(pool, file, sample.settings(), x) < 1e-5);
    const auto a = io::run_onnx(file, {{"x", x}}), b = io::run_onnx(file, {{"x", at}});
    for (const auto& [name, values] : a) CHECK(test::same_bits(values, b.at(name)));
    const io::AttributionOutputs outside = io::attribution_outputs(pool, sample.settings(), x),
                                 inside = io::attribution_outputs(pool, sample.settings(), at);
    for (std::int64_t i = 0; i < inside.phi.elements(); ++i)
      CHECK(outside.phi.ptr<double>()[i] == inside.phi.ptr<double>()[i]);
  }
}

TEST_CASE("every strategy, with its standard errors, and groups as players") {
  test::SampleAttributionOptions options = small();
  options.emshap.categories = false;
  options.emshap.more = 4;
  options.energy = false;
  options.draws = 6;
  options.replicates = 3;
  TeamPool pool;
  for (const auto strategy :
       {CoalitionStrategy::kernel, CoalitionStrategy::leverage, CoalitionStrategy::permutation}) {
    CAPTURE(to_string(strategy));
    options.strategy = strategy;
    options.budget = 70;
    options.orders = strategy == CoalitionStrategy::kernel ? 2 : 3;  // 2: of 2 and 1 replicates
    options.emshap.proposal = strategy == CoalitionStrategy::leverage ? "mlp" : "gru";
    const test::SampleAttribution sample(options);
    REQUIRE_FALSE(sample.coalitions.enumerated());
    CHECK(io::verify_attribution(pool, file_of(sample), sample.settings(), sample.rows(2)) < 1e-5);
  }
  options.strategy = CoalitionStrategy::exact;
  options.budget = 0;
  options.orders = 1;
  options.emshap.more = 0;
  test::SampleAttribution sample(options);
  sample.players.names = {"first", "rest"};
  sample.players.columns = {{0, 2}, {3, 4, 5, 6}};
  sample.coalitions = Coalitions::make(2, CoalitionStrategy::exact, 4, 5);
  CHECK(io::verify_attribution(pool, file_of(sample), sample.settings(), sample.rows(2)) < 1e-5);
  sample.players.names = {"all"};
  sample.players.columns = {{0, 2, 3, 4, 5, 6}};
  sample.coalitions = Coalitions::make(1, CoalitionStrategy::exact, 2, 5);
  CHECK(io::verify_attribution(pool, file_of(sample), sample.settings(), sample.rows(2)) < 1e-5);
}

TEST_CASE("a wrong file does not pass, and a single replicate has no standard error") {
  test::SampleAttributionOptions options = small();
  options.emshap.categories = false;
  options.energy = false;
  options.replicates = 1;
  const test::SampleAttribution sample(options);
  TeamPool pool;
  const io::OnnxModel file = file_of(sample);
  const Tensor rows = sample.rows(1);
  CHECK(std::isnan(io::run_onnx(file, {{"x", rows}}).at("standard_error").ptr<float>()[0]));
  CHECK(io::verify_attribution(pool, file, sample.settings(), rows) < 1e-5);
  io::AttributionSettings other = sample.settings();
  other.draws.seed = 8;
  CHECK(contains(error_of([&] { io::verify_attribution(pool, file, other, rows); }), "row 0, phi 0 is"));
}

TEST_CASE("rows with missing values give NaN and leave others alone") {
  const test::SampleAttribution sample(small());
  const io::OnnxModel file = file_of(sample);
  Tensor rows = sample.rows(3);
  const Tensor whole = std::move(io::run_onnx(file, {{"x", rows}}).at("phi"));
  rows.ptr<float>()[sample.emshap.columns()] = std::numeric_limits<float>::quiet_NaN();
  rows.ptr<float>()[2 * sample.emshap.columns() + 1] = std::numeric_limits<float>::infinity();
  const std::map<std::string, Tensor> found = io::run_onnx(file, {{"x", rows}});
  const Tensor& phi = found.at("phi");
  for (std::int64_t j = 0; j < phi.cols(); ++j) {
    CHECK(phi.ptr<float>()[j] == whole.ptr<float>()[j]);
    CHECK(std::isnan(phi.ptr<float>()[phi.cols() + j]));
    CHECK(std::isnan(phi.ptr<float>()[2 * phi.cols() + j]));
  }
  CHECK(std::isnan(found.at("prediction").ptr<float>()[1]));
  CHECK(std::isfinite(found.at("phi0").ptr<float>()[1]));
}

TEST_CASE("metadata says what the file holds") {
  const test::SampleAttribution sample(small());
  const io::OnnxModel file = file_of(sample);
  CHECK(file.metadata("model") == "attribution");
  CHECK(file.metadata("coalitions") == "64");
  CHECK(file.metadata("draws") == "8");
  CHECK(file.metadata("energy_used") == "true");
  CHECK(file.metadata("coalitions_hash") == sample.coalitions.hash());
  CHECK(contains(file.metadata("players"), "column 0"));
}

TEST_CASE("what has no such form is refused") {
  TeamPool pool;
  const test::SampleAttribution sample(small());
  const auto refusal = [&](const io::AttributionSettings& settings) {
    return error_of([&] { io::attribution_onnx(pool, settings, {}); });
  };
  io::AttributionSettings noise = sample.settings();
  noise.draws.noise = ValueNoise::independent;
  CHECK(contains(refusal(noise), "independent noise"));
  io::AttributionSettings unwritten = sample.settings();
  unwritten.write_f = nullptr;
  CHECK(contains(refusal(unwritten), "no form as a graph"));
  io::AttributionSettings few = sample.settings();
  few.coalitions = Coalitions::make(3, CoalitionStrategy::exact, 8, 1);
  CHECK(contains(refusal(few), "3 players, expected 6"));

  test::SampleAttributionOptions options = small();
  options.emshap.form = EnergyForm::absolute;
  CHECK(contains(refusal(test::SampleAttribution(options).settings()), "absolute form"));
}

TEST_CASE("a model of another program is part of the graph, or named where it cannot be") {
  test::SampleAttributionOptions options = small();
  options.emshap.categories = options.emshap.constant = false;
  const test::SampleAttribution sample(options);
  TeamPool pool;
  const auto settings_with = [&](const io::OnnxPredictor& f) {
    return io::AttributionSettings{
        .emshap = sample.emshap.fitted,
        .f = f,
        .write_f = [&](GraphWriter& graph, const GraphValue& raw) { return f.append_to(graph, raw); },
        .background = sample.background,
        .players = sample.players,
        .coalitions = sample.coalitions,
        .draws = sample.draws};
  };
  io::OnnxPredictorOptions choice;
  choice.index = 0;
  const auto network = io::OnnxPredictor::load(test::foreign_path("torch_odd_opset17.onnx"), choice);
  REQUIRE(network.inputs() == sample.emshap.columns());
  const io::OnnxModel file =
      io::OnnxModel::parse(io::attribution_onnx(pool, settings_with(network), {}), "attribution");
  CHECK(io::verify_attribution(pool, file, settings_with(network), sample.rows(2)) < 1e-4);

  const auto trees = io::OnnxPredictor::load(test::foreign_path("forest_regressor.onnx"), choice);
  io::AttributionSettings with_trees = settings_with(network);
  with_trees.write_f = [&](GraphWriter& graph, const GraphValue& raw) {
    return trees.append_to(graph, graph.op("Gather", {raw, graph.integers({0, 1, 2, 3, 4})}, {{"axis", 1}}));
  };
  const std::string refused = error_of([&] { io::attribution_onnx(pool, with_trees, {}); });
  CAPTURE(refused);
  CHECK(contains(refused, "TreeEnsembleRegressor) cannot be part of a graph of standard operators"));
}

TEST_CASE("export verifies a smaller file of the same making") {
  test::SampleAttributionOptions options = small();
  options.emshap.categories = false;
  options.emshap.more = 3;
  options.strategy = CoalitionStrategy::kernel;
  options.budget = 120;
  options.draws = 32;
  const test::SampleAttribution sample(options);
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("emshap_attribution_{}.onnx", ::getpid());
  TeamPool pool;
  CHECK(io::export_attribution(pool, path, sample.settings(), {}, sample.rows(4)) < 1e-4);
  CHECK(io::OnnxModel::load(path).metadata("draws") == "32");
  std::filesystem::remove(path);
}
