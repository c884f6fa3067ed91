// The whole evaluation on small data: JSON, table, plots and the gate.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "density_fixture.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/report/density_evaluation.h"
#include "emshap/report/evaluation.h"
#include "report_fixture.h"

using namespace emshap;
using namespace emshap::report;
using namespace emshap::test;
using Json = nlohmann::json;

namespace {

FeatureSpaceOptions standardised() {
  FeatureSpaceOptions options;
  options.transform = FeatureTransform::standardise;
  return options;
}

void sum_of_features(ConstTensorView raw, TensorView y) {
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    y.ptr<float>()[r] = 0;
    for (std::int64_t c = 0; c < raw.cols(); ++c)
      y.ptr<float>()[r] += raw.ptr<float>()[r * raw.row_stride() + c];
  }
}

DensityEvaluationOptions small() {
  DensityEvaluationOptions options;
  options.energy_pairs = 30;
  options.energy_draws = 40;
  options.value_draws = 16;
  return options;
}

struct Sample {
  Tensor train = gaussian_rows(400, 3, .6, 1);
  FeatureSpace space = fit_space(train, standardised());
  EmshapModel model;
  Sample() : model(gaussian_proposal(3, .6), energy(), false) {}
  static std::unique_ptr<EnergyNetwork> energy() {
    EnergyNetworkOptions options;
    options.features = 3;
    options.context = gaussian_proposal(3, .6)->context_width();
    options.hidden = 8;
    return std::make_unique<EnergyNetwork>(options, DType::f64);
  }
  DensityData data() const {
    DensityData out;
    out.rows = gaussian_rows(120, 3, .6, 2);
    out.train = train.clone();
    for (std::int64_t r = 0; r < 120; ++r) out.cluster.push_back(r / 4);
    return out;
  }
};

}  // namespace

TEST_CASE("all scores stand in the JSON and the table, beside those of the baselines") {
  const Sample sample;
  TeamPool pool(2);
  DensityEvaluation e =
      evaluate_density(sample.space, sample.model, sample.data(), sum_of_features, small(), pool);
  e.model["kind"] = "run";
  REQUIRE(e.methods.size() == 4);
  CHECK(e.methods[1].method == "Gaussian");
  CHECK(e.methods[2].method == "Gaussian copula");
  CHECK(e.methods[3].method == "independence");
  // The data are Gaussian: the fitted baseline is as good as the truth, independence is worse.
  CHECK(e.methods[1].log_likelihood.value == doctest::Approx(e.methods[0].log_likelihood.value).epsilon(.05));
  CHECK(e.methods[3].crps.value > e.methods[0].crps.value);
  REQUIRE(e.comparisons.size() == 4);
  CHECK(e.comparisons[3].baseline == "EmSHAP with energy");
  CHECK(e.comparisons[3].msev.value == doctest::Approx(e.values[0].msev.value - e.values[1].msev.value));
  CHECK(std::isnan(e.comparisons[3].crps.value));
  CHECK(e.comparisons[2].crps.value + 2 * e.comparisons[2].crps.standard_error < 0);
  CHECK(std::isnan(e.comparisons[2].log_likelihood.value));
  CHECK(e.clusters == 30);
  CHECK(e.notes.empty());

  const Json j = Json::parse(density_json(e));
  CHECK(j["rows"] == 120);
  CHECK(j["groups"] == 30);
  CHECK(j["pairs"] == 480);
  CHECK(j["log_likelihood"] == j["methods"]["EmSHAP"]["log_likelihood"]);
  CHECK(j["methods"]["independence"]["log_likelihood"].is_null());
  CHECK(j["methods"]["EmSHAP"]["by_size"].size() == 3);
  const Json& feature = j["methods"]["EmSHAP"]["features"]["b"];
  CHECK(feature["proposal_variance"]["min"].get<double>() <=
        feature["proposal_variance"]["max"].get<double>());
  CHECK(feature["coverage"]["80"].get<double>() > .6);
  CHECK(j["methods"]["EmSHAP"]["context"]["width"].get<int>() >= 1);
  for (const char* key : {"mean", "sd", "min", "max"}) CHECK(j["energy"]["of_data"][key].is_number());
  CHECK(j["energy"]["draws"] == 40);
  CHECK(j["energy"]["pairs"] == 30);
  CHECK(j["energy"]["effective_sample_size"]["max"].get<double>() <= 40.001);
  CHECK(j["values"]["methods"].size() == 5);  // ours twice, with and without the energy
  CHECK(j["msev"] == j["values"]["methods"]["EmSHAP"]["msev"]);
  CHECK(j["difference_to"]["Gaussian"]["msev"]["standard_error"].is_number());

  const std::string table = density_table(e);
  for (const char* text : {"EmSHAP", "Gaussian copula", "independence", "ours minus", "Energy (not used)"})
    CHECK_MESSAGE(table.find(text) != std::string::npos, text);

  TeamPool other(3);
  const DensityEvaluation again =
      evaluate_density(sample.space, sample.model, sample.data(), sum_of_features, small(), other);
  CHECK(Json::parse(density_json(again))["methods"] == j["methods"]);
  CHECK(Json::parse(density_json(again))["energy"] == j["energy"]);
  CHECK(Json::parse(density_json(again))["values"] == j["values"]);
}

