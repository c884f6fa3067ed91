#include "emshap/models/set_gru.h"

#include <cmath>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/ops/linear.h"
#include "models/set_gru_impl.h"

namespace emshap {
namespace {

void check_options(const SetGruOptions& o) {
  o.layout.check();
  if (o.hidden < 1 || o.embedding < 1 || o.components < 1)
    throw ConfigError(
        fmt::format("the set-GRU has {} hidden units, an embedding of {} and {} components, expected at "
                    "least 1",
                    o.hidden, o.embedding, o.components));
  if (o.sampled_pairs < 1)
    throw ConfigError(
        fmt::format("the set-GRU samples {} pairs a row, expected at least 1", o.sampled_pairs));
  const std::int64_t F = o.layout.features();
  if (o.base.features() != F || static_cast<std::int64_t>(o.base.covariance.size()) != F * F)
    throw ConfigError(
        fmt::format("the set-GRU has {} features, but its Gaussian base {}", F, o.base.features()));
}

/// A tensor of this type with these values.
Tensor rounded(const std::vector<double>& values, DType dtype) {
  Tensor t({static_cast<std::int64_t>(values.size())}, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) t.ptr<float>()[i] = static_cast<float>(values[i]);
    if (dtype == DType::f64) t.ptr<double>()[i] = values[i];
  }
  return t;
}

/// Draws a parameter's values; its index separates it from the others.
class Initialiser {
 public:
  Initialiser(ParameterStore& store, std::uint64_t seed) : store_(store), seed_(seed) {}
  void normal(ParameterId id, double sd) const {
    fill(id, [&](Generator& random) { return sd * random.normal(); });
  }
  void uniform(ParameterId id, double bound) const {
    fill(id, [&](Generator& random) { return bound * (2 * random.uniform() - 1); });
  }
  void constant(ParameterId id, double value) const {
    fill(id, [&](Generator&) { return value; });
  }

 private:
  template <class Next>
  void fill(ParameterId id, const Next& next) const {
    Generator random({.seed = seed_,
                      .purpose = RandomPurpose::initialisation,
                      .layer = static_cast<std::uint32_t>(id.index)});
    std::vector<double> values(static_cast<std::size_t>(store_.value(id).elements()));
    for (double& v : values) v = next(random);
    store_.set(id, values);
  }
  ParameterStore& store_;
  std::uint64_t seed_;
};

}  // namespace

