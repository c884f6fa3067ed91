#include "emshap/explain/drawn_values.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/for_blocks.h"
#include "data/draw_map.h"
#include "emshap/core/error.h"
#include "emshap/data/steps.h"
#include "emshap/ops/elementwise.h"
#include "explain/device_draws.h"
#include "explain/draw_plan.h"
#include "math/philox.h"

namespace emshap {
namespace {

constexpr std::int64_t completions_at_once = 4096;  // of a block: they stay in the L2 cache
constexpr std::int64_t device_completions_at_once = std::int64_t{1} << 16;  // some for each thread of a GPU

/// What a thread keeps from block to block and from call to call.
struct Lane {
  explicit Lane(Backend backend) : ctx(backend) {}
  Context ctx;
  std::unique_ptr<DeviceDraws> device;  // where a GPU draws
  DevicePredictions predicted;          // and predicts
  WeightedDraws drawn;
  Tensor x, mask, target, code;     // (pairs, F)
  Tensor raw;                       // (pairs, D), for a GPU
  Tensor noise;                     // independent noise of the pairs' draws
  Tensor completion, y, same;       // (pairs draws, D), (pairs draws, 1), (pairs, D)
  std::vector<std::int64_t> pairs;  // of the block
  std::vector<double> f, w;         // (pairs, K)
};

/// The explicands of a call in model space.
struct Points {
  Tensor x, observed, code;           // (B, F)
  std::vector<std::uint8_t> lacking;  // (B): 1 where values are missing
};

class DrawnValues final : public ValueFunction {
 public:
  DrawnValues(std::string name, const FeatureSpace& space, const EmshapModel& model, const Predictor& f,
              const DrawnValueOptions& options, const DeviceParts& on_device)
      : name_(std::move(name)),
        space_(space),
        model_(model),
        on_device_(on_device),
        f_(f),
        options_(options),
        weighted_(model.energy_used()),
        plan_(DrawPlan::make(model.features(), options, weighted_)),
        map_(space),
        F(space.features()),
        D(space.inputs()) {
    if (F != model.features())
      throw ConfigError(fmt::format("{}: the density model has {} features, expected {} as the feature space",
                                    name_, model.features(), F));
    if (f.inputs() != D)
      throw ConfigError(fmt::format("{}: the predictor takes {} columns, expected {} as the feature space",
                                    name_, f.inputs(), D));
    if (shared_noise()) {
      const SharedNoise noise = SharedNoise::make(F, options, weighted_);
      noise_ = Tensor({plan_.draws, F}, model.proposal().dtype());
      Context ctx;
      ops::copy(ctx, noise.uniforms, noise_);
    }
    if (on_device_.model != nullptr && on_device_.f != nullptr) {
      if (on_device_.f->inputs() != D)
        throw ConfigError(fmt::format("{}: the predictor of the device takes {} columns, expected {}", name_,
                                      on_device_.f->inputs(), D));
      device_map_ = map_.on_device(on_device_.model->proposal().device());
    }
    feature_.assign(static_cast<std::size_t>(D), -1);
    for (std::int64_t t = 0; t < F; ++t) feature_[static_cast<std::size_t>(map_.input(t))] = t;
    constant_.assign(static_cast<std::size_t>(D), std::numeric_limits<float>::quiet_NaN());
    if (const auto* dropped = space.pipeline().find<DropConstant>())
      for (std::size_t i = 0; i < dropped->dropped_names().size(); ++i) {
        const auto& names = columns();
        const auto at = std::find(names.begin(), names.end(), dropped->dropped_names()[i]) - names.begin();
        if (at < D)
          constant_[static_cast<std::size_t>(at)] = static_cast<float>(dropped->dropped_values()[i]);
      }
  }

