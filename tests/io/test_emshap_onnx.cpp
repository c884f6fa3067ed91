// The EmSHAP model in ONNX and back: outputs, names, metadata, verification, foreign and damaged files.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/io/onnx_run.h"
#include "io/clip_support.h"
#include "io/sample_emshap.h"
#include "io/sample_predictor.h"

using namespace emshap;
namespace fs = std::filesystem;

namespace {

const io::EmshapOnnxInfo info{{{"data_hash", "0123"}}};

std::vector<test::SampleOptions> every_kind() {
  std::vector<test::SampleOptions> list;
  for (const char* proposal : {"gru", "mlp"})
    for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile})
      for (const bool categories : {true, false})
        list.push_back({.proposal = proposal,
                        .transform = transform,
                        .categories = categories,
                        .constant = categories == (transform == FeatureTransform::quantile),
                        .form = categories ? EnergyForm::residual : EnergyForm::absolute});
  return list;
}

const test::SampleEmshap& small() {
  static const test::SampleEmshap sample({});
  return sample;
}

/// The error of reading the sample after `change`, which gets the message of protobuf.
std::string error_after(const std::function<void(onnx::ModelProto&)>& change) {
  static const std::string bytes = io::emshap_onnx(small().fitted, info);
  onnx::ModelProto message;
  REQUIRE(message.ParseFromString(bytes));
  change(message);
  try {
    io::load_emshap_onnx(io::OnnxModel::parse(message.SerializeAsString(), "e.onnx"));
  } catch (const IoError& error) {
    CHECK(std::string(error.what()).starts_with("e.onnx: "));
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
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

void check_same(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  for (std::int64_t i = 0; i < a.elements(); ++i)
    if (a.ptr<float>()[i] != b.ptr<float>()[i]) {
      CAPTURE(i);
      CHECK(a.ptr<float>()[i] == b.ptr<float>()[i]);
      return;
    }
}

}  // namespace

TEST_CASE("a model of every kind is verified, and reads back with the same weights and outputs") {
  for (const test::SampleOptions& options : every_kind()) {
    CAPTURE(options.proposal);
    CAPTURE(to_string(options.transform));
    CAPTURE(options.categories);
    const test::SampleEmshap sample(options);
    const std::string bytes = io::emshap_onnx(sample.fitted, info);
    CHECK(bytes == io::emshap_onnx(sample.fitted, info));
    const io::OnnxModel file = io::OnnxModel::parse(bytes, "sample");
    const double worst = io::verify_emshap(file, sample.fitted, sample.rows(64));
    CHECK(worst < 1e-5);
    CHECK(worst > 0);  // the graph ran

    io::EmshapOnnxInfo more;
    const FittedEmshap read = io::load_emshap_onnx(file, &more);
    CHECK(more.more == info.more);
    CHECK(read.proposal == options.proposal);
    CHECK(read.energy_used);
    CHECK(read.model->energy_used());
    CHECK(read.energy_gain == .0123);
    CHECK(read.seed == 42);
    CHECK(read.space.hash() == sample.fitted.space.hash());
    CHECK(io::emshap_onnx(read, more) == bytes);

    Context ctx;
    const Tensor mask = sample.masks(40);
    Tensor x = sample.rows(40);
    test::SampleEmshap::hide(x, mask);
    const io::EmshapOutputs a = io::emshap_outputs(ctx, sample.fitted, x, mask);
    const io::EmshapOutputs b = io::emshap_outputs(ctx, read, x, mask);
    check_same(a.energy, b.energy);
    check_same(a.mixture, b.mixture);
    check_same(a.categorical, b.categorical);
    check_same(a.conditional_mean, b.conditional_mean);
  }
}

TEST_CASE("values beyond the bounds count as the bounds, missing ones stay missing") {
  for (const test::SampleOptions& options : every_kind()) {
    CAPTURE(options.proposal);
    CAPTURE(to_string(options.transform));
    test::SampleEmshap sample(options);
    const test::Bounds bounds(sample.rows(100));
    const Tensor mask = sample.masks(40);
    Tensor x = sample.rows(40);
    x.ptr<float>()[2] = std::numeric_limits<float>::infinity();  // is missing, not the bound
    x.ptr<float>()[sample.columns() + 2] = std::numeric_limits<float>::quiet_NaN();
    Tensor at = bounds.clipped(x);
    at.ptr<float>()[2] = x.ptr<float>()[2];
    REQUIRE_FALSE(test::same_bits(x, at));
    Context ctx;
    const io::EmshapOutputs free = io::emshap_outputs(ctx, sample.fitted, at, mask);
    sample.fitted.space.clip_inputs(bounds.low, bounds.high);
    const io::OnnxModel file = io::OnnxModel::parse(io::emshap_onnx(sample.fitted, info), "sample");
    CHECK(io::verify_emshap(file, sample.fitted, x) < 1e-5);
    const FittedEmshap read = io::load_emshap_onnx(file);
    for (const FittedEmshap* model : {static_cast<const FittedEmshap*>(&sample.fitted), &read}) {
      const io::EmshapOutputs out = io::emshap_outputs(ctx, *model, x, mask);
      check_same(out.energy, free.energy);
      check_same(out.mixture, free.mixture);
      check_same(out.conditional_mean, free.conditional_mean);
    }
    const auto a = io::run_onnx(file, {{"x", x}, {"mask", mask}}),
               b = io::run_onnx(file, {{"x", at}, {"mask", mask}});
    for (const auto& [name, values] : a) {
      CAPTURE(name);
      CHECK(test::same_bits(values, b.at(name)));
    }
  }
}

TEST_CASE("names, shapes and meaning of the outputs") {
  const test::SampleEmshap& sample = small();
  const io::OnnxModel file = io::OnnxModel::parse(io::emshap_onnx(sample.fitted, info), "sample");
  const std::int64_t inputs = sample.columns(), features = sample.fitted.space.features();
  CHECK(features == inputs - 1);
  std::vector<std::string> names;
  for (const io::OnnxValue& value : file.outputs()) names.push_back(value.name);
  CHECK(names == std::vector<std::string>{"energy", "proposal_mean", "proposal_logvar", "context", "mixture",
                                          "categorical", "conditional_mean"});
  CHECK(file.inputs()[0].name == "x");
  CHECK(file.inputs()[1].name == "mask");
  CHECK(file.metadata("energy_used") == "true");
  for (const char* name : {"gru.weight_hh", "token.shift", "energy.output.weight", "base.covariance"})
    CHECK(file.has_initialiser(name));

  const Tensor x = sample.rows(2), mask = sample.masks(2);
  const auto out = io::run_onnx(file, {{"x", x}, {"mask", mask}});
  for (std::int64_t c = 0; c < inputs; ++c) {  // row 1: all known
    const float expected = c == 1 ? 7.f : x.ptr<float>()[inputs + c];
    CHECK(out.at("conditional_mean").ptr<float>()[inputs + c] == expected);
  }
  CHECK(out.at("conditional_mean").ptr<float>()[1] == 7.f);
  for (std::int64_t t = 0; t < features; ++t) {
    CHECK(out.at("proposal_logvar").ptr<float>()[features + t] == doctest::Approx(std::log(1e-6)));
    CHECK(out.at("proposal_logvar").ptr<float>()[t] > -10);
  }
  const Tensor& mixture = out.at("mixture");
  const std::int64_t width = mixture.elements() / 2;
  for (std::int64_t i = 0; i < width; ++i) CHECK(mixture.ptr<float>()[width + i] == 0);
}

TEST_CASE("unknown values change no output but the energy") {
  const test::SampleEmshap sample({.proposal = "mlp", .transform = FeatureTransform::quantile});
  const io::OnnxModel file = io::OnnxModel::parse(io::emshap_onnx(sample.fitted, info), "sample");
  const Tensor mask = sample.masks(40), x = sample.rows(40);
  Tensor hidden = sample.rows(40);
  test::SampleEmshap::hide(hidden, mask);
  const auto a = io::run_onnx(file, {{"x", x}, {"mask", mask}});
  const auto b = io::run_onnx(file, {{"x", hidden}, {"mask", mask}});
  for (const char* name :
       {"proposal_mean", "proposal_logvar", "context", "mixture", "categorical", "conditional_mean"})
    check_same(a.at(name), b.at(name));
  CHECK(a.at("energy").ptr<float>()[0] != b.at("energy").ptr<float>()[0]);

  // A missing value is unknown, whatever the mask says.
  Tensor missing = sample.rows(40), all = sample.masks(40), less = sample.masks(40);
  for (std::int64_t i = 0; i < all.elements(); ++i) {
    all.ptr<float>()[i] = 1;
    less.ptr<float>()[i] = mask.ptr<float>()[i];
    if (mask.ptr<float>()[i] == 0) missing.ptr<float>()[i] = std::numeric_limits<float>::quiet_NaN();
  }
  const auto c = io::run_onnx(file, {{"x", missing}, {"mask", all}});
  const auto d = io::run_onnx(file, {{"x", missing}, {"mask", less}});
  for (const char* name : {"energy", "proposal_mean", "conditional_mean"}) check_same(c.at(name), d.at(name));
}

TEST_CASE("a set-GRU whose update gate is saturated still leaves unknown features out") {
  test::SampleEmshap sample({});
  ParameterStore& store = dynamic_cast<SetGru&>(sample.fitted.model->proposal()).store();
  const ParameterId bias = store.find("gru.bias_ih");
  std::vector<double> values = store.get(bias);
  for (std::size_t j = values.size() / 3; j < 2 * values.size() / 3; ++j) values[j] = -80;
  store.set(bias, values);
  const io::OnnxModel file = io::OnnxModel::parse(io::emshap_onnx(sample.fitted, info), "sample");
  CHECK(io::verify_emshap(file, sample.fitted, sample.rows(8)) < 1e-5);
}

TEST_CASE("a file is written only when it computes what the model does") {
  const fs::path path = fs::temp_directory_path() / fmt::format("emshap_export_{}.onnx", ::getpid());
  test::SampleEmshap sample({});
  CHECK(io::export_emshap(path, sample.fitted, info, sample.rows(5)) < 1e-5);
  const io::OnnxModel file = io::OnnxModel::load(path);
  fs::remove(path);
  CHECK_THROWS_WITH_AS(io::verify_emshap(file, sample.fitted, sample.rows(5), 1e-12),
                       doctest::Contains("as the trained model"), QualityError);
  CHECK(io::verify_emshap(file, sample.fitted, sample.rows(0)) == 0);
  ParameterStore& store = sample.fitted.model->energy()->store();
  const ParameterId bias = store.find("energy.output.bias");
  store.set(bias, std::vector<double>{store.get(bias)[0] + 1e-6});
  CHECK_THROWS_WITH_AS(io::verify_emshap(file, sample.fitted, sample.rows(5)),
                       doctest::Contains("reads back as another model"), QualityError);
  store.set(bias, std::vector<double>{std::numeric_limits<double>::quiet_NaN()});
  CHECK_THROWS_WITH_AS(io::export_emshap(path, sample.fitted, info, sample.rows(5)),
                       doctest::Contains("'energy.output.bias' holds nan"), NumericalError);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a graph that computes something else is noticed, although the weights are right") {
  const std::string bytes = io::emshap_onnx(small().fitted, info);
  for (const char* name : {"closing_weight", "base.mean", "to_raw.scale", "code.lower2"}) {
    CAPTURE(name);
    onnx::ModelProto message;
    REQUIRE(message.ParseFromString(bytes));
    int changed = 0;
    for (auto& tensor : *message.mutable_graph()->mutable_initializer())
      if (tensor.name() == name) {
        tensor.mutable_raw_data()->assign(tensor.raw_data().size(), '\0');
        ++changed;
      }
    CHECK(changed == 1);
    const io::OnnxModel file = io::OnnxModel::parse(message.SerializeAsString(), "e.onnx");
    CHECK_NOTHROW(io::load_emshap_onnx(file));
    CHECK_THROWS_AS(io::verify_emshap(file, small().fitted, small().rows(64)), QualityError);
  }
}

TEST_CASE("files that are no EmSHAP model, or a changed one, give one sentence") {
  CHECK(error_after([](auto&) {}).empty());
  CHECK(contains(error_after([](auto& m) { metadata(m, "model") = "power_predictor"; }),
                 "'model' is 'power_predictor'"));
  for (const char* key : {"feature_space", "architecture", "features", "model_features", "feature_space_hash",
                          "weights_hash", "energy_used", "energy_gain", "seed"})
    for (const char* text : {"", "{", "{}", "[]", "-x"}) {
      CAPTURE(key);
      CAPTURE(text);
      CHECK_FALSE(error_after([&](auto& m) { metadata(m, key) = text; }).empty());
    }
  CHECK(contains(error_after([](auto& m) {
                   std::string& text = metadata(m, "architecture");
                   const std::string size = "\"hidden\":12";
                   text.replace(text.find(size), size.size(), "\"hidden\":1200000000");
                 }),
                 "'gru.weight_hh' has shape (12, 36)"));
  // A weight that was changed.
  CHECK(contains(error_after([](auto& m) {
                   for (auto& tensor : *m.mutable_graph()->mutable_initializer())
                     if (tensor.name() == "head.hidden") (*tensor.mutable_raw_data())[5] ^= 1;
                 }),
                 "by weights_hash"));

  const test::SamplePredictor predictor({.features = 3, .hidden = {4}}, false);
  const std::string other =
      io::power_predictor_onnx(predictor.preprocessor, predictor.predictor, predictor.info);
  CHECK_THROWS_WITH_AS(io::load_emshap_onnx(io::OnnxModel::parse(other, "p.onnx")),
                       doctest::Contains("p.onnx: is no EmSHAP model written by emshap"), IoError);
}

TEST_CASE("a file cut at 50 places is refused") {
  const std::string bytes = io::emshap_onnx(small().fitted, info);
  const fs::path path = fs::temp_directory_path() / fmt::format("emshap_model_{}.onnx", ::getpid());
  for (std::size_t i = 0; i < 50; ++i) {
    write_file_atomically(path, std::string_view(bytes).substr(0, bytes.size() * i / 50));
    CHECK_THROWS_WITH_AS(io::load_emshap_onnx(path), doctest::Contains(path.c_str()), IoError);
  }
  fs::remove(path);
}

TEST_CASE("bytes changed anywhere give one sentence, another description or the same model, never a crash") {
  const std::string bytes = io::emshap_onnx(small().fitted, info);
  Generator random({31, RandomPurpose::test});
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = bytes;
    for (int k = 0; k <= i % 3; ++k)
      changed[static_cast<std::size_t>(random.uniform() * static_cast<double>(bytes.size()))] ^=
          static_cast<char>(1 + i % 127);
    try {
      io::load_emshap_onnx(io::OnnxModel::parse(changed, "changed.onnx"));
    } catch (const IoError& error) {
      ++refused;
      CHECK(std::string(error.what()).starts_with("changed.onnx: "));
    }
  }
  CHECK(refused > 200);
}
