#pragma once
// What writer and reader of the EmSHAP model's file share.
#include <bit>
#include <cstdint>
#include <string>

#include "emshap/data/feature_space.h"
#include "emshap/data/hash.h"
#include "emshap/models/emshap_model.h"

namespace emshap::io {

/// `visit` gets the proposal's store, then the energy network's.
template <class Visit>
void for_each_store(const EmshapModel& model, const Visit& visit) {
  if (const auto* proposal = dynamic_cast<const TrainableProposal*>(&model.proposal()))
    visit(proposal->store());
  if (model.energy() != nullptr) visit(model.energy()->store());
}

/// Of all parameters: names and exact values.
inline std::string weights_hash(const EmshapModel& model) {
  Hash64 hash;
  for_each_store(model, [&](const ParameterStore& store) {
    for (const ParameterStore::Entry& entry : store.parameters()) {
      hash.text(entry.name);
      hash.numbers(store.get(store.find(entry.name)));
    }
  });
  return hash.hex();
}

/// Throws ConfigError where the model's features are not those of the space.
void check_fit(const FeatureSpace& space, const FeatureLayout& layout);

}  // namespace emshap::io
