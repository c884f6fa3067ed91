#include "emshap/data/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"
#include "emshap/data/step_clip.h"

namespace emshap {
namespace {

constexpr std::int64_t block_rows = 256;

void load(const ConstTensorView& view, std::int64_t first, std::int64_t rows, double* out) {
  const std::int64_t cols = view.cols();
  for (std::int64_t r = 0; r < rows; ++r, out += cols) {
    const std::int64_t at = (first + r) * view.row_stride();
    if (view.dtype() == DType::f32) {
      std::copy_n(view.ptr<float>() + at, cols, out);
    } else {
      std::copy_n(view.ptr<double>() + at, cols, out);
    }
  }
}

void store(const double* in, const TensorView& view, std::int64_t first, std::int64_t rows) {
  const std::int64_t cols = view.cols();
  for (std::int64_t r = 0; r < rows; ++r, in += cols) {
    const std::int64_t at = (first + r) * view.row_stride();
    if (view.dtype() == DType::f32) {
      for (std::int64_t c = 0; c < cols; ++c) view.ptr<float>()[at + c] = static_cast<float>(in[c]);
    } else {
      std::copy_n(in, cols, view.ptr<double>() + at);
    }
  }
}

void check_matrix(const char* what, const ConstTensorView& view, std::int64_t rows, std::int64_t cols) {
  if (view.rows() != rows || view.cols() != cols)
    throw ShapeError(
        fmt::format("pipeline: {} has shape {}, expected ({}, {})", what, view.shape().str(), rows, cols));
  if (view.device().kind != DeviceKind::cpu)
    throw DeviceError(fmt::format("pipeline: {} is on {}, expected cpu", what, to_string(view.device())));
}

void check_finite(const double* values, std::int64_t rows, const std::vector<std::string>& names,
                  const std::function<std::string(std::int64_t)>& row_name) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (const std::string& name : names)
      if (const double v = *values++; !std::isfinite(v))
        throw DataError(
            fmt::format("{}, feature '{}': the value is {}, expected a finite number", row_name(r), name,
                        std::isnan(v) ? "missing" : "infinite or far outside the training range"));
}

std::string block_row(std::int64_t row) {
  return fmt::format("pipeline: row {}", row);
}

}  // namespace

Pipeline::Pipeline(const Pipeline& other) : input_names_(other.input_names_) {
  for (const auto& [name, step] : other.steps_) steps_.emplace_back(name, step->clone());
}

Pipeline& Pipeline::operator=(Pipeline other) noexcept {
  input_names_.swap(other.input_names_);
  steps_.swap(other.steps_);
  return *this;
}

void Pipeline::add(std::string name, std::unique_ptr<Step> step) {
  for (const auto& entry : steps_)
    if (entry.first == name) throw ConfigError(fmt::format("pipeline: two steps are named '{}'", name));
  if (steps_.empty() && input_names_.empty()) input_names_ = step->input_names();
  steps_.emplace_back(std::move(name), std::move(step));
}

void Pipeline::clip_inputs(std::span<const double> low, std::span<const double> high) {
  auto clip = std::make_unique<Clip>(low, high);
  clip->begin_fit(input_names_);
  if (clip->open()) return;
  add("clip", std::move(clip));
  std::rotate(steps_.begin(), steps_.end() - 1, steps_.end());
}

const std::vector<std::string>& Pipeline::output_names() const {
  return steps_.empty() ? input_names_ : steps_.back().second->output_names();
}

void Pipeline::run(const double* in, std::int64_t rows, double* out, std::size_t steps) const {
  if (steps == 0) {
    std::copy_n(in, rows * inputs(), out);
    return;
  }
  std::vector<double> a, b;
  for (std::size_t i = 0; i < steps; ++i) {
    const Step& s = *steps_[i].second;
    double* to = out;
    if (i + 1 < steps) {
      a.resize(static_cast<std::size_t>(rows * s.outputs()));
      to = a.data();
    }
    s.transform(in, rows, to);
    a.swap(b);
    in = to;
  }
}

void Pipeline::fit(const std::vector<std::string>& names, const BlockScan& scan) {
  input_names_ = names;
  std::vector<double> transformed;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& s = *steps_[i].second;
    const std::vector<std::string> in_names = i == 0 ? names : steps_[i - 1].second->output_names();
    s.begin_fit(in_names);
    scan([&](const double* block, std::int64_t rows) {
      transformed.resize(static_cast<std::size_t>(rows) * in_names.size());
      run(block, rows, transformed.data(), i);
      s.observe(transformed.data(), rows);
    });
    s.end_fit();
  }
}

namespace {

// Calls body with blocks of at most block_rows of the named columns.
template <class Body>
void for_blocks(const std::vector<const Column*>& columns, std::span<const std::int64_t> rows,
                const Body& body) {
  std::vector<double> block(static_cast<std::size_t>(block_rows) * columns.size());
  for (std::size_t first = 0; first < rows.size(); first += block_rows) {
    const std::size_t count = std::min<std::size_t>(block_rows, rows.size() - first);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::span<const float> from = columns[c]->f32();
      for (std::size_t r = 0; r < count; ++r)
        block[r * columns.size() + c] = static_cast<double>(from[static_cast<std::size_t>(rows[first + r])]);
    }
    body(block.data(), static_cast<std::int64_t>(first), static_cast<std::int64_t>(count));
  }
}

}  // namespace