  std::string name() const override { return name_; }
  const std::vector<std::string>& columns() const override { return space_.input_names(); }
  std::vector<bool> modelled() const override {
    std::vector<bool> out;
    for (const std::int64_t t : feature_) out.push_back(t >= 0);
    return out;
  }
  std::int64_t replicates() const override { return plan_.replicates; }
  bool shared_noise() const override { return options_.noise == ValueNoise::sobol; }
  std::int64_t evaluations() const override { return plan_.draws; }
  std::int64_t scratch_bytes() const override {
    const std::int64_t most = on_device_.model != nullptr ? device_completions_at_once : completions_at_once;
    const std::int64_t rows = std::max(most, plan_.draws);
    const std::int64_t width = 4 * F + 2 * D + 8 * model_.proposal().context_width() + 64;
    return std::max<std::int64_t>(1, std::thread::hardware_concurrency()) * rows * width *
           static_cast<std::int64_t>(sizeof(double));
  }

  void evaluate(TeamPool& pool, const Explicands& given, ConstTensorView masks, CoalitionValues& out,
                const StopToken* stop) const override {
    const std::int64_t B = given.raw.rows(), C = masks.rows();
    check(given, masks);
    Tensor filled;
    const Explicands rows{with_constants(given.raw, filled), given.numbers};
    out.ensure(B, C, plan_.replicates);
    out.shared_noise = shared_noise();
    const Points points = to_points(rows);
    std::atomic<std::int64_t> clamped{0}, drawn{0};
    for_blocks(pool, B * C, pairs_of_block(B * C, pool.threads()),
               [&](Context& ctx, std::int64_t begin, std::int64_t count) {
                 if (stop != nullptr && stop->stop_requested())
                   throw Interrupted(name_ + ": stopped between two blocks of coalitions");
                 const Borrowed lane(*this, ctx.backend());
                 Job job{rows, masks, points, *lane.lane, out, 0, 0};
                 for (const Kind kind : {Kind::known, Kind::complete, Kind::lacking})
                   run(job, kind, begin, count);
                 clamped += job.clamped;
                 drawn += job.drawn;
               });
    out.clamped = clamped;
    out.drawn = drawn;
  }

 private:
  /// A GPU takes large blocks, but never so large that threads have none to predict from.
  std::int64_t pairs_of_block(std::int64_t pairs, int threads) const {
    const auto of = [&](std::int64_t completions) {
      return std::max<std::int64_t>(1, completions / plan_.draws);
    };
    if (on_device_.model == nullptr) return of(completions_at_once);
    const std::int64_t shared_out = (pairs + 2 * threads - 1) / (2 * threads);
    return std::clamp(shared_out, of(completions_at_once), of(device_completions_at_once));
  }

  /// Pairs of a block that are worked off together.
  enum class Kind : std::uint8_t { known, complete, lacking };

  struct Job {
    const Explicands& rows;
    const ConstTensorView& masks;
    const Points& points;
    Lane& lane;
    CoalitionValues& out;
    std::int64_t clamped, drawn;
    std::int64_t explicand(std::int64_t pair) const { return pair / masks.rows(); }
    std::int64_t coalition(std::int64_t pair) const { return pair % masks.rows(); }
  };

  /// A lane that is this thread's for a while.
  struct Borrowed {
    Borrowed(const DrawnValues& values, Backend backend) : of(values) {
      const std::lock_guard lock(of.mutex_);
      for (auto& free : of.lanes_)
        if (free->ctx.backend() == backend) {
          lane = std::move(free);
          std::swap(free, of.lanes_.back());
          of.lanes_.pop_back();
          return;
        }
      lane = std::make_unique<Lane>(backend);
    }
    ~Borrowed() {
      const std::lock_guard lock(of.mutex_);
      of.lanes_.push_back(std::move(lane));
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    const DrawnValues& of;
    std::unique_ptr<Lane> lane;
  };

