#pragma once
// What an EmSHAP model is made of beside its weights, as text; and models made from it.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emshap/models/emshap_model.h"
#include "emshap/models/gaussian_base.h"

namespace emshap {

inline constexpr const char* energy_stage = "energy";
/// "proposal", or "proposal_<kind>" where several are trained.
std::string proposal_stage(std::size_t trained, const std::string& kind);

/// Engine and sizes of a proposal.
struct ProposalSpec {
  std::string kind;  ///< "gru" or "mlp"
  std::int64_t hidden = 0, components = 0;
  std::int64_t embedding = 0;  ///< gru
  std::int64_t blocks = 0;     ///< mlp
  std::uint64_t seed = 0;
};
ProposalSpec spec_of(const Proposal& proposal);

struct EmshapArchitecture {
  std::vector<ProposalSpec> proposals;  ///< several while the choice between them is open
  EnergyNetworkOptions energy;          ///< its context is that of the proposal chosen
  FeatureLayout layout;
  GaussianBase base;
  std::string space_hash;

  std::string text() const;
  /// Throws IoError.
  static EmshapArchitecture parse(const std::string& text);

  const ProposalSpec& spec(const std::string& kind) const;  ///< throws IoError
  std::unique_ptr<TrainableProposal> make_proposal(const std::string& kind, DType dtype, Device device) const;
  /// With initial weights; the energy is not used. Its network lies where the proposal does, unless said.
  std::unique_ptr<EmshapModel> make_model(std::unique_ptr<Proposal> proposal,
                                          std::optional<Device> energy = {}) const;
};

}  // namespace emshap
