// From values of coalitions to attributions of rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/for_blocks.h"
#include "emshap/core/error.h"
#include "explain/explainer_impl.h"

namespace emshap {
namespace {

constexpr std::int64_t rows_together = 4;  // solved by one member of the team without asking for more
constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

/// The pattern of each row, and the rows of each pattern.
std::map<AbsentPattern, std::vector<std::int64_t>> patterns(const Players& players, ConstTensorView raw,
                                                            const std::vector<std::int64_t>& lacking) {
  const auto M = static_cast<std::size_t>(players.size());
  std::map<AbsentPattern, std::vector<std::int64_t>> out;
  std::size_t next = 0;
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    AbsentPattern absent = nobody_absent(players.size());
    if (next < lacking.size() && lacking[next] == r) {
      ++next;
      const float* x = raw.ptr<float>() + r * raw.row_stride();
      for (std::size_t j = 0; j < M; ++j)
        if (std::all_of(players.columns[j].begin(), players.columns[j].end(),
                        [x](std::int64_t c) { return std::isnan(x[c]); }))
          absent[j] = '1';
    }
    out[std::move(absent)].push_back(r);
  }
  return out;
}

double* row_of(Tensor& matrix, std::int64_t r) {
  return matrix.ptr<double>() + r * matrix.cols();
}
const double* row_of(const Tensor& matrix, std::int64_t r) {
  return matrix.ptr<double>() + r * matrix.cols();
}

}  // namespace

/// Inputs of all rows, and room for one.
struct Explainer::Impl::RowWork {
  const Full& full;
  const CoalitionValues& inner;
  std::int64_t G;
  bool shared;
  Tensor variance, deviation;  ///< (1, M), (1, C, G)
};

void Explainer::Impl::attribute_row(std::int64_t r, const AbsentPattern& absent, const ShapleySolver* solver,
                                    RowWork& work, Attributions& out) const {
  const std::int64_t C = coalitions->size(), M = players.size(), inner = std::max<std::int64_t>(0, C - 2);
  const auto at = static_cast<std::size_t>(r);
  const auto found = std::lower_bound(work.full.rows.begin(), work.full.rows.end(), r);
  const bool lacks = found != work.full.rows.end() && *found == r;
  const std::int64_t full_row = found - work.full.rows.begin();
  const bool nobody = absent.find('0') == AbsentPattern::npos;

  out.missing[at] = lacks;
  // With no player left the row says nothing of its own.
  out.prediction[at] = M > 0 && nobody ? phi0 : work.full.prediction[at];
  double* v = row_of(out.values, r);
  v[0] = phi0;
  if (C > 1) v[1] = out.prediction[at];
  std::copy_n(work.inner.value.ptr<double>() + r * inner, inner, v + std::min<std::int64_t>(2, C));

  const double* effective = work.inner.effective.ptr<double>() + r * inner;
  double smallest = std::numeric_limits<double>::infinity(), sum = 0, squares = 0;
  for (std::int64_t c = 0; c < inner; ++c) {
    smallest = std::min(smallest, effective[c]);
    sum += effective[c];
    squares += (v[c + 2] - out.prediction[at]) * (v[c + 2] - out.prediction[at]);
  }
  out.effective_min[at] = smallest;
  out.effective_mean[at] = inner > 0 ? sum / static_cast<double>(inner) : smallest;
  out.msev[at] = lacks || inner == 0 ? not_known : squares / static_cast<double>(inner);

  double* phi = row_of(out.phi, r);
  double* sampling = row_of(out.sampling_error, r);
  double* noise = row_of(out.noise_error, r);
  std::fill_n(phi, M, 0.);
  std::fill_n(sampling, M, 0.);
  std::fill_n(noise, M, 0.);
  if (!nobody) {
    double* d = work.deviation.ptr<double>();
    std::fill_n(d, C * work.G, 0.);
    bool exact = smallest == std::numeric_limits<double>::infinity();
    if (lacks) {
      std::copy_n(work.full.values.deviation.ptr<double>() + full_row * work.G, work.G, d + work.G);
      exact = exact && std::isinf(work.full.values.effective.ptr<double>()[full_row]);
    }
    std::copy_n(work.inner.deviation.ptr<double>() + r * inner * work.G, inner * work.G, d + 2 * work.G);
    if (solver != nullptr) {
      const TensorView one_phi(phi, {1, M}, DType::f64);
      const ConstTensorView one_v(v, {1, C}, DType::f64);
      solver->solve(one_v, one_phi);
      TensorView variance = work.variance;
      solver->sampling_variance(one_v, one_phi, variance);
      for (std::int64_t j = 0; j < M; ++j) sampling[j] = std::sqrt(variance.ptr<double>()[j]);
      if (!exact) {
        solver->noise_variance(work.deviation, work.shared, variance);
        for (std::int64_t j = 0; j < M; ++j) noise[j] = std::sqrt(variance.ptr<double>()[j]);
      }
    } else {  // one player: phi = Delta
      const auto j = static_cast<std::int64_t>(absent.find('0'));
      phi[j] = v[1] - v[0];
      double squared = 0;
      for (std::int64_t g = 0; g < work.G; ++g) squared += d[work.G + g] * d[work.G + g];
      const auto G = static_cast<double>(work.G);
      if (lacks && !exact)
        noise[j] =
            work.shared ? (work.G > 1 ? std::sqrt(G / (G - 1) * squared) : not_known) : std::sqrt(squared);
    }
  }
  double* total = row_of(out.standard_error, r);
  for (std::int64_t j = 0; j < M; ++j) {
    if (absent[static_cast<std::size_t>(j)] == '1') phi[j] = sampling[j] = noise[j] = 0;
    total[j] = std::sqrt(sampling[j] * sampling[j] + noise[j] * noise[j]);
  }
  out.converged[at] = relative_error(out, r, phi0, false) < options.tolerance;
}

