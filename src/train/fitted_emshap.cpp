#include "emshap/train/fitted_emshap.h"

#include <cstdlib>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/train/checkpoint.h"
#include "train/emshap_architecture.h"
#include "train/energy_task.h"

namespace emshap {

FittedEmshap::FittedEmshap() = default;
FittedEmshap::~FittedEmshap() = default;
FittedEmshap::FittedEmshap(FittedEmshap&&) noexcept = default;
FittedEmshap& FittedEmshap::operator=(FittedEmshap&&) noexcept = default;

FeatureRows ModelRows::view(std::int64_t begin, std::int64_t count) const {
  return {.x = x.view().rows(begin, count), .code = code.view().rows(begin, count)};
}

ModelRows ModelRows::exact(const FeatureSpace& space, ConstTensorView raw, DType dtype) {
  const Shape shape{raw.rows(), space.features()};
  ModelRows rows{Tensor(shape, dtype), Tensor(shape, dtype), Tensor(shape, DType::i32)};
  space.to_model(raw, rows.x, rows.observed, rows.code);
  return rows;
}

namespace {

void read_weights(const CheckpointReader& checkpoint, const std::string& stage, ParameterStore& store,
                  const std::string& file) {
  if (checkpoint.text(stage + ".layout") != store.layout())
    throw IoError(fmt::format("{}: the checkpoint's parameters do not fit its {} network", file, stage));
  checkpoint.read(stage + ".values", store.flat_values());
  checkpoint.read(stage + ".buffers", store.flat_buffers());
}

}  // namespace

FittedEmshap load_emshap(const RunDirectory& run) {
  const RunModel& entry = run.model(EmshapFiles::model);
  if (entry.status != "finished")
    throw IoError(
        fmt::format("{}: the training of the emshap model has not been finished; continue it with --resume",
                    run.folder().string()));
  const std::string file = run.verified(EmshapFiles::checkpoint).string();
  const CheckpointReader checkpoint(file);
  FittedEmshap fitted;
  const auto space_file = run.verified(EmshapFiles::space);
  fitted.space = FeatureSpace::from_json(read_file(space_file));
  const EmshapArchitecture architecture = [&] {
    try {
      return EmshapArchitecture::parse(checkpoint.text("architecture"));
    } catch (const IoError& e) {
      throw IoError(fmt::format("{}: {}", file, e.what()));
    }
  }();
  if (architecture.space_hash != fitted.space.hash() ||
      architecture.layout.features() != fitted.space.features())
    throw IoError(
        fmt::format("{}: the checkpoint belongs to another feature set than {}", file, space_file.string()));
  fitted.proposal = checkpoint.text(EnergyTask::proposal_section);
  auto proposal = architecture.make_proposal(fitted.proposal, DType::f32, Device{});
  read_weights(checkpoint, proposal_stage(architecture.proposals.size(), fitted.proposal), proposal->store(),
               file);
  fitted.model = architecture.make_model(std::move(proposal));
  read_weights(checkpoint, energy_stage, fitted.model->energy()->store(), file);
  const auto note = [&](const char* name) {
    const auto found = entry.notes.find(name);
    if (found == entry.notes.end())
      throw IoError(
          fmt::format("{}: the manifest's emshap model has no note '{}'", run.folder().string(), name));
    return found->second;
  };
  fitted.energy_used = note("energy_used") == "true";
  fitted.energy_gain = std::strtod(note("energy_gain").c_str(), nullptr);
  fitted.model->use_energy(fitted.energy_used);
  fitted.seed = entry.seed;
  return fitted;
}

}  // namespace emshap
