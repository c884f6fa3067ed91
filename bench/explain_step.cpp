// Values of coalitions, F = 20, as emshap_explain computes them: 1,024 coalitions x 128 draws an explicand
// with the set-GRU (H = 64, C = 5), the energy's weights (4 layers of 128) and the default predictor (16 bins
// a feature, four networks 340-128-64-1), weights random. `values` is all of it, `plain` the same without the
// energy and in four orders, the others the parts of `values` alone on the same blocks; what is left is the
// conversion of units, copies and sums. FLOP are nominal products of what is needed: known features are
// scanned once a coalition, the draws of a coalition share the head of its first drawn feature and the state
// behind it, the last drawn feature enters no state, and the first layers of energy and predictor count drawn
// features only, the predictor's one of the 17 inputs that a feature becomes.
//
// With --dump FOLDER the program writes weights, noise, rows, coalitions and values as .npy files for
// bench/compare/explain_step.py, which computes the same in PyTorch.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/npy.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"
#include "emshap/explain/coalitions.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/explain/players.h"
#include "emshap/models/set_gru.h"
#include "emshap/train/power_model_predictor.h"
#include "proposal_step.h"
#include "step_benchmark.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = bench::step_features, H = 64, C = 5, K = 128, width = 128;

Table table_of(const Tensor& raw) {
  std::vector<ColumnSpec> schema;
  for (std::int64_t c = 0; c < raw.cols(); ++c)
    schema.push_back({"x" + std::to_string(c), ColumnType::f32, ColumnRole::feature});
  schema.push_back({"y", ColumnType::f32, ColumnRole::target});
  Table table(schema);
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    float sum = 0;
    for (std::int64_t c = 0; c < raw.cols(); ++c) {
      const float x = raw.ptr<float>()[r * raw.cols() + c];
      table.columns()[static_cast<std::size_t>(c)].push_f32(x);
      sum += x;
    }
    table.columns()[static_cast<std::size_t>(raw.cols())].push_f32(sum);
  }
  return table;
}

void scale(ParameterStore& store, const char* name, double factor) {
  const ParameterId id = store.find(name);
  std::vector<double> values = store.get(id);
  for (double& v : values) v *= factor;
  store.set(id, values);
}

/// A run's models with random weights, rows to explain and coalitions.
struct Setting {
  Tensor raw = bench::bent_rows(2000);
  Table table = table_of(raw);
  std::vector<std::int64_t> all = [] {
    std::vector<std::int64_t> rows(2000);
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }();
  FeatureSpace space = FeatureSpace::fit(table, all, {}, {.transform = FeatureTransform::quantile});
  EmshapModel model = make_model();
  PowerModel power = make_power();
  PowerModelPredictor f{power};
  Coalitions coalitions = Coalitions::make(F, CoalitionStrategy::kernel, 1024, 1);
  Tensor masks = Players::single(space.input_names()).masks(coalitions);
  DrawnValueOptions options{.draws = K};
  std::unique_ptr<ValueFunction> values = drawn_values("emshap", space, model, f, options);
  EmshapModel plain{std::make_unique<SetGru>(dynamic_cast<SetGru&>(model.proposal()).options()), nullptr,
                    false};
  std::unique_ptr<ValueFunction> plain_values = drawn_values("emshap", space, plain, f, options);

  EmshapModel make_model() const {
    Tensor x({raw.rows(), F});
    space.to_model(raw, x, {}, {});
    auto proposal = std::make_unique<SetGru>(
        SetGruOptions{.layout = FeatureLayout::numeric(F), .base = GaussianBase::fit(x), .hidden = H});
    scale(proposal->store(), "head.mixture", 10);
    auto energy =
        std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = F, .context = H, .hidden = width});
    scale(energy->store(), "energy.output.weight", 30);
    return {std::move(proposal), std::move(energy), true};
  }
  PowerModel make_power() const {
    PowerModel m;
    m.scaler = Preprocessor::fit(table, all, true, true, 16);
    m.network = std::make_unique<PowerPredictor>(
        PowerPredictorOptions{.features = m.scaler.features.outputs(), .members = 4});
    m.target = "y";
    return m;
  }
  Setting() = default;
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
};

