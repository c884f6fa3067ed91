#pragma once
// The density model p(x_U | x_S) = q(x_U | x_S) exp(-g(x, m, h_S)) / Z(x_S, m) (residual form) or exp(-E) / Z
// (absolute form), with Z by importance sampling from the proposal q. All in model space.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/models/energy_network.h"
#include "emshap/models/proposal.h"
#include "emshap/ops/draw_noise.h"

namespace emshap {

struct SamplingOptions {
  std::int64_t draws = 1000;  ///< K
  DrawMode mode = DrawMode::autoregressive;
  DrawNoise noise = DrawNoise::sobol;
  RandomKey key{.seed = 42, .purpose = RandomPurpose::proposal};
};

using ops::fill_draw_noise;

/// What is asked of the model: rows, what is known of each, and what is to be predicted.
struct ModelQuery {
  FeatureRows rows;        ///< (B, F)
  ConstTensorView mask;    ///< (B, F): 1 = known
  ConstTensorView target;  ///< (B, F): 1 = value given, to be predicted; empty: everything unknown. Features
                           ///< that are neither known nor target are missing: they take no part, and the
                           ///< energy sees 0 in their place, as in training.
  std::span<const std::int64_t> numbers;  ///< (B): the rows' numbers in the data set, for the noise; empty:
                                          ///< 0..B-1
};

/// One entry a row.
struct DensityScores {
  std::vector<double> log_density;  ///< log p(x_U | x_S): density of numeric, mass of categorical features
  std::vector<double> log_q;        ///< of the proposal alone
  std::vector<double> energy;       ///< g (or E) of the row itself; 0 without an energy network
  std::vector<double> log_z;        ///< 0 without the energy; the absolute form's log int exp(-E)
  std::vector<double> log_z_error;  ///< its standard error
  std::vector<double> effective;    ///< effective sample size of the K draws; K without the energy
};

/// Noise and order from outside, for draws() below.
struct GivenNoise {
  std::int64_t draws = 0;               ///< K
  ConstTensorView uniforms;             ///< (K, F) shared by all rows, or (B K, F): see Proposal::draw
  std::span<const std::int64_t> order;  ///< (F) in which unknown features are generated; empty: ascending
};

/// K completions of each row with weights.
struct WeightedDraws {
  Draws draws;
  Tensor weights;  ///< (B, K), sum 1 a row: equal without the energy
  Tensor energy;   ///< (B K): g (or E) of the completions; 0 without an energy network
  Tensor summary;  ///< (B, 3): log Z, effective sample size, standard error of log Z
};

/// (B, F), known features: their value and 0.
struct ConditionalMoments {
  Tensor mean, sd;
};

/// Joins a proposal with an energy network. Functions taking a Context work on the rows given, alone, tile by
/// tile: memory is bounded by tiles of rows and draws. Those taking a TeamPool share the rows out. Results
/// are the same for any cut of the rows and any number of threads.
class EMSHAP_API EmshapModel {
 public:
  /// `energy` may be null; then, or with `energy_used` false, p = q. Throws ConfigError when the two do not
  /// fit together (features, context width, element type).
  EmshapModel(std::unique_ptr<Proposal> proposal, std::unique_ptr<EnergyNetwork> energy, bool energy_used);

  const Proposal& proposal() const { return *proposal_; }
  Proposal& proposal() { return *proposal_; }
  const EnergyNetwork* energy() const { return energy_.get(); }
  EnergyNetwork* energy() { return energy_.get(); }
  bool energy_used() const { return energy_used_ && energy_ != nullptr; }
  void use_energy(bool used) { energy_used_ = used; }
  std::int64_t features() const { return proposal_->layout().features(); }

  /// log p(x_U | x_S) with log Z from options.draws completions (any number; worked off in chunks). The
  /// energy counts when `with_energy` is true and there is a network, whatever energy_used() says, so that
  /// both can be compared. In one-shot mode q is the product of the q(x_t | x_S). Entries of x that are
  /// unknown are read only where they are targets.
  DensityScores log_density(Context& ctx, const ModelQuery& query, const SamplingOptions& options,
                            bool with_energy) const;
  DensityScores log_density(TeamPool& pool, const ModelQuery& query, const SamplingOptions& options,
                            bool with_energy) const;

  /// K weighted completions of each row, missing features included; the caller bounds B K. Weights count the
  /// energy if energy_used(); energies are there whenever there is a network.
  void draw(Context& ctx, const ModelQuery& query, const SamplingOptions& options, WeightedDraws& out) const;

  /// The same by given noise. Without energy_used() the energy network does not run, the weights are equal
  /// and `energy` and `summary` are left empty. Nothing is allocated once `out` and the context have their
  /// memory, but for rows that lack features. Throws ConfigError for another than the ascending order
  /// together with the energy's weights.
  void draw(Context& ctx, const ModelQuery& query, const GivenNoise& noise, WeightedDraws& out) const;

  /// E[x_t | x_S] and its standard deviation from weighted draws. A categorical feature's values are its
  /// categories' values in model space.
  void moments(Context& ctx, const ModelQuery& query, const SamplingOptions& options,
               ConditionalMoments& out) const;
  void moments(TeamPool& pool, const ModelQuery& query, const SamplingOptions& options,
               ConditionalMoments& out) const;
  /// Those of the proposal's q(x_t | x_S) in closed form, without draws and energy.
  void proposal_moments(Context& ctx, const ModelQuery& query, ConditionalMoments& out) const;
  void proposal_moments(TeamPool& pool, const ModelQuery& query, ConditionalMoments& out) const;

  /// g (or E) of the rows themselves, (B), all of whose entries but missing ones count; 0 without an energy
  /// network.
  std::vector<double> energies(Context& ctx, const ModelQuery& query) const;
  std::vector<double> energies(TeamPool& pool, const ModelQuery& query) const;

 private:
  std::unique_ptr<Proposal> proposal_;
  std::unique_ptr<EnergyNetwork> energy_;
  bool energy_used_ = false;
};

}  // namespace emshap
