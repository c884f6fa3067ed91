#pragma once
#include <memory>
#include <string>

#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"

namespace emshap {

enum class ProposalKind : std::uint8_t {
  gru,  ///< models/set_gru.h
  mlp,  ///< models/masked_mlp.h
};
/// Parses "gru" or "mlp". Throws ConfigError.
EMSHAP_API ProposalKind parse_proposal_kind(const std::string& name);
EMSHAP_API const char* to_string(ProposalKind kind);

/// What both engines need; 0 stands for the engine's default.
struct ProposalOptions {
  ProposalKind kind = ProposalKind::gru;
  FeatureLayout layout;
  GaussianBase base;
  std::int64_t hidden = 0;      ///< 64 (gru) or 128 (mlp)
  std::int64_t embedding = 0;   ///< of the gru, 16
  std::int64_t components = 0;  ///< 5
  std::uint64_t seed = 42;
};

/// Throws ConfigError for options out of range.
EMSHAP_API std::unique_ptr<TrainableProposal> make_proposal(const ProposalOptions& options,
                                                            DType dtype = DType::f32, Device device = {});

}  // namespace emshap
