#include "emshap/train/masking.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr const char* names[] = {"uniform", "bernoulli", "kernel", "linear", "progressive"};

/// |S| at a mask rate; at least one feature stays hidden.
std::int64_t size_at(double mask_rate, std::int64_t features) {
  const auto size = std::llround(static_cast<double>(features) * (1 - mask_rate));
  return std::clamp<std::int64_t>(size, 0, features - 1);
}

template <class T>
void draw_rows(const RandomKey& key, std::span<const std::int64_t> rows, ConstTensorView observed,
               TensorView mask) {
  const std::int64_t features = mask.cols();
  const bool all = observed.elements() == 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    T* m = mask.ptr<T>() + row * mask.row_stride();
    const T* there = all ? nullptr : observed.ptr<T>() + row * observed.row_stride();
    std::int64_t left = 0;
    for (std::int64_t t = 0; t < features; ++t) left += all || there[t] != T(0) ? 1 : 0;
    Generator random(key, static_cast<std::uint64_t>(rows[i]));
    std::int64_t wanted =
        left > 0 ? static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(left))) : 0;
    // Selection sampling (Knuth, The Art of Computer Programming, vol. 2, algorithm S).
    for (std::int64_t t = 0; t < features; ++t) {
      m[t] = T(0);
      if (!all && there[t] == T(0)) continue;
      if (wanted > 0 && static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(left))) < wanted) {
        m[t] = T(1);
        --wanted;
      }
      --left;
    }
  }
}

}  // namespace

Masking parse_masking(const std::string& name) {
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (name == names[i]) return static_cast<Masking>(i);
  throw ConfigError(
      fmt::format("masking is '{}', expected uniform, bernoulli, kernel, linear or progressive", name));
}

const char* to_string(Masking masking) {
  return names[static_cast<std::size_t>(masking)];
}

std::vector<double> size_weights(const MaskingOptions& o, std::int64_t step, std::int64_t total_steps,
                                 std::int64_t features) {
  if (features < 1)
    throw ConfigError(fmt::format("masking: there are {} features, expected 1 or more", features));
  if (!(o.min_mask_rate >= 0 && o.min_mask_rate <= o.max_mask_rate && o.max_mask_rate <= 1))
    throw ConfigError(
        fmt::format("masking: the mask rates are {} to {}, expected 0 <= smallest <= largest <= 1",
                    o.min_mask_rate, o.max_mask_rate));
  const auto f = static_cast<double>(features);
  const double time =
      total_steps > 1 ? std::clamp(static_cast<double>(step) / static_cast<double>(total_steps - 1), 0.0, 1.0)
                      : 1.0;
  const double rate = o.min_mask_rate + time * (o.max_mask_rate - o.min_mask_rate);
  std::vector<double> weights(static_cast<std::size_t>(features), 0.0);
  switch (o.kind) {
    case Masking::uniform:
      std::fill(weights.begin(), weights.end(), 1.0);
      break;
    case Masking::bernoulli:  // C(F, a) relative to its largest value
      for (std::size_t a = 0; a < weights.size(); ++a) {
        const auto n = static_cast<double>(a);
        const double at = std::lgamma(n + 1) + std::lgamma(f - n + 1);
        weights[a] = std::exp(std::lgamma(std::floor(f / 2) + 1) + std::lgamma(std::ceil(f / 2) + 1) - at);
      }
      break;
    case Masking::kernel:
      for (std::size_t a = 0; a < weights.size(); ++a) {
        const double n = a == 0 ? 1 : static_cast<double>(a);
        weights[a] = features == 1 ? 1 : (f - 1) / (n * (f - n));
      }
      break;
    case Masking::linear:
      weights[static_cast<std::size_t>(size_at(rate, features))] = 1;
      break;
    case Masking::progressive:
      for (std::int64_t a = size_at(rate, features); a <= size_at(o.min_mask_rate, features); ++a)
        weights[static_cast<std::size_t>(a)] = 1;
      break;
  }
  double sum = 0;
  for (const double w : weights) sum += w;
  for (double& w : weights) w /= sum;
  return weights;
}

void draw_masks(const RandomKey& key, std::span<const std::int64_t> rows, ConstTensorView observed,
                TensorView mask) {
  if (mask.rows() != static_cast<std::int64_t>(rows.size()) ||
      (observed.elements() != 0 && (observed.shape() != mask.shape() || observed.dtype() != mask.dtype())))
    throw ShapeError(fmt::format("draw_masks: mask has shape {} and observed {}, expected ({}, F) for both",
                                 mask.shape().str(), observed.shape().str(), rows.size()));
  if (mask.dtype() == DType::f64)
    draw_rows<double>(key, rows, observed, mask);
  else
    draw_rows<float>(key, rows, observed, mask);
}

}  // namespace emshap