Setting& setting() {
  static Setting s;
  return s;
}

/// Nominal FLOP of one explicand, part by part.
struct Flop {
  double sampler = 0, energy = 0, predictor = 0, draws = 0;
  double all() const { return sampler + energy + predictor; }
};

double predictor_flop(double drawn) {
  const double first = 2 * drawn * 128;  // of a feature: its number and the bin that it falls into
  return 4 * 2 * (first + 128. * 64 + 64);
}

Flop flop(double orders) {
  const Setting& s = setting();
  const double gru = 2 * 3 * H * H, head = 2 * (2 * H * H + 3 * C * H), k = K;
  Flop sum;
  for (std::int64_t c = 2; c < s.coalitions.size(); ++c) {
    double known = 0;
    for (std::int64_t t = 0; t < F; ++t) known += s.coalitions.row(c)[t];
    const double drawn = F - known;
    sum.sampler += orders * ((known + 1) * gru + head) +
                   (drawn > 1 ? (drawn - 2) * k * gru + (drawn - 1) * k * head : 0);
    sum.energy += 2 * (F + H) * width + k * 2 * (drawn * width + 4 * width * width + width);
    sum.predictor += k * predictor_flop(drawn);
    sum.draws += k;
  }
  return sum;
}

constexpr std::int64_t block = 32;  // coalitions

enum class Part { values, plain, sampler, energy, predictor };

