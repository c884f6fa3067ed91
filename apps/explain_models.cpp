#include "explain_models.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "data_location.h"
#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/data/split.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/onnx_model.h"
#include "emshap/io/onnx_predictor.h"
#include "emshap/io/power_onnx.h"
#include "emshap/models/emshap_model.h"
#include "emshap/report/evaluation.h"
#include "emshap/stream/open_source.h"
#include "emshap/train/checkpoint.h"
#include "emshap/train/power_model_predictor.h"
#include "emshap/train/run_cleaning.h"
#include "replay.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

/// What these features are made from, of a file or store; of the rows that the run chose if `entry` is its
/// entry.
Table read_columns(const std::string& file, const ExplainModels& models, const RunModel* entry = nullptr) {
  ColumnSelection selection;
  select_raw(models.cleaning, models.columns,
             models.cleaning.empty() ? std::vector<std::string>() : stream::column_names(file), selection);
  const std::string where = chosen_rows("", "", entry, selection);
  return read_all(*stream::open_source(file, selection, where));
}

/// A network with its scaling, on rows whose columns may be in another order and more than it takes.
class NetworkPredictor final : public Predictor {
 public:
  NetworkPredictor(Preprocessor scaler, std::unique_ptr<PowerPredictor> network,
                   const std::vector<std::string>& columns, const std::string& source)
      : model_{std::move(scaler), std::move(network), {}},
        predictor_(model_),
        inputs_(static_cast<std::int64_t>(columns.size())) {
    for (const std::string& name : model_.scaler.features.input_names()) {
      const auto at = std::find(columns.begin(), columns.end(), name);
      if (at == columns.end())
        throw ConfigError(
            fmt::format("the model of {} takes the column {}, which the density model does not have{}",
                        source, name, suggest_name(name, columns)));
      from_.push_back(at - columns.begin());
    }
    same_ = model_.scaler.features.input_names() == columns;
  }
  std::int64_t inputs() const override { return inputs_; }
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override {
    if (same_) return predictor_.predict(ctx, raw, y);
    predictor_.predict(ctx, picked(raw), y);
  }
  void predict_groups(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same,
                      TensorView y) const override {
    if (same_) return predictor_.predict_groups(ctx, raw, group, same, y);
    predictor_.predict_groups(ctx, picked(raw), group, picked(same), y);
  }
  std::unique_ptr<Predictor> on_device(Device device) const override {
    return predictor_.on_device(device, from_, inputs_);
  }
  GraphValue write(GraphWriter& graph, const GraphValue& raw) const {
    const GraphValue x = same_ ? raw : graph.op("Gather", {raw, graph.integers(from_)}, {{"axis", 1}});
    return io::write_power(model_.scaler, *model_.network)(graph, x);
  }

 private:
  /// The columns that the network takes, in its order.
  Tensor picked(ConstTensorView all) const {
    const auto width = static_cast<std::int64_t>(from_.size());
    Tensor x({all.rows(), width});
    for (std::int64_t r = 0; r < all.rows(); ++r)
      for (std::int64_t c = 0; c < width; ++c)
        x.ptr<float>()[r * width + c] =
            all.ptr<float>()[r * all.row_stride() + from_[static_cast<std::size_t>(c)]];
    return x;
  }

  PowerModel model_;
  PowerModelPredictor predictor_;
  std::int64_t inputs_;
  std::vector<std::int64_t> from_;
  bool same_ = true;
};

void load_density(const ModelChoice& choice, bool needed, ExplainModels& out) {
  if (!choice.emshap.empty()) {
    io::EmshapOnnxInfo info;
    out.density = io::load_emshap_onnx(choice.emshap, &info);
    out.cleaning = io::read_cleaning(info.more, choice.emshap);
    out.about["emshap"] = choice.emshap;
    out.about["emshap_hash"] = hash_file(choice.emshap);
  } else if (out.run && out.run->has(EmshapFiles::model)) {
    out.density = load_emshap(*out.run);
    out.cleaning = load_cleaning(*out.run, EmshapFiles::model);
    out.about["emshap"] = choice.run;
    out.about["emshap_hash"] = hash_file(out.run->path(EmshapFiles::checkpoint));
  }
  if (!out.density) {
    if (!needed) return;
    throw ConfigError(
        out.run ? fmt::format("{} has no EmSHAP model, expected one (emshap_train emshap), --emshap FILE or "
                              "another --method",
                              choice.run)
                : "there is no density model, expected --emshap FILE, --run RUN or another --method");
  }
  out.about["proposal"] = out.density->proposal;
  if (choice.energy != "auto") {
    if (choice.energy == "on" && out.density->model->energy() == nullptr)
      throw ConfigError("--energy on: the density model has no energy network, expected auto or off");
    out.density->model->use_energy(choice.energy == "on");
  }
  out.about["energy_used"] = out.density->model->energy_used() ? "true" : "false";
}