  void check(const Explicands& rows, const ConstTensorView& masks) const {
    if (rows.raw.cols() != D || rows.raw.dtype() != DType::f32)
      throw ShapeError(fmt::format("{}: the rows have shape {} of {}, expected {} columns of f32", name_,
                                   rows.raw.shape().str(), to_string(rows.raw.dtype()), D));
    if (masks.cols() != D || masks.dtype() != DType::f32)
      throw ShapeError(fmt::format("{}: the masks have shape {} of {}, expected {} columns of f32", name_,
                                   masks.shape().str(), to_string(masks.dtype()), D));
    if (!rows.numbers.empty() && static_cast<std::int64_t>(rows.numbers.size()) != rows.raw.rows())
      throw ShapeError(fmt::format("{}: there are {} row numbers, expected {}, one for each row", name_,
                                   rows.numbers.size(), rows.raw.rows()));
    for (std::int64_t b = 0; b < rows.raw.rows(); ++b)
      for (std::int64_t c = 0; c < D; ++c) {
        const float value = raw(rows, b)[c];
        const std::int64_t t = feature_[static_cast<std::size_t>(c)];
        const bool may_lack = t >= 0 ? space_.columns()[static_cast<std::size_t>(t)].may_be_missing
                                     : std::isfinite(constant_[static_cast<std::size_t>(c)]);
        if (std::isfinite(value) || (std::isnan(value) && may_lack)) continue;
        throw DataError(fmt::format("row {}, column '{}': the value is {}, expected a finite number{}",
                                    number(rows, b), columns()[static_cast<std::size_t>(c)],
                                    std::isnan(value) ? "missing" : "infinite",
                                    std::isnan(value) ? " since the training data never lack it" : ""));
      }
  }

  /// A column without a second value in training has it in rows that lack one, too: no feature, and f never
  /// sees NaN.
  ConstTensorView with_constants(ConstTensorView raw, Tensor& filled) const {
    for (std::int64_t c = 0; c < D; ++c) {
      if (feature_[static_cast<std::size_t>(c)] >= 0) continue;
      for (std::int64_t b = 0; b < raw.rows(); ++b) {
        if (!std::isnan(raw.ptr<float>()[b * raw.row_stride() + c])) continue;
        if (filled.elements() == 0) {
          filled = Tensor({raw.rows(), D});
          for (std::int64_t r = 0; r < raw.rows(); ++r)
            std::copy_n(raw.ptr<float>() + r * raw.row_stride(), D, filled.ptr<float>() + r * D);
        }
        filled.ptr<float>()[b * D + c] = constant_[static_cast<std::size_t>(c)];
      }
    }
    return filled.elements() == 0 ? raw : ConstTensorView(filled);
  }

  static const float* raw(const Explicands& rows, std::int64_t b) {
    return rows.raw.ptr<float>() + b * rows.raw.row_stride();
  }
  static std::int64_t number(const Explicands& rows, std::int64_t b) {
    return rows.numbers.empty() ? b : rows.numbers[static_cast<std::size_t>(b)];
  }

  Points to_points(const Explicands& rows) const {
    const std::int64_t B = rows.raw.rows();
    Points p;
    p.x = Tensor({B, F}, model_.proposal().dtype());
    p.observed = Tensor({B, F});
    p.code = Tensor({B, F}, DType::i32);
    space_.to_model(rows.raw, p.x, p.observed, p.code);
    for (std::int64_t b = 0; b < B; ++b) {
      bool lacks = false;
      for (std::int64_t t = 0; t < F; ++t) lacks |= p.observed.ptr<float>()[b * F + t] == 0;
      p.lacking.push_back(lacks ? 1 : 0);
    }
    return p;
  }

  bool known(const Job& job, std::int64_t pair, std::int64_t t) const {
    return job.masks.ptr<float>()[job.coalition(pair) * job.masks.row_stride() + map_.input(t)] > .5f &&
           job.points.observed.ptr<float>()[job.explicand(pair) * F + t] > .5f;
  }