Attributions Explainer::Impl::attribute(TeamPool& pool, const Explicands& rows, const Full& full,
                                        const CoalitionValues& inner) const {
  const std::int64_t B = rows.raw.rows(), M = players.size(), C = coalitions->size();
  const auto count = static_cast<std::size_t>(B);
  Attributions out;
  for (Tensor* matrix : {&out.phi, &out.standard_error, &out.sampling_error, &out.noise_error})
    matrix->ensure({B, M}, DType::f64);
  out.values.ensure({B, C}, DType::f64);
  for (std::vector<double>* list : {&out.prediction, &out.effective_min, &out.effective_mean, &out.msev})
    list->assign(count, 0.);
  out.missing.assign(count, 0);
  out.converged.assign(count, 0);
  out.clamped = inner.clamped + full.values.clamped;
  out.drawn = inner.drawn + full.values.drawn;

  for (const auto& [absent, members] : patterns(players, rows.raw, full.rows)) {
    const bool solved = std::count(absent.begin(), absent.end(), '0') > 1;
    const std::shared_ptr<const ShapleySolver> by = solved ? solver(absent) : nullptr;
    for_blocks(pool, static_cast<std::int64_t>(members.size()), rows_together,
               [&, &pattern = absent, &numbers = members](Context&, std::int64_t begin, std::int64_t n) {
                 // Row by row, so that no product of several rows makes bits depend on the cut.
                 RowWork work{full,
                              inner,
                              values.replicates(),
                              values.shared_noise(),
                              Tensor({1, M}, DType::f64),
                              Tensor({1, C, values.replicates()}, DType::f64)};
                 for (std::int64_t i = begin; i < begin + n; ++i)
                   attribute_row(numbers[static_cast<std::size_t>(i)], pattern, by.get(), work, out);
               });
  }
  return out;
}

double relative_error(const Attributions& rows, std::int64_t r, double phi0, bool sampling_only) {
  const std::int64_t M = rows.phi.cols();
  if (M == 0) return 0;
  const double* phi = row_of(rows.phi, r);
  const double* total = row_of(rows.standard_error, r);
  const double* sampling = row_of(rows.sampling_error, r);
  double largest = 0;
  for (std::int64_t j = 0; j < M; ++j) {
    if (std::isnan(sampling[j]))
      return std::numeric_limits<double>::infinity();  // too few coalitions to tell
    largest = std::max(largest, sampling_only || std::isnan(total[j]) ? sampling[j] : total[j]);
  }
  // A model that does not vary leaves nothing but rounding.
  const double scale = std::abs(rows.prediction[static_cast<std::size_t>(r)]) + std::abs(phi0);
  if (largest <= 1e-6 * scale) return 0;
  // Of a single player the spread is that of its phi from nothing.
  const double low = M == 1 ? 0 : *std::min_element(phi, phi + M);
  const double high = M == 1 ? std::abs(phi[0]) : *std::max_element(phi, phi + M);
  return largest / (high - low);
}

}  // namespace emshap