/// The columns of the rows: the density model's, or else those that f names, or else the user's.
void choose_columns(const ModelChoice& choice, std::vector<std::string> of_model, ExplainModels& out) {
  if (out.density) {
    out.columns = out.density->space.input_names();
  } else {
    out.columns = choice.columns.empty() ? std::move(of_model) : choice.columns;
  }
}

void take_network(std::unique_ptr<NetworkPredictor> network, ExplainModels& out) {
  out.write_f = [f = network.get()](GraphWriter& graph, const GraphValue& raw) {
    return f->write(graph, raw);
  };
  out.f = std::move(network);
}

/// The rows of both models are cleaned alike.
void take_cleaning(const Cleaning& of_f, ExplainModels& out) {
  out.cleaning = common_cleaning(&of_f, out.density ? &out.cleaning : nullptr);
}

void load_own_onnx(const ModelChoice& choice, ExplainModels& out) {
  io::OnnxPowerPredictor own = io::load_power_predictor(choice.model);
  take_cleaning(io::read_cleaning(own.info.more, choice.model), out);
  choose_columns(choice, own.preprocessor.features.input_names(), out);
  out.target = own.info.target;
  out.unit = own.info.target_unit;
  take_network(std::make_unique<NetworkPredictor>(std::move(own.preprocessor),
                                                  std::make_unique<PowerPredictor>(std::move(own.predictor)),
                                                  out.columns, choice.model),
               out);
}

void load_foreign(const ModelChoice& choice, ExplainModels& out) {
  io::OnnxPredictorOptions options;
  options.output = choice.output;
  options.class_name = choice.class_name;
  if (out.density) options.columns = out.density->space.input_names();
  if (!choice.columns.empty()) options.columns = choice.columns;
  auto f = std::make_unique<io::OnnxPredictor>(io::OnnxPredictor::load(choice.model, options));
  choose_columns(choice, f->columns(), out);
  if (out.columns.empty())
    throw ConfigError(fmt::format("{} does not name its {} columns, expected --features with their names",
                                  choice.model, f->inputs()));
  out.target = f->target();
  out.about["output"] = f->target();
  out.write_f = [f = f.get()](GraphWriter& graph, const GraphValue& raw) { return f->append_to(graph, raw); };
  out.f = std::move(f);
}

/// A power predictor of ours; whatever cannot be read here is for the other reader, which knows more files.
bool is_own(const std::string& path) {
  try {
    const io::OnnxModel file = io::OnnxModel::load(path);
    const auto kind = file.metadata().find("model");
    return kind != file.metadata().end() && kind->second == "power_predictor";
  } catch (const IoError&) {
    return false;
  }
}

void load_f(const ModelChoice& choice, ExplainModels& out) {
  if (!choice.model.empty()) {
    out.about["model"] = choice.model;
    out.about["model_hash"] = hash_file(choice.model);
    const bool own = is_own(choice.model);
    return own ? load_own_onnx(choice, out) : load_foreign(choice, out);
  }
  if (!out.run->has(PowerFiles::model))
    throw ConfigError(fmt::format(
        "{} has no power predictor to explain, expected one (emshap_train power) or --model FILE.onnx",
        choice.run));
  PowerModel model = load_power_model(*out.run);
  take_cleaning(load_cleaning(*out.run, PowerFiles::model), out);
  const RunModel& entry = out.run->model(PowerFiles::model);
  const auto unit = entry.notes.find("unit");
  out.unit = unit == entry.notes.end() ? "" : unit->second;
  out.target = model.target;
  out.about["model"] = choice.run;
  out.about["model_hash"] = hash_file(out.run->path(PowerFiles::checkpoint));
  choose_columns(choice, model.scaler.features.input_names(), out);
  take_network(std::make_unique<NetworkPredictor>(std::move(model.scaler), std::move(model.network),
                                                  out.columns, choice.run),
               out);
}

Tensor read_background(const std::string& file, const ExplainModels& models) {
  const std::vector<std::string>& columns = models.columns;
  if (fs::path(file).extension() != ".npy") {
    const Table table = replay(models.cleaning, read_columns(file, models), nullptr);
    return report::features_by_name(table, all_rows(table), columns);
  }
  Tensor rows = read_npy(file);
  if (rows.dtype() != DType::f32 || rows.shape().rank() != 2 ||
      rows.cols() != static_cast<std::int64_t>(columns.size()))
    throw DataError(fmt::format("{}: expected float32 rows of the {} columns of the model, got shape {}",
                                file, columns.size(), rows.shape().str()));
  return rows;
}