  Kind kind_of(const Job& job, std::int64_t pair) const {
    bool all = true;
    for (std::int64_t t = 0; t < F && all; ++t) all = known(job, pair, t);
    if (all) return Kind::known;
    // Only the energy tells missing from unknown features.
    return weighted_ && job.points.lacking[static_cast<std::size_t>(job.explicand(pair))] != 0
               ? Kind::lacking
               : Kind::complete;
  }

  void run(Job& job, Kind kind, std::int64_t begin, std::int64_t count) const {
    Lane& lane = job.lane;
    lane.pairs.clear();
    for (std::int64_t p = begin; p < begin + count; ++p)
      if (kind_of(job, p) == kind) lane.pairs.push_back(p);
    if (lane.pairs.empty()) return;
    if (kind == Kind::known) return run_known(job);
    if (model_.proposal().dtype() == DType::f32)
      run_drawn<float>(job, kind == Kind::lacking);
    else
      run_drawn<double>(job, kind == Kind::lacking);
  }

  /// Nothing is unknown: f of the row itself.
  void run_known(Job& job) const {
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    lane.completion.ensure({n, D}, DType::f32);
    lane.y.ensure({n, 1}, DType::f32);
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(raw(job.rows, job.explicand(lane.pairs[static_cast<std::size_t>(i)])), D,
                  lane.completion.ptr<float>() + i * D);
    f_.predict(lane.ctx, lane.completion, lane.y);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t pair = lane.pairs[static_cast<std::size_t>(i)];
      job.out.value.ptr<double>()[pair] = lane.y.ptr<float>()[i];
      job.out.effective.ptr<double>()[pair] = std::numeric_limits<double>::infinity();
      std::fill_n(job.out.deviation.ptr<double>() + pair * plan_.replicates, plan_.replicates, 0.);
    }
  }

  template <class T>
  void run_drawn(Job& job, bool lacking) const {
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    const std::int64_t K = plan_.draws;
    fill_query<T>(job, lacking);
    lane.f.resize(static_cast<std::size_t>(n * K));
    lane.w.resize(static_cast<std::size_t>(n * K));
    for (const DrawPlan::Part& part : plan_.parts) {
      const ModelQuery query{.rows = {lane.x, lane.code},
                             .mask = lane.mask,
                             .target = lacking ? lane.target.view() : ConstTensorView(),
                             .numbers = {}};
      const GivenNoise noise{.draws = part.draws, .uniforms = uniforms(job, part), .order = part.order};
      const bool on_gpu = on_device_.model != nullptr && !lacking;
      if (on_gpu && lane.device == nullptr) lane.device = std::make_unique<DeviceDraws>(*on_device_.model);
      if (on_gpu && on_device_.f != nullptr) {
        predict_on_device(job, query, noise);
        keep<float>(lane, part, lane.predicted.y, lane.predicted.weights);
        continue;
      }
      if (on_gpu)
        lane.device->draw(query, noise, lane.drawn);
      else
        model_.draw(lane.ctx, query, noise, lane.drawn);
      complete<T>(job, part.draws);
      f_.predict_groups(lane.ctx, lane.completion, part.draws, lane.same, lane.y);
      keep<T>(lane, part, lane.y, lane.drawn.weights);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t pair = lane.pairs[static_cast<std::size_t>(i)];
      finish(lane.f.data() + i * K, lane.w.data() + i * K, pair, job.out);
      const double v = job.out.value.ptr<double>()[pair];
      if (!std::isfinite(v))
        throw NumericalError(fmt::format(
            "{}: the value of a coalition of row {} is {}, expected a finite number; its values may be too "
            "large for the energy's weights",
            name_, number(job.rows, job.explicand(pair)), v));
    }
  }

  /// The predictions and weights of a part of the draws.
  template <class T>
  void keep(Lane& lane, const DrawPlan::Part& part, const Tensor& y, const Tensor& weights) const {
    const std::int64_t K = plan_.draws;
    const T* w = weighted_ ? weights.ptr<T>() : nullptr;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(lane.pairs.size()); ++i)
      for (std::int64_t k = 0; k < part.draws; ++k) {
        const auto to = static_cast<std::size_t>(i * K + part.first + k);
        lane.f[to] = y.ptr<float>()[i * part.draws + k];
        lane.w[to] = weighted_ ? static_cast<double>(w[i * part.draws + k]) : 1;
      }
  }

