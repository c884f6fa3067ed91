#include "explain/background_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"

namespace emshap {
namespace {

std::string where(const std::string& method, const char* rows, std::int64_t row, const std::string& column,
                  double value) {
  return fmt::format("{}: column '{}' of {} row {} is {}, expected a finite number or a missing value",
                     method, column, rows, row, value);
}

}  // namespace

BackgroundRows BackgroundRows::choose(std::string method, std::vector<std::string> columns,
                                      ConstTensorView train, const Predictor& f, std::int64_t most,
                                      std::uint64_t seed) {
  BackgroundRows out;
  out.columns = std::move(columns);
  const std::int64_t width = out.width();
  if (f.inputs() != width)
    throw ConfigError(
        fmt::format("{}: the predictor takes {} columns, expected {}", method, f.inputs(), width));
  if (train.cols() != width && train.rows() > 0)
    throw ConfigError(
        fmt::format("{}: the training rows have {} columns, expected {}", method, train.cols(), width));
  std::vector<float> low(static_cast<std::size_t>(width), std::numeric_limits<float>::infinity()),
      high(static_cast<std::size_t>(width), -std::numeric_limits<float>::infinity());
  std::vector<std::int64_t> whole;
  for (std::int64_t r = 0; r < train.rows(); ++r) {
    const float* row = train.ptr<float>() + r * train.row_stride();
    bool all = true;
    for (std::int64_t c = 0; c < width; ++c) {
      const auto i = static_cast<std::size_t>(c);
      if (std::isinf(row[c])) throw DataError(where(method, "training", r, out.columns[i], row[c]));
      if (std::isnan(row[c])) {
        all = false;
        continue;
      }
      low[i] = std::min(low[i], row[c]);
      high[i] = std::max(high[i], row[c]);
    }
    if (all) whole.push_back(r);
  }
  if (whole.empty())
    throw DataError(fmt::format("{}: none of the {} training rows is complete, expected at least one", method,
                                train.rows()));
  for (std::size_t c = 0; c < low.size(); ++c) out.varies.push_back(low[c] < high[c] ? 1 : 0);
  out.complete = static_cast<std::int64_t>(whole.size());
  out.lacking = train.rows() - out.complete;
  std::vector<std::int64_t> order(whole.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (most > 0 && most < out.complete) {
    order = permutation({seed, RandomPurpose::background, 2, 0}, out.complete);
    order.resize(static_cast<std::size_t>(most));
  }
  out.rows = Tensor({static_cast<std::int64_t>(order.size()), width});
  float* to = out.rows.ptr<float>();
  for (const std::int64_t i : order)
    to = std::copy_n(train.ptr<float>() + whole[static_cast<std::size_t>(i)] * train.row_stride(), width, to);
  return out;
}

void check_query(const std::string& method, const std::vector<std::string>& columns, const Explicands& rows,
                 ConstTensorView masks) {
  const auto width = static_cast<std::int64_t>(columns.size());
  const std::int64_t count = rows.raw.elements() == 0 ? 0 : rows.raw.rows();
  if ((count > 0 && rows.raw.cols() != width) || (masks.elements() > 0 && masks.cols() != width))
    throw ShapeError(fmt::format("{}: rows have shape {} and masks {}, expected {} columns of both", method,
                                 rows.raw.shape().str(), masks.shape().str(), width));
  if (!rows.numbers.empty() && static_cast<std::int64_t>(rows.numbers.size()) != rows.raw.rows())
    throw ShapeError(
        fmt::format("{}: {} row numbers, expected {}", method, rows.numbers.size(), rows.raw.rows()));
  for (std::int64_t r = 0; r < count; ++r)
    for (std::int64_t c = 0; c < width; ++c)
      if (const float x = rows.raw.ptr<float>()[r * rows.raw.row_stride() + c]; std::isinf(x))
        throw DataError(where(method, "data",
                              rows.numbers.empty() ? r : rows.numbers[static_cast<std::size_t>(r)],
                              columns[static_cast<std::size_t>(c)], x));
}

std::int64_t known_columns(std::int64_t width, const float* x, const float* mask,
                           std::vector<std::uint8_t>& known) {
  known.resize(static_cast<std::size_t>(width));
  std::int64_t unknown = 0;
  for (std::size_t c = 0; c < known.size(); ++c) {
    known[c] = mask[c] > .5f && !std::isnan(x[c]) ? 1 : 0;
    unknown += known[c] == 0 ? 1 : 0;
  }
  return unknown;
}

CompletionBatch::CompletionBatch(const Predictor& f, std::int64_t width)
    : f_(f), width_(width), x_({most, width}), y_({most, 1}) {
  parts_.reserve(static_cast<std::size_t>(most));
}

void CompletionBatch::add(Context& ctx, const float* x, const float* background,
                          const std::vector<std::uint8_t>& known, double weight, double* sum) {
  float* to = x_.ptr<float>() + static_cast<std::int64_t>(parts_.size()) * width_;
  for (std::size_t c = 0; c < known.size(); ++c) to[c] = known[c] != 0 ? x[c] : background[c];
  parts_.push_back({weight, sum});
  if (static_cast<std::int64_t>(parts_.size()) == most) flush(ctx);
}

void CompletionBatch::flush(Context& ctx) {
  const auto count = static_cast<std::int64_t>(parts_.size());
  if (count == 0) return;
  f_.predict(ctx, x_.view().rows(0, count), y_.view().rows(0, count));
  for (std::size_t i = 0; i < parts_.size(); ++i)
    *parts_[i].sum += parts_[i].weight * static_cast<double>(y_.ptr<float>()[i]);
  parts_.clear();
}

std::int64_t CompletionBatch::bytes(std::int64_t width) {
  return most * (width + 1) * static_cast<std::int64_t>(sizeof(float)) +
         most * static_cast<std::int64_t>(sizeof(Part));
}

std::int64_t for_all_threads(std::int64_t bytes) {
  return bytes * std::max<std::int64_t>(1, std::thread::hardware_concurrency());
}

void stop_if_asked(const StopToken* stop) {
  if (stop != nullptr && stop->stop_requested()) throw Interrupted("the explanation was stopped");
}

}  // namespace emshap