/// Features as the model of the run sees them.
std::vector<std::string> features_of(const RunDirectory& run, const char* model) {
  const Cleaning cleaning = load_cleaning(run, model);
  return cleaning.empty() ? run.model(model).features : cleaning.output_names();
}

void load_background(const ModelChoice& choice, ExplainModels& out) {
  out.background_from = choice.background;
  if (!choice.background.empty()) {
    out.background = read_background(choice.background, out);
    return;
  }
  if (!out.run)
    throw ConfigError(
        "ONNX files hold no background rows; expected --background FILE with rows of the training data, or "
        "--run RUN for its background");
  // Columns of the two may stand in another order.
  for (const auto& [model, name] : {std::pair{EmshapFiles::model, EmshapFiles::background},
                                    std::pair{PowerFiles::model, PowerFiles::background}}) {
    if (!out.run->has(model) || features_of(*out.run, model) != out.columns) continue;
    out.background = read_background(out.run->verified(name).string(), out);
    out.background_from = out.run->path(name).string();
    return;
  }
  throw ConfigError(fmt::format("{} has no background rows of these columns, expected --background FILE",
                                out.run->folder().string()));
}

}  // namespace

void add_player_settings(Settings& s, const std::string& section, PlayerChoice& choice) {
  s.add(
      section, "players", choice.players,
      "What is attributed to: metric (with its lags and rolling values as one), feature; auto: metric where "
      "features were derived in training",
      one_of({"auto", "metric", "feature"}));
  s.add(section, "groups", choice.groups, "TOML file of groups of columns that are explained as one");
  s.add(section, "group-lags", choice.group_lags, "Explain x, x_lag1, x_lag2 ... as one");
}

Players choose_players(const PlayerChoice& choice, const Cleaning& cleaning,
                       const std::vector<std::string>& columns, const std::vector<bool>& modelled) {
  if (!choice.groups.empty() && choice.group_lags)
    throw ConfigError("--groups and --group-lags exclude each other");
  if (!choice.groups.empty()) return Players::from_file(choice.groups, columns, modelled);
  if (choice.group_lags) return Players::by_lag(columns, modelled);
  const std::vector<std::string> metrics = metrics_of(cleaning, columns);
  if (choice.players == "metric" && metrics.empty())
    throw ConfigError(
        "--players metric needs features that were derived from metrics in training, expected auto or "
        "feature");
  return metrics.empty() || choice.players == "feature" ? Players::single(columns, modelled)
                                                        : Players::by_metric(columns, metrics, modelled);
}

ExplainModels load_explain_models(const ModelChoice& choice, bool need_density, ProgressSink& sink) {
  if (choice.run.empty() && choice.model.empty())
    throw ConfigError("no model to explain; expected --run RUN or --model FILE.onnx");
  ExplainModels out;
  if (!choice.run.empty()) out.run = RunDirectory::open(choice.run);
  load_density(choice, need_density, out);
  load_f(choice, out);
  load_background(choice, out);
  std::int64_t incomplete = 0;
  for (std::int64_t r = 0; r < out.background.rows(); ++r) {
    const float* row = out.background.ptr<float>() + r * out.background.cols();
    incomplete += std::any_of(row, row + out.background.cols(), [](float x) { return std::isnan(x); });
  }
  if (incomplete > 0)
    sink.log(LogLevel::info, fmt::format("{} of {} background rows lack values and do not count for phi0",
                                         incomplete, out.background.rows()));
  return out;
}

Tensor training_rows(const ExplainModels& models, bool background_given, ProgressSink& sink) {
  if (background_given || !models.run) return models.background.clone();
  const RunDirectory& run = *models.run;
  const RunModel& entry = run.model(run.has(EmshapFiles::model) ? EmshapFiles::model : PowerFiles::model);
  try {
    Table table = read_columns(entry.data_path, models, &entry);
    if (table.provenance().data_hash == entry.data_hash) {
      const Split split = read_split(run.verified(EmshapFiles::split), table);
      const std::vector<std::int64_t> train = models.cleaning.kept(table, split.train);
      table = replay(models.cleaning, std::move(table), &split);
      return report::features_by_name(table, train, models.columns);
    }
  } catch (const Error&) {  // moved or changed: said below
  }
  sink.log(LogLevel::warning,
           fmt::format("the training data {} of {} is not there as it was; baselines are fitted on its {} "
                       "background rows",
                       entry.data_path, run.folder().string(), models.background.rows()));
  return models.background.clone();
}

}  // namespace emshap::app