void Pipeline::fit(const Table& table, std::span<const std::int64_t> rows, ColumnRole role) {
  const auto columns = table.with_role(role);
  std::vector<std::string> names;
  for (const Column* c : columns) names.push_back(c->name());
  try {
    fit(names, [&](const auto& use) {
      for_blocks(columns, rows,
                 [&](const double* block, std::int64_t, std::int64_t count) { use(block, count); });
    });
  } catch (const DataError& e) {
    throw DataError(fmt::format("{}: {}", table.provenance().source, e.what()));
  }
}

void Pipeline::check_names(const std::vector<std::string>& names, const std::string& source) const {
  const std::vector<std::string>& expected = input_names_;
  const std::size_t common = std::min(names.size(), expected.size());
  std::size_t i = 0;
  while (i < common && names[i] == expected[i]) ++i;
  if (i == names.size() && i == expected.size()) return;
  const auto shown = [&](const std::vector<std::string>& list) {
    return i < list.size() ? fmt::format("'{}'", list[i]) : std::string("nothing");
  };
  throw DataError(fmt::format(
      "{}: the {} features differ from the {} the scaler was fitted on: feature {} is {}, expected {}",
      source, names.size(), expected.size(), i + 1, shown(names), shown(expected)));
}

Pipeline Pipeline::first(std::size_t count) const {
  Pipeline part;
  part.input_names_ = input_names_;
  for (std::size_t i = 0; i < std::min(count, steps_.size()); ++i)
    part.add(steps_[i].first, steps_[i].second->clone());
  return part;
}

void Pipeline::transform(const double* in, std::int64_t rows, double* out) const {
  run(in, rows, out, steps_.size());
  check_finite(out, rows, output_names(), block_row);
}

void Pipeline::inverse(const double* in, std::int64_t rows, double* out) const {
  if (steps_.empty()) {
    std::copy_n(in, rows * inputs(), out);
    return;
  }
  std::vector<double> a, b;
  for (std::size_t i = steps_.size(); i-- > 0;) {
    const Step& s = *steps_[i].second;
    double* to = out;
    if (i > 0) {
      a.resize(static_cast<std::size_t>(rows * s.inputs()));
      to = a.data();
    }
    s.inverse(in, rows, to);
    a.swap(b);
    in = to;
  }
}

void Pipeline::log_jacobian(const double* in, std::int64_t rows, double* out) const {
  std::fill_n(out, rows, 0.0);
  std::vector<double> at(in, in + rows * inputs()), next;
  for (const auto& entry : steps_) {
    const Step& s = *entry.second;
    s.log_jacobian(at.data(), rows, out);
    next.resize(static_cast<std::size_t>(rows * s.outputs()));
    s.transform(at.data(), rows, next.data());
    at.swap(next);
  }
}

void Pipeline::transform(ConstTensorView in, TensorView out) const {
  check_matrix("the input", in, in.rows(), inputs());
  check_matrix("the output", out, in.rows(), outputs());
  std::vector<double> from(static_cast<std::size_t>(block_rows * inputs())),
      to(static_cast<std::size_t>(block_rows * outputs()));
  for (std::int64_t first = 0; first < in.rows(); first += block_rows) {
    const std::int64_t count = std::min(block_rows, in.rows() - first);
    load(in, first, count, from.data());
    run(from.data(), count, to.data(), steps_.size());
    check_finite(to.data(), count, output_names(), [&](std::int64_t r) { return block_row(first + r); });
    store(to.data(), out, first, count);
  }
}

void Pipeline::inverse(ConstTensorView in, TensorView out) const {
  check_matrix("the input", in, in.rows(), outputs());
  check_matrix("the output", out, in.rows(), inputs());
  std::vector<double> from(static_cast<std::size_t>(block_rows * outputs())),
      to(static_cast<std::size_t>(block_rows * inputs()));
  for (std::int64_t first = 0; first < in.rows(); first += block_rows) {
    const std::int64_t count = std::min(block_rows, in.rows() - first);
    load(in, first, count, from.data());
    inverse(from.data(), count, to.data());
    store(to.data(), out, first, count);
  }
}

Tensor Pipeline::transform(const Table& table, std::span<const std::int64_t> rows, ColumnRole role) const {
  const auto columns = table.with_role(role);
  std::vector<std::string> names;
  for (const Column* c : columns) names.push_back(c->name());
  check_names(names, table.provenance().source);
  Tensor out({static_cast<std::int64_t>(rows.size()), outputs()});
  std::vector<double> to(static_cast<std::size_t>(block_rows * outputs()));
  for_blocks(columns, rows, [&](const double* block, std::int64_t first, std::int64_t count) {
    run(block, count, to.data(), steps_.size());
    check_finite(to.data(), count, output_names(), [&](std::int64_t r) {
      const std::int64_t row = table.source_row(rows[static_cast<std::size_t>(first + r)]);
      return fmt::format("{} data row {}", table.provenance().source, row + 1);
    });
    store(to.data(), out.view(), first, count);
  });
  return out;
}

GraphValue Pipeline::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  GraphValue value = input;
  for (const auto& [name, step] : steps_) {
    const GraphWriter::Scope scope(graph, name);
    value = step->to_onnx(graph, value);
  }
  return value;
}

std::string Pipeline::hash() const {
  Hash64 hash;
  for (const std::string& name : input_names_) hash.text(name);
  for (const auto& [name, step] : steps_) {
    hash.text(name);
    hash.text(step->type());
    step->hash(hash);
  }
  return hash.hex();
}

std::vector<std::string> Pipeline::warnings() const {
  std::vector<std::string> all;
  for (const auto& entry : steps_)
    for (std::string& text : entry.second->warnings()) all.push_back(std::move(text));
  return all;
}

}  // namespace emshap
