#include "emshap/train/feature_layout_of.h"

namespace emshap {

FeatureLayout feature_layout(const FeatureSpace& space) {
  FeatureLayout layout = FeatureLayout::numeric(space.features());
  const std::vector<FeatureColumn>& columns = space.columns();
  for (std::size_t t = 0; t < columns.size(); ++t) {
    if (columns[t].kind != FeatureKind::categorical) continue;
    layout.categories[t] = static_cast<std::int64_t>(columns[t].values.size());
    for (const double value : columns[t].values)
      layout.values.push_back(space.to_model(static_cast<std::int64_t>(t), value));
    layout.frequencies.insert(layout.frequencies.end(), columns[t].frequencies.begin(),
                              columns[t].frequencies.end());
  }
  layout.check();
  return layout;
}

}  // namespace emshap
