#include "train/emshap_architecture.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "emshap/train/fitted_emshap.h"

namespace emshap {
namespace {

using Json = nlohmann::ordered_json;

const GaussianBase& base_of(const Proposal& proposal) {
  if (const auto* gru = dynamic_cast<const SetGru*>(&proposal)) return gru->options().base;
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(&proposal)) return mlp->options().base;
  throw ConfigError("the model's proposal is neither a set-GRU nor a masked MLP, so that it cannot be saved");
}

Json to_json(const ProposalSpec& p) {
  Json j = {{"kind", p.kind}, {"hidden", p.hidden}, {"components", p.components}};
  if (p.kind == "gru")
    j["embedding"] = p.embedding;
  else
    j["blocks"] = p.blocks;
  j["seed"] = p.seed;
  return j;
}

ProposalSpec spec_from(const Json& j) {
  ProposalSpec p;
  p.kind = j.at("kind").get<std::string>();
  if (p.kind != "gru" && p.kind != "mlp")
    throw IoError(fmt::format("the model has a proposal '{}', which this program does not know", p.kind));
  p.hidden = j.at("hidden").get<std::int64_t>();
  p.components = j.at("components").get<std::int64_t>();
  if (p.kind == "gru")
    p.embedding = j.at("embedding").get<std::int64_t>();
  else
    p.blocks = j.at("blocks").get<std::int64_t>();
  p.seed = j.at("seed").get<std::uint64_t>();
  return p;
}

Json to_json(const EnergyNetworkOptions& e) {
  return {{"form", to_string(e.form)},
          {"bound", e.bound},
          {"hidden", e.hidden},
          {"blocks", e.blocks},
          {"depth", e.depth},
          {"activation", to_string(e.activation)},
          {"seed", e.seed}};
}

EnergyNetworkOptions energy_from(const Json& j) {
  EnergyNetworkOptions e;
  e.form = parse_energy_form(j.at("form").get<std::string>());
  e.bound = j.at("bound").get<double>();
  e.hidden = j.at("hidden").get<std::int64_t>();
  e.blocks = j.at("blocks").get<int>();
  e.depth = j.at("depth").get<int>();
  e.activation = parse_activation(j.at("activation").get<std::string>());
  e.seed = j.at("seed").get<std::uint64_t>();
  return e;
}

}  // namespace

std::string proposal_stage(std::size_t trained, const std::string& kind) {
  return trained == 1 ? "proposal" : "proposal_" + kind;
}

ProposalSpec spec_of(const Proposal& proposal) {
  if (const auto* gru = dynamic_cast<const SetGru*>(&proposal)) {
    const SetGruOptions& o = gru->options();
    return {.kind = "gru",
            .hidden = o.hidden,
            .components = o.components,
            .embedding = o.embedding,
            .blocks = 0,
            .seed = o.seed};
  }
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(&proposal)) {
    const MaskedMlpOptions& o = mlp->options();
    return {.kind = "mlp",
            .hidden = o.hidden,
            .components = o.components,
            .embedding = 0,
            .blocks = o.blocks,
            .seed = o.seed};
  }
  base_of(proposal);  // throws
  return {};
}

std::string EmshapArchitecture::text() const {
  Json list = Json::array();
  for (const ProposalSpec& p : proposals) list.push_back(to_json(p));
  return Json{
      {"model", "emshap"},
      {"proposals", list},
      {"energy", to_json(energy)},
      {"layout",
       {{"categories", layout.categories}, {"values", layout.values}, {"frequencies", layout.frequencies}}},
      {"base", {{"mean", base.mean}, {"covariance", base.covariance}}},
      {"feature_space", space_hash}}
      .dump();
}