TEST_CASE("what is absent is left out and named") {
  const Sample sample;
  TeamPool pool(1);
  DensityData data = sample.data();
  data.train = Tensor();
  data.cluster.clear();
  DensityEvaluationOptions options = small();
  options.rows_limit = 50;
  options.masks_per_row = 1;
  options.energy_pairs = 0;
  const DensityEvaluation e = evaluate_density(sample.space, sample.model, data, {}, options, pool);
  CHECK(e.rows == 50);
  CHECK(e.methods.size() == 1);
  CHECK(e.notes.size() == 1);
  const Json j = Json::parse(density_json(e));
  CHECK_FALSE(j.contains("energy"));
  CHECK_FALSE(j.contains("values"));
  CHECK_FALSE(j.contains("msev"));
  CHECK(density_table(e).find("no training rows") != std::string::npos);
  data.rows = Tensor({0, 3});
  CHECK_THROWS_AS(evaluate_density(sample.space, sample.model, data, {}, options, pool), DataError);
}

TEST_CASE("values that only scored rows lack: the baselines do without them, as the model does") {
  const Sample sample;
  Tensor all({401, 3});
  std::copy_n(sample.train.ptr<float>(), 1200, all.ptr<float>());
  std::fill_n(all.ptr<float>() + 1200, 3, std::numeric_limits<float>::quiet_NaN());
  const FeatureSpace space = fit_space(all, standardised(), 400);
  DensityData data = sample.data();
  for (std::int64_t r = 0; r < 120; r += 3) data.rows.ptr<float>()[3 * r + r % 2] = all.ptr<float>()[1200];
  TeamPool pool(1);
  const DensityEvaluation e = evaluate_density(space, sample.model, data, sum_of_features, small(), pool);
  REQUIRE(e.methods.size() == 4);
  for (const ConditionalScores& m : e.methods) {
    CHECK(m.targets == e.methods[0].targets);
    CHECK(std::isfinite(m.crps.value));
  }
  CHECK(e.values.size() == 5);
}

TEST_CASE("the share of a variance of 0 is not shown") {
  const Sample sample;
  TeamPool pool(1);
  const auto constant = [](ConstTensorView raw, TensorView y) {
    std::fill_n(y.ptr<float>(), raw.rows(), 1.f);
  };
  const std::string table =
      density_table(evaluate_density(sample.space, sample.model, sample.data(), constant, small(), pool));
  CHECK(table.find("MSEv") != std::string::npos);
  CHECK(table.find("inf") == std::string::npos);
  CHECK(table.find("nan") == std::string::npos);
}

