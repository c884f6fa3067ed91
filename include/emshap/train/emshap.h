#pragma once
// Training of the EmSHAP model, from a data source to a run folder: first the proposal, by likelihood over
// all sizes of coalitions; then, beside the frozen proposal, the energy network. Last, the gate: the energy's
// weights are used only where they raise the held-out likelihood. ONNX and plots are made by the app.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/source.h"
#include "emshap/data/split.h"
#include "emshap/models/energy_network.h"
#include "emshap/ops/energy_loss.h"
#include "emshap/train/fitted_emshap.h"
#include "emshap/train/masking.h"
#include "emshap/train/trainer.h"

namespace emshap {

enum class ProposalChoice : std::uint8_t {
  gru,        ///< the order-agnostic GRU over sets
  mlp,        ///< the masked MLP
  automatic,  ///< both are trained; the better held-out CRPS is kept
};
EMSHAP_API ProposalChoice parse_proposal_choice(const std::string& name);
EMSHAP_API const char* to_string(ProposalChoice choice);

struct EmshapOptions {
  SplitOptions split;  ///< its seed is set from `seed`
  CleaningOptions cleaning;
  FeatureSpaceOptions space;
  ProposalChoice proposal = ProposalChoice::gru;
  std::int64_t hidden = 0;      ///< H; 0: 64 (gru), 128 (mlp)
  std::int64_t embedding = 16;  ///< E, of the gru
  std::int64_t components = 5;  ///< C
  MaskingOptions masking;
  /// Of the proposal. A learning rate of 0: 3e-3 (gru), 2e-3 (mlp); a weight decay of 0: none (gru), min(1,
  /// 1000 / rows) (mlp); neither epochs nor max_steps: see
  /// default_steps; validate_every 0: `validations` of them.
  StageOptions training;
  EnergyNetworkOptions energy;  ///< its features, context and seed are set
  EnergyLoss energy_loss = EnergyLoss::binary_nce;
  std::int64_t energy_draws = 16;  ///< completions of each row and step, by the proposal
  /// Of the energy. Neither epochs nor max_steps: a quarter of the proposal's steps, 4,000 at most.
  StageOptions energy_training;
  std::int64_t validations = 75;   ///< over the whole of the proposal's stage
  std::int64_t gate_draws = 1000;  ///< K of the held-out likelihood that decides about the energy
  double gate_gain = .01;  ///< what the energy must add, in nat per unknown feature, and more than twice its
                           ///< standard error
  std::int64_t background = 1000;  ///< training rows kept in emshap_background.npy
  std::uint64_t seed = 42;
  double checkpoint_seconds = 60;
  /// Threads for what a training on a GPU leaves to the CPU: validation, completions of rows and the gate. 0:
  /// all processors.
  int host_threads = 0;

  EMSHAP_API EmshapOptions();  ///< the defaults that the app shows
};

/// min(max(300 ceil(rows / 128), 10000), 60000)
EMSHAP_API std::int64_t default_steps(std::int64_t training_rows);

/// Data ready to be trained on.
struct EmshapJob {
  EmshapOptions options;
  Table table;  ///< cleaned
  Split split;  ///< as in split.csv
  Cleaning cleaning;
  CleaningReport cleaned;
  /// Rows of the split that have at least one value; of the training rows, those not dropped as outliers.
  std::vector<std::int64_t> train, validation, test;
  FeatureSpace space;
  /// What the user should know about the data: transform, ties, categories, dropped columns, skipped rows.
  std::vector<std::pair<LogLevel, std::string>> messages;
};

/// What the energy adds on held-out (row, mask) pairs; per unknown feature, in nat of model space.
struct EmshapGate {
  std::int64_t pairs = 0;      ///< 0: there were no validation rows, the energy is not used
  double proposal_ll = 0;      ///< mean log q(x_U | x_S)
  double full_ll = 0;          ///< mean log p(x_U | x_S), K = gate_draws
  double gain = 0;             ///< full_ll - proposal_ll
  double gain_error = 0;       ///< its standard error; the pairs of one row count as one
  double effective_share = 0;  ///< mean effective sample size / K
  bool used = false;
};

struct EmshapResult {
  FittedEmshap fitted;
  History history;
  std::vector<StageResult> stages;
  /// Held-out CRPS in model space of each proposal trained, by stage; one entry unless `automatic`.
  std::vector<std::pair<std::string, double>> crps;
  EmshapGate gate;
};

/// Reads the source, splits it, cleans it and fits the feature space on its training rows. With
/// `split_file`, rows are split as that file says (the split of a power run in the same folder); with
/// `fitted_cleaning`, columns are cleaned as that file says, with which options.cleaning must agree. Rows
/// without any value are left out and reported. Throws DataError, IoError, ConfigError.
EMSHAP_API EmshapJob prepare_emshap(Source& source, const EmshapOptions& options,
                                    const std::filesystem::path& split_file = {},
                                    const std::filesystem::path& fitted_cleaning = {});

/// Trains both stages on the pool's device; the model returned lies in host memory. With `run`, writes the
/// files of EmshapFiles but ONNX, log and plots and lists them in the manifest, whose model entry keeps the
/// status "training" until finish_emshap. With `resume`, continues from the run's checkpoint; throws IoError
/// when that belongs to other data or another model. Throws NumericalError naming stage, epoch and step of a
/// loss that is not finite.
EMSHAP_API EmshapResult train_emshap(const EmshapJob& job, TeamPool& pool, RunDirectory* run = nullptr,
                                     bool resume = false, const std::string& config_toml = {},
                                     ProgressSink& sink = null_sink(), const StopToken* stop = nullptr);

/// The model of a matrix, without files: raw rows (n, columns.size()) f32, missing values NaN, which are
/// split as options.split says (training, validation, test). Throws as prepare_emshap and train_emshap do.
EMSHAP_API FittedEmshap fit_emshap(const std::vector<std::string>& columns, ConstTensorView rows,
                                   const EmshapOptions& options, TeamPool& pool,
                                   ProgressSink& sink = null_sink(), const StopToken* stop = nullptr);

/// Lists the files made by the app and marks the model as finished.
EMSHAP_API void finish_emshap(RunDirectory& run, const std::vector<std::string>& files);

}  // namespace emshap