/// One explicand a call.
void explain(benchmark::State& state, Part part) {
  Setting& s = setting();
  const int threads = static_cast<int>(state.range(0));
  TeamPool pool(threads);
  const ConstTensorView row = s.raw.view().rows(5, 1);
  const Flop of = flop(part == Part::plain ? 4 : 1);
  const std::int64_t count = s.coalitions.size() - 2;
  double work = part == Part::plain ? of.sampler + of.predictor : of.all();
  CoalitionValues out;
  if (part == Part::values || part == Part::plain) {
    const ValueFunction& values = part == Part::plain ? *s.plain_values : *s.values;
    bench::time_step(state, threads, work, [&] {
      values.evaluate(pool, {row, {}}, s.masks.view().rows(2, count), out);
    });
  } else {
    Tensor x({block, F}), mask({block, F}), completion({block * K, F}), y({block * K, 1}), g({block * K});
    const SharedNoise noise = SharedNoise::make(F, s.options, true);
    for (std::int64_t i = 0; i < block; ++i) s.space.to_model(row, x.view().rows(i, 1), {}, {});
    Context ctx;
    WeightedDraws drawn;
    s.plain.draw(ctx, {{x, {}}, s.masks.view().rows(2, block), {}, {}}, {K, noise.uniforms, {}}, drawn);
    s.space.to_raw(drawn.draws.x, completion);
    work = part == Part::sampler ? of.sampler : part == Part::energy ? of.energy : of.predictor;
    bench::time_step(state, threads, work, [&] {
      for (std::int64_t c = 0; c < count; c += block) {
        const std::int64_t n = std::min(block, count - c);
        const ConstTensorView m = s.masks.view().rows(2 + c, n);
        if (part == Part::sampler)
          s.plain.draw(ctx, {{x.view().rows(0, n), {}}, m, {}, {}}, {K, noise.uniforms, {}}, drawn);
        else if (part == Part::energy)
          s.model.energy()->infer(ctx, drawn.draws.x.view().rows(0, n * K), m,
                                  drawn.draws.context.view().rows(0, n), g.view().columns(0, n * K));
        else
          s.f.predict_groups(ctx, completion.view().rows(0, n * K), K, m, y.view().rows(0, n * K));
      }
    });
  }
  state.counters["draws/s"] = benchmark::Counter(of.draws, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(explain, values, Part::values)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(explain, plain, Part::plain)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(explain, sampler, Part::sampler)->ArgName("threads")->Arg(1)->UseRealTime();
BENCHMARK_CAPTURE(explain, energy, Part::energy)->ArgName("threads")->Arg(1)->UseRealTime();
BENCHMARK_CAPTURE(explain, predictor, Part::predictor)->ArgName("threads")->Arg(1)->UseRealTime();

/// All that the same computation elsewhere needs.
void dump(const std::filesystem::path& folder) {
  Setting& s = setting();
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, ConstTensorView values) {
    write_npy(folder / (name + ".npy"), values);
  };
  const auto write_numbers = [&](const std::string& name, const std::vector<double>& values) {
    write(name, Tensor::from(values, {static_cast<std::int64_t>(values.size())}));
  };
  const auto write_store = [&](const std::string& prefix, const ParameterStore& store) {
    for (const ParameterStore::Entry& e : store.parameters())
      write(prefix + e.name, store.value(store.find(e.name)));
    for (const ParameterStore::Entry& e : store.buffers())
      write(prefix + e.name, store.buffer(store.find_buffer(e.name)));
  };
  const auto& proposal = dynamic_cast<const SetGru&>(s.model.proposal());
  write_store("", proposal.store());
  write_store("", s.model.energy()->store());
  write_store("power.", s.power.network->store());
  write_numbers("base.mean", proposal.options().base.mean);
  write("base.covariance", Tensor::from(proposal.options().base.covariance, {F, F}));
  const auto& quantile = *s.space.pipeline().find<QuantileNormal>();
  const auto& bins = *s.power.scaler.features.find<PiecewiseLinear>();
  std::vector<double> low, high, below, above;
  for (std::int64_t t = 0; t < F; ++t) {
    const FeatureColumn& column = s.space.columns()[static_cast<std::size_t>(t)];
    const double margin = s.space.options().range_margin * (column.high - column.low);
    low.push_back(column.low - margin);
    high.push_back(column.high + margin);
    const std::vector<double> z = quantile.scores(static_cast<std::size_t>(t));
    below.push_back(s.space.to_raw(t, z.front()) - s.space.to_raw(t, z.front() - 1));
    above.push_back(s.space.to_raw(t, z.back() + 1) - s.space.to_raw(t, z.back()));
    write_numbers("space.knots" + std::to_string(t), quantile.knots(static_cast<std::size_t>(t)));
    write_numbers("space.scores" + std::to_string(t), z);
    write_numbers("power.edges" + std::to_string(t), bins.edges(static_cast<std::size_t>(t)));
  }
  write_numbers("space.low", low);
  write_numbers("space.high", high);
  write_numbers("space.below", below);
  write_numbers("space.above", above);
  const auto& scaler = *s.power.scaler.features.find<StandardScaler>();
  const auto& target = *s.power.scaler.target.find<StandardScaler>();
  write_numbers("power.means", scaler.means());
  write_numbers("power.scales", scaler.scales());
  write_numbers("power.target", {target.means()[0], target.scales()[0]});

  const std::int64_t rows = 4, count = s.coalitions.size() - 2;
  const ConstTensorView raw = s.raw.view().rows(0, rows), masks = s.masks.view().rows(2, count);
  Tensor x({rows, F});
  s.space.to_model(raw, x, {}, {});
  write("raw", raw);
  write("x", x);
  write("masks", masks);
  write("noise", SharedNoise::make(F, s.options, true).uniforms);
  CoalitionValues out;
  TeamPool pool(1);
  s.values->evaluate(pool, {raw, {}}, masks, out);
  write("values", out.value);
  write("effective", out.effective);
  write("deviation", out.deviation.view().reshaped({rows * count, s.options.replicates}));
}

/// What is known of the values holds before they are timed.
bool sane() {  // v(all) = f
  Setting& s = setting();
  CoalitionValues out;
  TeamPool pool(1);
  const ConstTensorView row = s.raw.view().rows(5, 1);
  s.values->evaluate(pool, {row, {}}, s.masks.view().rows(0, 64), out);
  Context ctx;
  Tensor y({1, 1});
  s.f.predict(ctx, row, y);
  bool good = std::abs(out.value.ptr<double>()[1] - static_cast<double>(y.ptr<float>()[0])) < 1e-5;
  for (std::int64_t c = 0; c < 64; ++c) good = good && std::isfinite(out.value.ptr<double>()[c]);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--dump") == 0) {
    dump(argv[2]);
    return 0;
  }
  if (!sane()) {
    std::fprintf(stderr, "bench_explain_step: values of known coalitions are not those of f\n");
    return 1;
  }
  bench::run_benchmarks(argc, argv);
}