TEST_CASE("draws with nothing known look like the data") {
  const Sample sample;
  TeamPool pool(1);
  const DensityEvaluation e = evaluate_density(sample.space, sample.model, sample.data(), {}, small(), pool);
  REQUIRE(e.samples.names.size() == 3);
  CHECK(e.samples.pairs.size() == 3);
  for (std::size_t t = 0; t < 3; ++t) {
    REQUIRE(e.samples.drawn[t].size() == 120);
    double mean = 0, square = 0;
    for (const double v : e.samples.drawn[t]) {
      mean += v / 120;
      square += v * v / 120;
    }
    CHECK(std::abs(mean) < .4);
    CHECK(square == doctest::Approx(1).epsilon(.4));
  }
}

TEST_CASE("plots of a density model") {
  EMSHAP_NEEDS_GNUPLOT();
  const Sample sample;
  TeamPool pool(1);
  const DensityEvaluation e = evaluate_density(sample.space, sample.model, sample.data(), {}, small(), pool);
  const TemporaryFolder folder;
  RecordingSink sink;
  Plotter plotter({}, sink);
  const auto files = write_density_plots(plotter, folder.path() / "plots", e);
  CHECK(sink.warnings.empty());
  CHECK(files.size() == 4 + 1 + 3 + 3);
  for (const auto& file : files) CHECK(std::filesystem::file_size(file) > 1000);
  CHECK(std::filesystem::exists(folder.path() / "plots" / "density_energy.svg"));
}

TEST_CASE("an evaluation holds a density model with or without a predictor") {
  const Sample sample;
  TeamPool pool(1);
  const DensityEvaluation e = evaluate_density(sample.space, sample.model, sample.data(), {}, small(), pool);
  const Table table = table_of(sample.train);
  const TemporaryFolder folder;
  const auto files = write_evaluation({}, table, folder.path() / "out", nullptr, &e);
  CHECK(files.size() == 1);
  const std::string text = read_file(folder.path() / "out" / "metrics.json");
  const Json j = Json::parse(text);
  CHECK(j["density"]["rows"] == 120);
  CHECK_FALSE(j.contains("target"));
  const std::string verdict = check_gate(text, folder.path() / "out", {});
  CHECK(verdict.find("density log_likelihood") != std::string::npos);
  CHECK(verdict.find("density crps") != std::string::npos);
}

TEST_CASE("the gate on density scores") {
  const TemporaryFolder folder;
  const auto text = [](double ll, double crps) {
    return Json{{"density", {{"log_likelihood", ll}, {"crps", crps}, {"nrmse", .5}, {"msev", nullptr}}}}
        .dump();
  };
  const auto baseline = folder.path() / "metrics.json";
  write_file_atomically(baseline, text(-1, .4));
  CHECK_NOTHROW(check_gate(text(-1, .4), baseline, {}));
  CHECK_NOTHROW(check_gate(text(-1.04, .41), baseline, {"auto", .05}));
  CHECK_THROWS_AS(check_gate(text(-1.06, .4), baseline, {"auto", .05}), QualityError);
  CHECK_THROWS_AS(check_gate(text(-1, .43), baseline, {"auto", .05}), QualityError);
  CHECK_NOTHROW(check_gate(text(-1, .43), baseline, {"log_likelihood", 0}));
  CHECK_NOTHROW(check_gate(text(-9, .4), baseline, {"nrmse", 0}));
  CHECK_THROWS_AS(check_gate(text(-1, .4), baseline, {"msev", 0}), DataError);
  CHECK_THROWS_AS(check_gate(text(-1, .4), baseline, {"rmse", 0}), DataError);
  CHECK_THROWS_AS(check_gate("{\"test\": {\"rmse\": 1}}", baseline, {}), DataError);
  try {
    check_gate(text(-2, .6), baseline, {});
    FAIL("passed");
  } catch (const QualityError& e) {
    CHECK(std::string(e.what()).find("density log_likelihood -2 against -1 of ") != std::string::npos);
    CHECK(std::string(e.what()).find("; density crps 0.6 against 0.4 of ") != std::string::npos);
  }
}