EmshapArchitecture EmshapArchitecture::parse(const std::string& text) {
  try {
    const Json j = Json::parse(text);
    if (const auto model = j.at("model").get<std::string>(); model != "emshap")
      throw IoError(fmt::format("the checkpoint is of a {} model, expected emshap", model));
    EmshapArchitecture a;
    for (const Json& p : j.at("proposals")) a.proposals.push_back(spec_from(p));
    a.energy = energy_from(j.at("energy"));
    a.layout.categories = j.at("layout").at("categories").get<std::vector<std::int64_t>>();
    a.layout.values = j.at("layout").at("values").get<std::vector<double>>();
    a.layout.frequencies = j.at("layout").at("frequencies").get<std::vector<double>>();
    a.base.mean = j.at("base").at("mean").get<std::vector<double>>();
    a.base.covariance = j.at("base").at("covariance").get<std::vector<double>>();
    a.space_hash = j.at("feature_space").get<std::string>();
    a.layout.check();
    const auto features = static_cast<std::size_t>(a.layout.features());
    if (a.proposals.empty() || a.base.mean.size() != features ||
        a.base.covariance.size() != features * features)
      throw IoError(fmt::format("the model's description does not fit its {} features", features));
    a.energy.features = a.layout.features();
    return a;
  } catch (const nlohmann::json::exception& e) {
    throw IoError(fmt::format("the model's description is damaged: {}", e.what()));
  } catch (const ConfigError& e) {
    throw IoError(fmt::format("the model's description is damaged: {}", e.what()));
  }
}

const ProposalSpec& EmshapArchitecture::spec(const std::string& kind) const {
  for (const ProposalSpec& p : proposals)
    if (p.kind == kind) return p;
  throw IoError(fmt::format("the model's description has no proposal '{}'", kind));
}

std::unique_ptr<TrainableProposal> EmshapArchitecture::make_proposal(const std::string& kind, DType dtype,
                                                                     Device device) const {
  const ProposalSpec& p = spec(kind);
  if (kind == "mlp") {
    MaskedMlpOptions o;
    o.layout = layout;
    o.base = base;
    o.hidden = p.hidden;
    o.blocks = static_cast<int>(p.blocks);
    o.components = p.components;
    o.seed = p.seed;
    return std::make_unique<MaskedMlp>(o, dtype, device);
  }
  SetGruOptions o;
  o.layout = layout;
  o.base = base;
  o.hidden = p.hidden;
  o.embedding = p.embedding;
  o.components = p.components;
  o.seed = p.seed;
  return std::make_unique<SetGru>(o, dtype, device);
}

std::unique_ptr<EmshapModel> EmshapArchitecture::make_model(std::unique_ptr<Proposal> proposal,
                                                            std::optional<Device> device) const {
  EnergyNetworkOptions e = energy;
  e.context = proposal->context_width();
  auto network = std::make_unique<EnergyNetwork>(e, proposal->dtype(), device.value_or(proposal->device()));
  return std::make_unique<EmshapModel>(std::move(proposal), std::move(network), false);
}

std::string emshap_architecture(const EmshapModel& model, const std::string& space_hash) {
  if (model.energy() == nullptr)
    throw ConfigError("the model has no energy network, so that it cannot be saved");
  EmshapArchitecture a;
  a.proposals = {spec_of(model.proposal())};
  a.energy = model.energy()->options();
  a.layout = model.proposal().layout();
  a.base = base_of(model.proposal());
  a.space_hash = space_hash;
  return a.text();
}

std::unique_ptr<EmshapModel> make_emshap_model(const std::string& architecture, DType dtype, Device device) {
  const EmshapArchitecture a = EmshapArchitecture::parse(architecture);
  if (a.proposals.size() != 1)
    throw IoError(fmt::format("the model's description has {} proposals, expected one", a.proposals.size()));
  return a.make_model(a.make_proposal(a.proposals.front().kind, dtype, device));
}

std::unique_ptr<EmshapModel> copy_to_device(const EmshapModel& model, Device device) {
  if (device.kind != DeviceKind::cpu && dynamic_cast<const SetGru*>(&model.proposal()) == nullptr)
    throw DeviceError(
        fmt::format("only the set-GRU draws on {}, the model's proposal is another; use --device cpu",
                    to_string(device)));
  auto copy = make_emshap_model(emshap_architecture(model, ""), model.proposal().dtype(), device);
  const auto& weights = dynamic_cast<const TrainableProposal&>(model.proposal()).store();
  dynamic_cast<TrainableProposal&>(copy->proposal()).store().copy_from(weights);
  copy->energy()->store().copy_from(model.energy()->store());
  copy->use_energy(model.energy_used());
  return copy;
}

std::string architecture_space_hash(const std::string& architecture) {
  return EmshapArchitecture::parse(architecture).space_hash;
}

}  // namespace emshap
