// v(S, x) of one method for arrays of explicands and coalitions, for bench/accuracy:
//   bench_values --method M --function f1|f2 --explicands x.npy --coalitions masks.npy --out PREFIX
// M: emshap (with --run RUN), gaussian, copula, independence or empirical (with --train rows.npy). Writes
// PREFIX_v.npy (B, C), PREFIX_deviation.npy (B, C, G), PREFIX_effective.npy (B, C) of float64, as
// emshap/explain/value_function.h says, and prints the seconds that evaluation took.
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include "accuracy_functions.h"
#include "emshap/core/error.h"
#include "emshap/explain/baseline_values.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/fitted_emshap.h"

using namespace emshap;

namespace {

using Options = std::map<std::string, std::string>;

const Options defaults{{"method", ""},        {"function", "f1"}, {"f2", ""},       {"explicands", ""},
                       {"coalitions", ""},    {"out", ""},        {"run", ""},      {"train", ""},
                       {"energy", "auto"},    {"draws", "128"},   {"orders", "0"},  {"replicates", "4"},
                       {"noise", "sobol"},    {"seed", "42"},     {"threads", "0"}, {"bandwidth", "0.1"},
                       {"most-rows", "10000"}};

Options parse(int argc, char** argv) {
  Options out = defaults;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (key.rfind("--", 0) != 0 || defaults.count(key.substr(2)) == 0 || i + 1 == argc) {
      std::string known;
      for (const auto& [name, value] : defaults) known += " --" + name;
      throw ConfigError("'" + key + "' is no option with a value; there are" + known);
    }
    out[key.substr(2)] = argv[i + 1];
  }
  for (const char* needed : {"method", "explicands", "coalitions", "out"})
    if (out[needed].empty()) throw ConfigError(std::string("--") + needed + " is missing");
  return out;
}

BaselineOptions baseline_options(const Options& o) {
  BaselineOptions out;
  out.drawn.draws = std::stoll(o.at("draws"));
  out.drawn.replicates = std::stoll(o.at("replicates"));
  out.drawn.orders = std::stoll(o.at("orders"));
  out.drawn.noise = o.at("noise") == "iid" ? ValueNoise::independent : ValueNoise::sobol;
  out.drawn.seed = std::stoull(o.at("seed"));
  out.bandwidth = std::stod(o.at("bandwidth"));
  out.most_rows = std::stoll(o.at("most-rows"));
  return out;
}

void evaluate(const Options& o) {
  const CallablePredictor f = bench::accuracy_function(o.at("function"), o.at("f2"));
  const BaselineOptions options = baseline_options(o);
  FittedEmshap emshap;
  FittedBaseline baseline;
  if (o.at("method") == "emshap") {
    emshap = load_emshap(RunDirectory::open(o.at("run")));
    if (o.at("energy") != "auto") emshap.model->use_energy(o.at("energy") == "on");
    baseline.values = drawn_values("emshap", emshap.space, *emshap.model, f, options.drawn);
  } else {
    const Tensor train = bench::as_f32(read_npy(o.at("train")));
    std::vector<std::string> columns;
    for (std::int64_t c = 0; c < train.cols(); ++c) columns.push_back("x" + std::to_string(c + 1));
    baseline = make_baseline(o.at("method"), columns, train, f, options);
    for (const std::string& note : baseline.notes) std::fprintf(stderr, "%s\n", note.c_str());
  }
  const Tensor rows = bench::as_f32(read_npy(o.at("explicands"))),
               masks = bench::as_f32(read_npy(o.at("coalitions")));
  TeamPool pool(std::stoi(o.at("threads")));
  CoalitionValues values;
  const auto start = std::chrono::steady_clock::now();
  baseline.values->evaluate(pool, {rows, {}}, masks, values);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  write_npy(o.at("out") + "_v.npy", values.value);
  write_npy(o.at("out") + "_deviation.npy", values.deviation);
  write_npy(o.at("out") + "_effective.npy", values.effective);
  std::printf("%.3f\n", seconds.count());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    evaluate(parse(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_values: %s\n", e.what());
    return 1;
  }
  return 0;
}