  void predict_on_device(Job& job, const ModelQuery& query, const GivenNoise& noise) const {
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    lane.raw.ensure({n, D}, DType::f32);
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(raw(job.rows, job.explicand(lane.pairs[static_cast<std::size_t>(i)])), D,
                  lane.raw.ptr<float>() + i * D);
    lane.device->predict(query, noise, lane.raw, device_map_, *on_device_.f, lane.predicted);
    job.clamped += lane.predicted.clamped;
    const float* known = lane.mask.ptr<float>();
    job.drawn += noise.draws * std::count_if(known, known + n * F, [](float m) { return m <= .5f; });
    if (lane.predicted.not_numbers > 0) {  // the CPU names the feature
      lane.device->draw(query, noise, lane.drawn);
      complete<float>(job, noise.draws);
    }
    for (std::int64_t i = 0; i < n * noise.draws; ++i) {
      const float y = lane.predicted.y.ptr<float>()[i];
      if (!std::isfinite(y))
        throw NumericalError(fmt::format(
            "{}: the predictor gave {} for a completion of row {}, expected a finite number", name_, y,
            number(job.rows, job.explicand(lane.pairs[static_cast<std::size_t>(i / noise.draws)]))));
    }
  }

  template <class T>
  void fill_query(const Job& job, bool lacking) const {
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    const DType dtype = model_.proposal().dtype();
    lane.x.ensure({n, F}, dtype);
    lane.mask.ensure({n, F}, dtype);
    lane.target.ensure({lacking ? n : 0, F}, dtype);
    lane.code.ensure({n, F}, DType::i32);
    lane.same.ensure({n, D}, DType::f32);
    std::fill_n(lane.same.ptr<float>(), n * D, 1.f);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t pair = lane.pairs[static_cast<std::size_t>(i)], b = job.explicand(pair);
      std::copy_n(job.points.x.template ptr<T>() + b * F, F, lane.x.ptr<T>() + i * F);
      std::copy_n(job.points.code.template ptr<std::int32_t>() + b * F, F,
                  lane.code.ptr<std::int32_t>() + i * F);
      for (std::int64_t t = 0; t < F; ++t) {
        const bool is_known = known(job, pair, t);
        lane.mask.ptr<T>()[i * F + t] = is_known ? T(1) : T(0);
        if (!is_known) lane.same.ptr<float>()[i * D + map_.input(t)] = 0;
        if (lacking)
          lane.target.ptr<T>()[i * F + t] =
              !is_known && job.points.observed.template ptr<float>()[b * F + t] > .5f ? T(1) : T(0);
      }
    }
  }

