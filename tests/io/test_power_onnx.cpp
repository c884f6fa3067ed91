// The power predictor in ONNX and back: folding, names, metadata, predictions, damaged files.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <filesystem>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/io/onnx_run.h"
#include "io/clip_support.h"
#include "io/sample_predictor.h"

using namespace emshap;
namespace fs = std::filesystem;

namespace {

const PowerPredictorOptions small{.features = 5, .hidden = {8, 4}, .residual_blocks = 1};

std::string bytes_of(const test::SamplePredictor& sample) {
  return io::power_predictor_onnx(sample.preprocessor, sample.predictor, sample.info);
}

/// The error of reading the sample after `change`, which gets the message of protobuf.
std::string error_after(const std::function<void(onnx::ModelProto&)>& change) {
  static const std::string bytes = bytes_of(test::SamplePredictor(small, false));
  onnx::ModelProto message;
  REQUIRE(message.ParseFromString(bytes));
  change(message);
  try {
    io::load_power_predictor(io::OnnxModel::parse(message.SerializeAsString(), "p.onnx"));
  } catch (const IoError& error) {
    CHECK(std::string(error.what()).starts_with("p.onnx: "));
    return error.what();
  }
  return {};
}

std::string& metadata(onnx::ModelProto& message, const std::string& key) {
  for (auto& entry : *message.mutable_metadata_props())
    if (entry.key() == key) return *entry.mutable_value();
  throw Error(ErrorKind::internal, "no metadata " + key);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("folding batch normalisation keeps the outputs") {
  for (const bool batch_norm : {true, false}) {
    PowerPredictorOptions options = small;
    options.batch_norm = batch_norm;
    const test::SamplePredictor sample(options, false);
    const PowerPredictor folded = io::fold_batch_norm(sample.predictor);
    CHECK_FALSE(folded.options().batch_norm);
    CHECK(folded.store().buffers().empty());
    Context ctx;
    const Tensor raw = sample.rows(33);
    Tensor x({33, 5}), a({33, 1}), b({33, 1});
    sample.preprocessor.features.transform(raw, x);
    sample.predictor.infer(ctx, x, a);
    folded.infer(ctx, x, b);
    for (int r = 0; r < 33; ++r) {
      CHECK(b.ptr<float>()[r] == doctest::Approx(a.ptr<float>()[r]).epsilon(1e-5));
      if (!batch_norm) CHECK(b.ptr<float>()[r] == a.ptr<float>()[r]);
    }
  }
}

TEST_CASE("a predictor reads back with names, units, options and the same predictions") {
  for (const int members : {0, 1, 3}) {
    const bool missing = members > 0;
    PowerPredictorOptions options = small;
    options.members = std::max(1, members);
    const test::SamplePredictor sample(options, missing, members == 3 ? 4 : 0);
    const std::string bytes = bytes_of(sample);
    CHECK(bytes == bytes_of(sample));
    const io::OnnxModel file = io::OnnxModel::parse(bytes, "sample");
    CHECK(file.inputs()[0].name == "x");
    CHECK(std::get<std::int64_t>(file.inputs()[0].dims[1].value()) == 6);
    CHECK(file.outputs()[0].name == "power");
    CHECK(file.outputs()[0].doc == "power in W");
    CHECK(file.metadata("scaler_hash") == sample.preprocessor.hash());

    const io::OnnxPowerPredictor model = io::load_power_predictor(file);
    CHECK(model.preprocessor.features.input_names() == sample.preprocessor.features.input_names());
    CHECK(model.preprocessor.hash() == sample.preprocessor.hash());
    CHECK(model.info.target == "power");
    CHECK(model.info.target_unit == "W");
    CHECK(model.info.feature_units == sample.info.feature_units);
    CHECK(model.info.more == sample.info.more);
    CHECK(model.predictor.options().hidden == small.hidden);
    CHECK(model.predictor.options().residual_blocks == 1);
    CHECK(model.predictor.options().members == options.members);
    // What was read is written again to the same bytes.
    CHECK(io::power_predictor_onnx(model.preprocessor, model.predictor, model.info) == bytes);

    Context ctx;
    for (const std::int64_t rows : {0, 1, 7, 64}) {
      const Tensor x = sample.rows(rows);
      Tensor a({rows, 1}), b({rows, 1});
      io::predict_power(ctx, sample.preprocessor, io::fold_batch_norm(sample.predictor), x, a);
      model.predict(ctx, x, b);
      for (std::int64_t r = 0; r < rows; ++r) CHECK(a.ptr<float>()[r] == b.ptr<float>()[r]);
    }
  }
}

TEST_CASE("export refuses what does not fit together") {
  const test::SamplePredictor sample(small, false);
  const PowerPredictor other({.features = 3});
  CHECK_THROWS_WITH_AS(io::power_predictor_onnx(sample.preprocessor, other, sample.info),
                       doctest::Contains("gives 5 columns, expected 3"), ConfigError);
  io::PowerOnnxInfo info = sample.info;
  info.feature_units = {"W"};
  CHECK_THROWS_WITH_AS(io::power_predictor_onnx(sample.preprocessor, sample.predictor, info),
                       doctest::Contains("1 feature units were given, expected 6"), ConfigError);
  info = sample.info;
  info.more["target"] = "taken";
  CHECK_THROWS_WITH_AS(io::power_predictor_onnx(sample.preprocessor, sample.predictor, info),
                       doctest::Contains("'target' is taken"), Error);
}

TEST_CASE("parameters that are not finite are not exported") {
  test::SamplePredictor sample(small, false);
  ParameterStore& store = sample.predictor.store();
  store.set(store.find("output.bias"), std::vector<double>{std::numeric_limits<double>::infinity()});
  CHECK_THROWS_WITH_AS(bytes_of(sample), doctest::Contains("'output.bias' holds inf"), NumericalError);
  store.set(store.find("output.bias"), std::vector<double>{0});
  store.set(store.find_buffer("hidden0.norm.running_var"), std::vector<double>(8, -1.0));
  CHECK_THROWS_WITH_AS(bytes_of(sample), doctest::Contains("'hidden0.norm' has gamma"), NumericalError);
}

TEST_CASE("a file is written only when it computes what the predictor does") {
  const fs::path path = fs::temp_directory_path() / fmt::format("emshap_verify_{}.onnx", ::getpid());
  test::SamplePredictor sample(small, false);
  const Tensor x = sample.rows(300);
  const double worst =
      io::export_power_predictor(path, sample.preprocessor, sample.predictor, sample.info, x);
  CHECK(worst < 1e-5);
  CHECK(worst > 0);  // the graph ran: other products, other rounding
  const io::OnnxModel file = io::OnnxModel::load(path);
  fs::remove(path);
  ParameterStore& store = sample.predictor.store();
  store.set(store.find("output.bias"), std::vector<double>{store.get(store.find("output.bias"))[0] + .01});
  CHECK_THROWS_WITH_AS(io::verify_power_predictor(file, sample.preprocessor, sample.predictor, x),
                       doctest::Contains("when read back, expected"), QualityError);
  CHECK_THROWS_AS(
      io::export_power_predictor(path, sample.preprocessor, sample.predictor, sample.info, x, 1e-12),
      QualityError);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("files that are no power predictor, or a changed one, give one sentence") {
  CHECK(error_after([](auto&) {}).empty());
  CHECK(contains(error_after([](auto& m) { metadata(m, "model") = "other"; }), "'model' is 'other'"));
  CHECK_FALSE(error_after([](auto& m) { metadata(m, "scaler_hash") = "00"; }).empty());
  CHECK_FALSE(error_after([](auto& m) { metadata(m, "pipeline") = "{"; }).empty());
  CHECK_FALSE(error_after([](auto& m) { metadata(m, "features") = R"(["a"])"; }).empty());
  for (const char* config :
       {"", "[]", "{}", R"({"features":5,"hidden":[8,5],"activation":"relu","batch_norm":false,
                             "dropout":0.1,"residual_blocks":1,"seed":1})",
        R"({"features":5,"hidden":[8,4],"activation":"cubic","batch_norm":false,"dropout":0.1,
                             "residual_blocks":1,"seed":1})",
        R"({"features":-5,"hidden":[99999999999,4],"activation":"relu","batch_norm":false,
                             "dropout":0.1,"residual_blocks":2000000000,"seed":1})"})
    CHECK_FALSE(error_after([&](auto& m) { metadata(m, "model_config") = config; }).empty());
  CHECK(contains(error_after([](auto& m) {
                   for (auto& tensor : *m.mutable_graph()->mutable_initializer())
                     if (tensor.name() == "output.bias") tensor.set_name("renamed");
                   for (auto& node : *m.mutable_graph()->mutable_node())
                     for (auto& input : *node.mutable_input())
                       if (input == "output.bias") input = "renamed";
                 }),
                 "no initialiser 'output.bias'"));
}

