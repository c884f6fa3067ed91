#include "emshap/explain/explainer.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/for_blocks.h"
#include "emshap/core/error.h"
#include "explain/explainer_impl.h"

namespace emshap {
namespace {

constexpr std::int64_t predict_rows = 256;   // rows of f at once
constexpr std::int64_t exact_by_draws = 10;  // players up to which all coalitions are taken
constexpr std::int64_t exact_if_cheap = 13;  // ... where values are nearly free
constexpr std::int64_t cheap_evaluations = 16;
constexpr std::int64_t most_solvers = 64;     // patterns of missing values whose solver is kept ...
constexpr std::int64_t share_of_solvers = 8;  // ... in this part of the memory limit
constexpr std::int64_t share_of_rows = 4;     // of the limit that rows may take whatever the scratch memory

/// f at these raw rows (n, D).
std::vector<double> predict(TeamPool& pool, const Predictor& f, ConstTensorView raw) {
  std::vector<double> out(static_cast<std::size_t>(raw.rows()));
  for_blocks(pool, raw.rows(), predict_rows, [&](Context& ctx, std::int64_t begin, std::int64_t count) {
    Tensor y({count, 1});
    f.predict(ctx, raw.rows(begin, count), y);
    for (std::int64_t r = 0; r < count; ++r) {
      const float value = y.ptr<float>()[r];
      if (!std::isfinite(value))
        throw NumericalError(fmt::format("the model gave {} for a row, expected a finite number", value));
      out[static_cast<std::size_t>(begin + r)] = value;
    }
  });
  return out;
}

bool complete(ConstTensorView raw, std::int64_t r) {
  const float* row = raw.ptr<float>() + r * raw.row_stride();
  return std::none_of(row, row + raw.cols(), [](float x) { return std::isnan(x); });
}

Tensor select(ConstTensorView raw, const std::vector<std::int64_t>& rows) {
  Tensor out({static_cast<std::int64_t>(rows.size()), raw.cols()});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(raw.ptr<float>() + rows[i] * raw.row_stride(), raw.cols(),
                out.ptr<float>() + static_cast<std::int64_t>(i) * raw.cols());
  return out;
}

void check_players(const Players& players, std::int64_t columns) {
  if (players.inputs != columns || players.columns.size() != players.names.size())
    throw ConfigError(fmt::format("the players are made of {} columns, expected the {} of the value function",
                                  players.inputs, columns));
}

}  // namespace

Explainer::Explainer(const ValueFunction& values, const Predictor& f, Players players,
                     ConstTensorView background, const ExplainOptions& options, TeamPool& pool)
    : impl_(std::make_unique<Impl>(values, f, std::move(players), options)) {
  const auto columns = static_cast<std::int64_t>(values.columns().size());
  check_players(impl_->players, columns);
  if (f.inputs() != columns)
    throw ConfigError(
        fmt::format("the model takes {} columns, expected the {} of the density model's rows ({} ... {})",
                    f.inputs(), columns, values.columns().front(), values.columns().back()));
  if (options.budget < 0 || options.pilot_rows < 1 || options.most_coalitions < 4 ||
      !(options.tolerance > 0) || options.memory_limit < 1)
    throw ConfigError("the explainer's budget, pilot, tolerance or memory limit is out of range");
  if (background.cols() != columns)
    throw DataError(fmt::format("the background has {} columns, expected {}", background.cols(), columns));
  std::vector<std::int64_t> rows;
  for (std::int64_t r = 0; r < background.rows(); ++r)
    if (complete(background, r)) rows.push_back(r);
  if (rows.empty())
    throw DataError(fmt::format(
        "none of the {} background rows is complete, expected at least one for the mean of the model",
        background.rows()));
  double sum = 0;
  for (const double y : predict(pool, f, select(background, rows))) sum += y;
  impl_->phi0 = sum / static_cast<double>(rows.size());
}

Explainer::~Explainer() = default;

CoalitionStrategy Explainer::Impl::strategy() const {
  if (options.strategy) return *options.strategy;
  const std::int64_t most = values.evaluations() <= cheap_evaluations ? exact_if_cheap : exact_by_draws;
  return options.budget == 0 && players.size() <= most ? CoalitionStrategy::exact : CoalitionStrategy::kernel;
}

void Explainer::choose_coalitions(TeamPool& pool, ConstTensorView rows, ProgressSink& sink,
                                  const StopToken* stop) {
  const std::int64_t M = impl_->players.size();
  const CoalitionStrategy strategy = impl_->strategy();
  std::int64_t budget = impl_->options.budget;
  if (budget == 0 && (strategy == CoalitionStrategy::exact || M < 3))
    budget = std::int64_t{1} << std::min<std::int64_t>(M, 62);
  if (budget == 0) {
    impl_->set_coalitions(impl_->pilot(pool, rows, sink, stop));
  } else {
    impl_->set_coalitions(Coalitions::make(M, strategy, budget, impl_->options.seed));
  }
}

void Explainer::use_coalitions(Coalitions coalitions) {
  impl_->set_coalitions(std::move(coalitions));
}

void Explainer::Impl::set_coalitions(Coalitions chosen) {
  if (chosen.players != players.size())
    throw ConfigError(
        fmt::format("the coalitions are of {} players, expected {}", chosen.players, players.size()));
  const std::scoped_lock lock(mutex_);
  coalitions = std::move(chosen);
  solvers_.clear();
  inner_masks = players.masks(*coalitions, std::min<std::int64_t>(2, coalitions->size()),
                              std::max<std::int64_t>(0, coalitions->size() - 2));
}

std::shared_ptr<const ShapleySolver> Explainer::Impl::solver(const AbsentPattern& absent) const {
  const std::scoped_lock lock(mutex_);
  const auto found = solvers_.find(absent);
  if (found != solvers_.end()) return found->second;
  const std::int64_t bytes = coalitions->size() * (8 * players.size() + players.size() / 2 + 16);
  const std::int64_t kept = options.memory_limit / share_of_solvers / std::max<std::int64_t>(1, bytes);
  if (static_cast<std::int64_t>(solvers_.size()) >= std::clamp<std::int64_t>(kept, 1, most_solvers))
    solvers_.clear();
  std::vector<std::uint8_t> flags;
  if (absent.find('1') != AbsentPattern::npos)
    for (const char a : absent) flags.push_back(a == '1');
  auto made = std::make_shared<const ShapleySolver>(*coalitions, flags);
  solvers_.emplace(absent, made);
  return made;
}

const Coalitions& Explainer::coalitions() const {
  if (!impl_->coalitions)
    throw ConfigError("no coalitions were chosen, expected choose_coalitions or use_coalitions before");
  return *impl_->coalitions;
}

const Players& Explainer::players() const {
  return impl_->players;
}
const ExplainOptions& Explainer::options() const {
  return impl_->options;
}
const std::vector<std::string>& Explainer::columns() const {
  return impl_->values.columns();
}
double Explainer::phi0() const {
  return impl_->phi0;
}

double Explainer::ridge() const {
  const std::int64_t M = coalitions().players;
  return M < 2 ? 0 : impl_->solver(nobody_absent(M))->ridge();
}

double Explainer::condition() const {
  const std::int64_t M = coalitions().players;
  return M < 2 ? 1 : impl_->solver(nobody_absent(M))->condition();
}

std::int64_t Explainer::rows_at_once() const {
  const std::int64_t C = coalitions().size(), M = coalitions().players, D = impl_->players.inputs;
  // Values twice (as evaluated, and beside empty and full), effective sizes, deviations; four results.
  const std::int64_t row = 8 * (C * (3 + impl_->values.replicates()) + 4 * M + 8) + 4 * D;
  const std::int64_t fixed = impl_->values.scratch_bytes() + C * (8 * M + 4 * D + M + 24);
  // Scratch memory grows with the threads, which rows must keep at work.
  const std::int64_t limit = impl_->options.memory_limit, solvers = limit / share_of_solvers;
  return std::max<std::int64_t>(1, std::max(limit - fixed - solvers, limit / share_of_rows) / row);
}

void Explainer::Impl::check_rows(ConstTensorView raw) const {
  if (raw.cols() != players.inputs)
    throw DataError(
        fmt::format("the rows to explain have {} columns, expected {}", raw.cols(), players.inputs));
  if (raw.dtype() != DType::f32) throw DTypeError("the rows to explain are not float32");
}

Explainer::Impl::Full Explainer::Impl::full_values(TeamPool& pool, const Explicands& rows,
                                                   const StopToken* stop) const {
  const std::int64_t B = rows.raw.rows();
  Full out;
  std::vector<std::int64_t> present;
  for (std::int64_t r = 0; r < B; ++r) (complete(rows.raw, r) ? present : out.rows).push_back(r);
  out.prediction.assign(static_cast<std::size_t>(B), 0.);
  const std::vector<double> y = predict(pool, f, select(rows.raw, present));
  for (std::size_t i = 0; i < present.size(); ++i)
    out.prediction[static_cast<std::size_t>(present[i])] = y[i];
  if (out.rows.empty()) return out;
  const Tensor lacking = select(rows.raw, out.rows);
  std::vector<std::int64_t> numbers;
  for (const std::int64_t r : out.rows)
    numbers.push_back(rows.numbers.empty() ? r : rows.numbers[static_cast<std::size_t>(r)]);
  std::vector<float> ones(static_cast<std::size_t>(players.inputs), 1.f);
  values.evaluate(pool, {lacking, numbers}, Tensor::from(ones, {1, players.inputs}), out.values, stop);
  for (std::size_t i = 0; i < out.rows.size(); ++i)
    out.prediction[static_cast<std::size_t>(out.rows[i])] = out.values.value.ptr<double>()[i];
  return out;
}

Attributions Explainer::explain(TeamPool& pool, const Explicands& rows, const StopToken* stop) const {
  coalitions();
  impl_->check_rows(rows.raw);
  const Impl::Full full = impl_->full_values(pool, rows, stop);
  CoalitionValues inner;
  inner.ensure(rows.raw.rows(), impl_->inner_masks.rows(), impl_->values.replicates());
  if (rows.raw.rows() > 0 && impl_->inner_masks.rows() > 0)
    impl_->values.evaluate(pool, rows, impl_->inner_masks, inner, stop);
  return impl_->attribute(pool, rows, full, inner);
}

std::vector<double> Explainer::solve(std::span<const double> values) const {
  const std::int64_t M = coalitions().players;
  if (static_cast<std::int64_t>(values.size()) != coalitions().size())
    throw ShapeError(fmt::format("solve got {} values, expected one for each of {} coalitions", values.size(),
                                 coalitions().size()));
  std::vector<double> phi(static_cast<std::size_t>(M));
  if (M == 1) phi[0] = values[1] - values[0];
  if (M > 1)
    impl_->solver(nobody_absent(M))
        ->solve(ConstTensorView(values.data(), {1, coalitions().size()}, DType::f64),
                TensorView(phi.data(), {1, M}, DType::f64));
  return phi;
}

}  // namespace emshap