  /// Shared (draws, F), or the pairs' own (pairs draws, F).
  ConstTensorView uniforms(const Job& job, const DrawPlan::Part& part) const {
    if (shared_noise()) return noise_.view().rows(part.first, part.draws);
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    lane.noise.ensure({n * part.draws, F}, model_.proposal().dtype());
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t pair = lane.pairs[static_cast<std::size_t>(i)];
      const std::int64_t row = number(job.rows, job.explicand(pair));
      ops::fill_draw_noise(lane.ctx, DrawNoise::independent,
                           {.seed = options_.seed,
                            .purpose = RandomPurpose::proposal,
                            .layer = independent_layer,
                            .step = hash_of(job, job.coalition(pair))},
                           std::span(&row, 1), part.first, part.draws,
                           lane.noise.view().rows(i * part.draws, part.draws));
    }
    return lane.noise;
  }

  /// Of the coalition's modelled columns, 64 a word.
  std::uint64_t hash_of(const Job& job, std::int64_t coalition) const {
    const float* mask = job.masks.ptr<float>() + coalition * job.masks.row_stride();
    std::uint64_t hash = static_cast<std::uint64_t>(F), word = 0;
    for (std::int64_t t = 0; t < F; ++t) {
      if (mask[map_.input(t)] > .5f) word |= std::uint64_t{1} << (t % 64);
      if (t % 64 < 63 && t + 1 < F) continue;
      hash = math::mix64(math::mix64(hash + 0x9E3779B97F4A7C15ull) ^ word);
      word = 0;
    }
    return hash;
  }

  /// Raw rows from the pairs' draws.
  template <class T>
  void complete(Job& job, std::int64_t draws) const {
    Lane& lane = job.lane;
    const auto n = static_cast<std::int64_t>(lane.pairs.size());
    lane.completion.ensure({n * draws, D}, DType::f32);
    lane.y.ensure({n * draws, 1}, DType::f32);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t pair = lane.pairs[static_cast<std::size_t>(i)];
      float* to = lane.completion.ptr<float>() + i * draws * D;
      for (std::int64_t k = 0; k < draws; ++k) std::copy_n(raw(job.rows, job.explicand(pair)), D, to + k * D);
      const T* x = lane.drawn.draws.x.ptr<T>() + i * draws * F;
      for (std::int64_t t = 0; t < F; ++t) {
        if (lane.mask.ptr<T>()[i * F + t] > T(.5)) continue;
        job.clamped += map_.to_raw(t, x + t, F, draws, to + map_.input(t), D);
        job.drawn += draws;
      }
    }
  }

  /// Value, effective sample size and error of one pair from its K predictions and weights.
  void finish(const double* f, const double* w, std::int64_t pair, CoalitionValues& out) const {
    const std::int64_t K = plan_.draws, G = plan_.replicates;
    // Differences to the first prediction: a constant f has its value exactly.
    double sum = 0, squares = 0, mean = 0;
    for (std::int64_t k = 0; k < K; ++k) {
      sum += w[k];
      squares += w[k] * w[k];
      mean += w[k] * (f[k] - f[0]);
    }
    const double v = f[0] + mean / sum;
    out.value.ptr<double>()[pair] = v;
    out.effective.ptr<double>()[pair] = weighted_ ? sum * sum / squares : static_cast<double>(K);
    double* d = out.deviation.ptr<double>() + pair * G;
    if (shared_noise()) {
      for (std::int64_t g = 0; g < G; ++g) {
        double part = 0;
        for (std::int64_t k = g * (K / G); k < (g + 1) * (K / G); ++k) part += w[k] * (f[k] - v);
        d[g] = G == 1 ? 0 : part / sum;
      }
      return;
    }
    double error = 0;
    for (std::int64_t k = 0; k < K; ++k) error += w[k] * w[k] * (f[k] - v) * (f[k] - v);
    d[0] = K == 1 ? std::numeric_limits<double>::quiet_NaN()
                  : std::sqrt(error * static_cast<double>(K) / static_cast<double>(K - 1)) / sum;
  }

  std::string name_;
  const FeatureSpace& space_;
  const EmshapModel& model_;
  const DeviceParts on_device_;
  const Predictor& f_;
  const DrawnValueOptions options_;
  const bool weighted_;
  const DrawPlan plan_;
  const DrawMap map_;
  DeviceDrawMap device_map_;
  const std::int64_t F, D;
  Tensor noise_;                       // (K, F), shared noise
  std::vector<std::int64_t> feature_;  // (D): -1 for dropped columns
  std::vector<float> constant_;        // (D): value of dropped columns, else NaN
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace

std::unique_ptr<ValueFunction> drawn_values(std::string name, const FeatureSpace& space,
                                            const EmshapModel& model, const Predictor& f,
                                            const DrawnValueOptions& options, const DeviceParts& on_device) {
  return std::make_unique<DrawnValues>(std::move(name), space, model, f, options, on_device);
}

}  // namespace emshap
