#include "emshap/models/proposal_factory.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"

namespace emshap {
namespace {

/// Copies what the caller has set; the engine's defaults stay for the rest.
template <class Options>
Options engine_options(const ProposalOptions& o) {
  Options options;
  options.layout = o.layout;
  options.base = o.base;
  options.seed = o.seed;
  if (o.hidden != 0) options.hidden = o.hidden;
  if (o.components != 0) options.components = o.components;
  return options;
}

}  // namespace

ProposalKind parse_proposal_kind(const std::string& name) {
  if (name == "gru") return ProposalKind::gru;
  if (name == "mlp") return ProposalKind::mlp;
  throw ConfigError(fmt::format("proposal '{}' is not known, expected gru or mlp", name));
}

const char* to_string(ProposalKind kind) {
  switch (kind) {
    case ProposalKind::gru:
      return "gru";
    case ProposalKind::mlp:
      return "mlp";
  }
  return "?";
}

std::unique_ptr<TrainableProposal> make_proposal(const ProposalOptions& o, DType dtype, Device device) {
  if (o.kind == ProposalKind::mlp)
    return std::make_unique<MaskedMlp>(engine_options<MaskedMlpOptions>(o), dtype, device);
  auto options = engine_options<SetGruOptions>(o);
  if (o.embedding != 0) options.embedding = o.embedding;
  return std::make_unique<SetGru>(options, dtype, device);
}

}  // namespace emshap