SetGru::SetGru(const SetGruOptions& options, DType dtype, Device device)
    : options_(options), impl_(std::make_unique<Impl>()) {
  check_options(options);
  const std::int64_t F = options.layout.features(), V = options.layout.total_categories();
  const std::int64_t H = options.hidden, E = options.embedding, C = options.components;
  Impl::Ids& id = impl_->id;
  id.scale = store_.add("token.scale", {F, E}, Decay::yes);
  id.shift = store_.add("token.shift", {F + V, E}, Decay::no);
  id.weight_ih = store_.add("gru.weight_ih", {E, 3 * H}, Decay::yes);
  id.weight_hh = store_.add("gru.weight_hh", {H, 3 * H}, Decay::yes);
  id.bias_ih = store_.add("gru.bias_ih", {3 * H}, Decay::no);
  id.bias_hh = store_.add("gru.bias_hh", {3 * H}, Decay::no);
  id.start = store_.add("start", {H}, Decay::no);
  id.state = store_.add("head.state", {H, H}, Decay::yes);
  id.moments = store_.add("head.moments", {2, H}, Decay::yes);
  id.feature = store_.add("head.feature", {F, H}, Decay::no);
  id.hidden = store_.add("head.hidden", {H, H}, Decay::yes);
  id.mixture = store_.add("head.mixture", {H, 3 * C}, Decay::yes);
  id.mixture_bias = store_.add("head.mixture_bias", {3 * C}, Decay::no);
  if (V > 0) {
    id.category = store_.add("head.category", {H, V}, Decay::yes);
    id.category_bias = store_.add("head.category_bias", {V}, Decay::no);
  }
  store_.allocate(dtype, device);

  const Initialiser init(store_, options.seed);
  const double of_hidden = 1 / std::sqrt(static_cast<double>(H));
  const double of_first = 1 / std::sqrt(static_cast<double>(H + 2));
  init.normal(id.scale, .5);
  init.normal(id.shift, .5);
  for (const ParameterId p : {id.weight_ih, id.weight_hh, id.bias_ih, id.bias_hh, id.hidden})
    init.uniform(p, of_hidden);
  init.constant(id.start, 0);
  init.uniform(id.state, of_first);
  init.uniform(id.moments, of_first);
  init.normal(id.feature, .3);
  init.uniform(id.mixture, .03 * of_hidden);
  std::vector<double> bias(static_cast<std::size_t>(3 * C), 0.0);
  for (std::int64_t c = 0; c < C; ++c) {
    const double place = C == 1 ? .5 : static_cast<double>(c) / static_cast<double>(C - 1);
    bias[static_cast<std::size_t>(C + c)] = .6 * place - .3;
    bias[static_cast<std::size_t>(2 * C + c)] = .54;  // softplus(.54) = 1
  }
  store_.set(id.mixture_bias, bias);
  if (V > 0) {
    init.uniform(id.category, .03 * of_hidden);
    std::vector<double> logs;
    for (const double f : options.layout.frequencies) logs.push_back(std::log(f));
    store_.set(id.category_bias, logs);
  }

  impl_->offsets = options.layout.offsets();
  impl_->offset_table = to_device(
      Tensor::from(std::vector<std::int32_t>(impl_->offsets.begin(), impl_->offsets.end()), {F + 1}), device);
  impl_->mean = to_device(Tensor::from(options.base.mean, {F}), device);
  impl_->covariance = to_device(Tensor::from(options.base.covariance, {F, F}), device);
  impl_->values = to_device(rounded(options.layout.values, dtype), device);
  impl_->frequencies = to_device(rounded(options.layout.frequencies, dtype), device);
}

SetGru::~SetGru() = default;

SetGruTokens make_tokens(Context& ctx, const ParameterStore& store, const SetGru::Impl::Ids& id) {
  const auto shift = store.value(id.shift), scale = store.value(id.scale), w = store.value(id.weight_ih);
  const SetGruTokens t{scratch(ctx, {scale.rows(), w.cols()}, store.dtype()),
                       scratch(ctx, {shift.rows(), w.cols()}, store.dtype())};
  ops::linear_forward(ctx, scale, w, {}, Activation::identity, t.wa);
  ops::linear_forward(ctx, shift, w, store.value(id.bias_ih), Activation::identity, t.wb);
  return t;
}

void check_rows(const char* what, const FeatureLayout& layout, const FeatureRows& rows, DType dtype) {
  const std::int64_t F = layout.features();
  if (rows.x.cols() != F || rows.x.shape().rank() != 2)
    throw ShapeError(fmt::format("{}: x has shape {}, expected (rows, {}) because the model has {} features",
                                 what, rows.x.shape().str(), F, F));
  if (rows.x.dtype() != dtype)
    throw DTypeError(fmt::format("{}: x holds {}, expected {} as the model", what, to_string(rows.x.dtype()),
                                 to_string(dtype)));
  const bool given = rows.code.data() != nullptr && rows.code.cols() == F;
  if (rows.x.rows() == 0 || (rows.code.elements() == 0 && layout.total_categories() == 0)) return;
  if (!given || rows.code.rows() != rows.x.rows() || rows.code.dtype() != DType::i32)
    throw ShapeError(
        fmt::format("{}: code has shape {}, expected {} of i32 because there are categorical "
                    "features",
                    what, rows.code.shape().str(), rows.x.shape().str()));
}

void check_mask(const char* what, const char* name, const FeatureRows& rows, const ConstTensorView& mask) {
  if (mask.rows() != rows.x.rows() || mask.cols() != rows.x.cols())
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} as x", what, name, mask.shape().str(),
                                 rows.x.shape().str()));
  if (mask.dtype() != rows.x.dtype())
    throw DTypeError(fmt::format("{}: {} holds {}, expected {} as x", what, name, to_string(mask.dtype()),
                                 to_string(rows.x.dtype())));
}

}  // namespace emshap
