#pragma once
// An EmSHAP model that looks trained: columns of every kind, parameters away from their initial values.
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/data/feature_space.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "emshap/train/feature_layout_of.h"

namespace emshap::test {

struct SampleOptions {
  std::string proposal = "gru";
  FeatureTransform transform = FeatureTransform::standardise;
  bool categories = true;
  bool constant = true;  ///< a column that never varies, which the model leaves out
  EnergyForm form = EnergyForm::residual;
  int more = 0;            ///< further normal columns
  bool full_size = false;  ///< networks of the sizes that training takes by default
};

class SampleEmshap {
 public:
  FittedEmshap fitted;

  explicit SampleEmshap(const SampleOptions& options) : options_(options) {
    const Table table = training_table();
    std::vector<std::int64_t> rows(static_cast<std::size_t>(table.rows()));
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    FeatureSpaceOptions space;
    space.transform = options.transform;
    if (!options.categories) space.max_categories = 0;
    fitted.space = FeatureSpace::fit(table, rows, {}, space);
    make_model();
    fitted.proposal = options.proposal;
    fitted.energy_gain = .0123;
    fitted.energy_used = true;
    fitted.model->use_energy(true);
    fitted.seed = 42;
  }

  std::int64_t columns() const { return fitted.space.inputs(); }

  /// (count, columns) raw values without missing ones; the first rows of a longer draw are those of a shorter
  /// one.
  Tensor rows(std::int64_t count) const {
    Generator random({21, RandomPurpose::test});
    Tensor x({count, columns()});
    for (std::int64_t r = 0; r < count; ++r) {
      const std::vector<float> row = draw(random);
      std::copy(row.begin(), row.end(), x.ptr<float>() + r * columns());
    }
    return x;
  }
  /// (count, columns): nothing known, everything known, single columns, all but one, then random ones.
  Tensor masks(std::int64_t count) const {
    Generator random({22, RandomPurpose::test});
    const std::int64_t n = columns();
    Tensor mask({count, n});
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t c = 0; c < n; ++c) {
        const bool coin = random.uniform() < .5;
        const bool known = r == 0          ? false
                           : r == 1        ? true
                           : r < 2 + n     ? c == r - 2
                           : r < 2 + 2 * n ? c != r - 2 - n
                                           : coin;
        mask.ptr<float>()[r * n + c] = known ? 1.f : 0.f;
      }
    return mask;
  }
  /// Puts NaN (or infinity) in about half of the unknown entries.
  static void hide(Tensor& x, const Tensor& mask) {
    for (std::int64_t i = 0; i < x.elements(); ++i)
      if (mask.ptr<float>()[i] == 0 && i % 2 == 0)
        x.ptr<float>()[i] =
            i % 14 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }

 private:
  std::vector<float> draw(Generator& random) const {
    const double a = random.normal(), b = random.normal(), c = random.uniform();
    std::vector<double> row{50 + 3 * a,
                            std::exp(.5 * a + .5 * b),
                            std::floor(8 * c + a) / 4,
                            c < .3   ? 0.0
                            : c < .7 ? 1.0
                                     : 5.0,
                            1e4 * (a + b + random.normal()),
                            random.uniform() < .3 + .1 * c ? 2.0 : 4.0};
    for (int i = 0; i < options_.more; ++i) row.push_back(.5 * a + random.normal());
    if (options_.constant) row.insert(row.begin() + 1, 7.0);
    return {row.begin(), row.end()};
  }

  Table training_table() const {
    constexpr int count = 600;
    Generator random({20, RandomPurpose::test});
    std::vector<ColumnSpec> schema;
    const std::size_t width = draw(random).size();
    for (std::size_t c = 0; c < width; ++c)
      schema.push_back({"column " + std::to_string(c), ColumnType::f32, ColumnRole::feature});
    Table table(schema);
    for (int r = 0; r < count; ++r) {
      const std::vector<float> row = draw(random);
      for (std::size_t c = 0; c < width; ++c) {
        if (c + 2 == width && r % 9 == 4) {  // the wide column has missing values
          table.columns()[c].push_missing();
        } else {
          table.columns()[c].push_f32(row[c]);
        }
      }
    }
    return table;
  }

  void make_model() {
    const std::int64_t features = fitted.space.features();
    const Tensor raw = rows(400);
    Tensor x({raw.rows(), features}), code({raw.rows(), features}, DType::i32);
    fitted.space.to_model(raw, x, {}, code);
    const GaussianBase base = GaussianBase::fit(x);
    const FeatureLayout layout = feature_layout(fitted.space);

    std::unique_ptr<TrainableProposal> proposal;
    if (options_.proposal == "gru") {
      SetGruOptions o;
      o.layout = layout;
      o.base = base;
      if (!options_.full_size) {
        o.hidden = 12;
        o.embedding = 5;
        o.components = 3;
      }
      proposal = std::make_unique<SetGru>(o);
    } else {
      MaskedMlpOptions o;
      o.layout = layout;
      o.base = base;
      if (!options_.full_size) {
        o.hidden = 16;
        o.components = 2;
      }
      proposal = std::make_unique<MaskedMlp>(o);
    }
    EnergyNetworkOptions e;
    e.features = features;
    e.context = proposal->context_width();
    e.form = options_.form;
    if (!options_.full_size) e.hidden = 10;
    auto energy = std::make_unique<EnergyNetwork>(e);
    disturb(proposal->store());
    disturb(energy->store());
    fitted.model = std::make_unique<EmshapModel>(std::move(proposal), std::move(energy), true);
  }

  static void disturb(ParameterStore& store) {
    Generator random({23, RandomPurpose::test});
    for (const ParameterStore::Entry& entry : store.parameters()) {
      const ParameterId id = store.find(entry.name);
      std::vector<double> values = store.get(id);
      const double sd = entry.shape.rank() > 1 ? .5 / std::sqrt(static_cast<double>(entry.shape[0])) : .2;
      for (double& v : values) v += sd * random.normal();
      store.set(id, values);
    }
  }

  SampleOptions options_;
};

}  // namespace emshap::test