TEST_CASE("a file cut at 50 places is refused") {
  const std::string bytes = bytes_of(test::SamplePredictor(small, false));
  const fs::path path = fs::temp_directory_path() / fmt::format("emshap_power_{}.onnx", ::getpid());
  for (std::size_t i = 0; i < 50; ++i) {
    write_file_atomically(path, std::string_view(bytes).substr(0, bytes.size() * i / 50));
    CHECK_THROWS_WITH_AS(io::load_power_predictor(path), doctest::Contains(path.c_str()), IoError);
  }
  fs::remove(path);
}

TEST_CASE("values beyond the bounds count as the bounds, in the library, the file and what is read from it") {
  for (const bool missing : {false, true}) {
    test::SamplePredictor sample(small, missing);
    const Tensor x = sample.rows(60);
    const test::Bounds bounds(x);
    const Tensor at = bounds.clipped(x);
    REQUIRE_FALSE(test::same_bits(x, at));
    Context ctx;
    Tensor free({60, 1}), a({60, 1}), b({60, 1});
    io::predict_power(ctx, sample.preprocessor, sample.predictor, at, free);
    sample.preprocessor.features.clip_inputs(bounds.low, bounds.high);
    io::predict_power(ctx, sample.preprocessor, sample.predictor, x, a);
    CHECK(test::same_bits(a, free));
    const io::OnnxModel file = io::OnnxModel::parse(bytes_of(sample), "p.onnx");
    CHECK(io::verify_power_predictor(file, sample.preprocessor, sample.predictor, x) < 1e-6);
    io::load_power_predictor(file).predict(ctx, x, b);
    io::load_power_predictor(file).predict(ctx, at, a);
    CHECK(test::same_bits(a, b));
    CHECK(test::same_bits(io::run_onnx(file, {{"x", x}}).at("power"),
                          io::run_onnx(file, {{"x", at}}).at("power")));
  }
}
