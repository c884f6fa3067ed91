#pragma once
// What emshap_explain explains with: the model f, the density model, and rows of the training data.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/settings.h"
#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/core/tensor.h"
#include "emshap/data/cleaning.h"
#include "emshap/explain/players.h"
#include "emshap/io/attribution_onnx.h"
#include "emshap/models/predictor.h"
#include "emshap/train/fitted_emshap.h"
#include "emshap/train/run_directory.h"

namespace emshap::app {

/// Where the models come from; see the options of the same names.
struct ModelChoice {
  std::string run, model, emshap, output, class_name, background;
  std::string energy = "auto";
  std::vector<std::string> columns;
};

struct ExplainModels {
  std::optional<RunDirectory> run;
  std::vector<std::string> columns;  ///< (D) of the rows that f and the density model take
  Cleaning cleaning;                 ///< of these rows
  std::unique_ptr<Predictor> f;
  io::WriteModel write_f;  ///< f as a graph; refers to f
  std::string target, unit;
  std::optional<FittedEmshap> density;
  std::map<std::string, std::string> about;  ///< of both models, for the results
  Tensor background;                         ///< (n, D) f32, missing values NaN
  std::string background_from;
};

/// See the options of the same names.
struct PlayerChoice {
  std::string players = "auto", groups;
  bool group_lags = false;
};
void add_player_settings(Settings& settings, const std::string& section, PlayerChoice& choice);
/// The players: groups of the file if one is named, else the metrics where features are derived from others,
/// else the features. Throws ConfigError for options that exclude each other.
Players choose_players(const PlayerChoice& choice, const Cleaning& cleaning,
                       const std::vector<std::string>& columns, const std::vector<bool>& modelled);

/// Loads them. With `need_density`, a model without one is an error. Throws ConfigError for options that do
/// not go together, a model that takes other columns than the density model has, and, naming --background,
/// where there are no background rows; else as the loaders do.
ExplainModels load_explain_models(const ModelChoice& choice, bool need_density, ProgressSink& sink);

/// All training rows of the run, if its data file is still what it was; else the background.
Tensor training_rows(const ExplainModels& models, bool background_given, ProgressSink& sink);

}  // namespace emshap::app
