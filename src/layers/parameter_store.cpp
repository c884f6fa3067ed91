#include "emshap/layers/parameter_store.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/ops/elementwise.h"

namespace emshap {
namespace {

using Entry = ParameterStore::Entry;

std::int64_t padded(std::int64_t elements) {
  return (elements + ParameterStore::alignment - 1) / ParameterStore::alignment * ParameterStore::alignment;
}

void check_name(const std::vector<Entry>& entries, const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), good))
    throw ConfigError(fmt::format("parameter name '{}' must be letters, digits, '_' and '.'", name));
  for (const Entry& e : entries)
    if (e.name == name) throw ConfigError(fmt::format("parameter name '{}' is used twice", name));
}

int index_of(const std::vector<Entry>& entries, std::string_view name, const char* kind) {
  std::string known;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].name == name) return static_cast<int>(i);
    known += (i == 0 ? "" : ", ") + entries[i].name;
  }
  throw ConfigError(fmt::format("the model has no {} named '{}', it has {}", kind, name, known));
}

const Entry& entry_at(const std::vector<Entry>& entries, int index) {
  return entries.at(static_cast<std::size_t>(index));
}

template <class View, class Flat>
View slice(Flat& flat, const Entry& e) {
  const View view = flat.view();
  return view.columns(e.offset, e.shape.elements()).reshaped(e.shape);
}

TensorView flat_range(Tensor& flat, std::int64_t begin, std::int64_t count) {
  return flat.view().columns(begin, count);
}

std::vector<double> read(const Tensor& flat, const Entry& e) {
  const std::int64_t n = e.shape.elements();
  std::vector<double> values(static_cast<std::size_t>(n));
  const auto* first = static_cast<const char*>(flat.view().data()) + e.offset * size_of(flat.dtype());
  if (flat.dtype() == DType::f64) {
    copy_bytes(values.data(), Device{}, first, flat.device(), n * size_of(DType::f64));
  } else {
    std::vector<float> narrow(values.size());
    copy_bytes(narrow.data(), Device{}, first, flat.device(), n * size_of(DType::f32));
    std::copy(narrow.begin(), narrow.end(), values.begin());
  }
  return values;
}

void write(Tensor& flat, const Entry& e, std::span<const double> values) {
  const std::int64_t n = e.shape.elements();
  if (static_cast<std::int64_t>(values.size()) != n)
    throw ShapeError(
        fmt::format("{} values were given for {} of shape {}", values.size(), e.name, e.shape.str()));
  auto* first = static_cast<char*>(flat.view().data()) + e.offset * size_of(flat.dtype());
  if (flat.dtype() == DType::f64) {
    copy_bytes(first, flat.device(), values.data(), Device{}, n * size_of(DType::f64));
  } else {
    const std::vector<float> narrow(values.begin(), values.end());
    copy_bytes(first, flat.device(), narrow.data(), Device{}, n * size_of(DType::f32));
  }
}

void copy_flat(Tensor& to, const Tensor& from) {
  to.ensure(from.shape(), from.dtype(), from.device());
  copy_bytes(to.view().data(), to.device(), from.view().data(), from.device(),
             from.elements() * size_of(from.dtype()));
}

}  // namespace

void ParameterStore::require_allocated(const char* what, bool allocated) const {
  if (allocated_ != allocated)
    throw ConfigError(fmt::format("{} must be called {} the parameters are allocated", what,
                                  allocated ? "after" : "before"));
}

ParameterId ParameterStore::add(std::string name, Shape shape, Decay decay) {
  require_allocated("ParameterStore::add", false);
  check_name(parameters_, name);
  parameters_.push_back({.name = std::move(name), .shape = shape, .decay = decay, .offset = size_});
  size_ += padded(shape.elements());
  return {static_cast<int>(parameters_.size()) - 1};
}

BufferId ParameterStore::add_buffer(std::string name, Shape shape, double initial) {
  require_allocated("ParameterStore::add_buffer", false);
  check_name(buffers_, name);
  buffers_.push_back({.name = std::move(name), .shape = shape, .offset = buffer_size_, .initial = initial});
  buffer_size_ += padded(shape.elements());
  return {static_cast<int>(buffers_.size()) - 1};
}

void ParameterStore::allocate(DType dtype, Device device) {
  require_allocated("ParameterStore::allocate", false);
  if (dtype != DType::f32 && dtype != DType::f64)
    throw DTypeError(fmt::format("parameters cannot be {}, expected f32 or f64", to_string(dtype)));
  for (Tensor* t : {&values_, &gradients_, &moment1_, &moment2_, &decay_mask_})
    *t = Tensor::zeros({size_}, dtype, device);
  buffer_values_ = Tensor::zeros({buffer_size_}, dtype, device);
  allocated_ = true;
  for (const Entry& e : parameters_)
    if (e.decay == Decay::yes)
      write(decay_mask_, e, std::vector<double>(static_cast<std::size_t>(e.shape.elements()), 1.0));
  for (const Entry& e : buffers_)
    write(buffer_values_, e, std::vector<double>(static_cast<std::size_t>(e.shape.elements()), e.initial));
  find_trainable();
}

void ParameterStore::enable_ema() {
  require_allocated("ParameterStore::enable_ema", true);
  copy_flat(ema_, values_);
  has_ema_ = true;
}

ParameterId ParameterStore::find(std::string_view name) const {
  return {index_of(parameters_, name, "parameter")};
}
BufferId ParameterStore::find_buffer(std::string_view name) const {
  return {index_of(buffers_, name, "buffer")};
}

TensorView ParameterStore::value(ParameterId id) {
  return slice<TensorView>(values_, entry_at(parameters_, id.index));
}
ConstTensorView ParameterStore::value(ParameterId id) const {
  return slice<ConstTensorView>(values_, entry_at(parameters_, id.index));
}
TensorView ParameterStore::gradient(ParameterId id) {
  return slice<TensorView>(gradients_, entry_at(parameters_, id.index));
}
TensorView ParameterStore::buffer(BufferId id) {
  return slice<TensorView>(buffer_values_, entry_at(buffers_, id.index));
}
ConstTensorView ParameterStore::buffer(BufferId id) const {
  return slice<ConstTensorView>(buffer_values_, entry_at(buffers_, id.index));
}

void ParameterStore::set(ParameterId id, std::span<const double> values) {
  require_allocated("ParameterStore::set", true);
  write(values_, entry_at(parameters_, id.index), values);
}
void ParameterStore::set(BufferId id, std::span<const double> values) {
  require_allocated("ParameterStore::set", true);
  write(buffer_values_, entry_at(buffers_, id.index), values);
}
std::vector<double> ParameterStore::get(ParameterId id) const {
  require_allocated("ParameterStore::get", true);
  return read(values_, entry_at(parameters_, id.index));
}
std::vector<double> ParameterStore::get(BufferId id) const {
  require_allocated("ParameterStore::get", true);
  return read(buffer_values_, entry_at(buffers_, id.index));
}

void ParameterStore::copy_from(const ParameterStore& other) {
  require_allocated("ParameterStore::copy_from", true);
  other.require_allocated("ParameterStore::copy_from", true);
  if (layout() != other.layout())
    throw ShapeError(fmt::format("parameters differ:\n{}expected\n{}", other.layout(), layout()));
  for (const Entry& e : parameters_) write(values_, e, read(other.values_, e));
  for (const Entry& e : buffers_) write(buffer_values_, e, read(other.buffer_values_, e));
}

std::int64_t ParameterStore::parameter_count() const {
  std::int64_t count = 0;
  for (const Entry& e : parameters_) count += e.shape.elements();
  return count;
}

void ParameterStore::set_frozen(ParameterId id, bool frozen) {
  parameters_.at(static_cast<std::size_t>(id.index)).frozen = frozen;
  find_trainable();
}

int ParameterStore::set_frozen(std::string_view prefix, bool frozen) {
  int count = 0;
  for (Entry& e : parameters_) {
    if (!e.name.starts_with(prefix)) continue;
    e.frozen = frozen;
    ++count;
  }
  if (count == 0) index_of(parameters_, prefix, "parameter");  // throws with the names there are
  find_trainable();
  return count;
}

void ParameterStore::find_trainable() {
  trainable_.clear();
  for (const Entry& e : parameters_) {
    if (e.frozen || e.shape.elements() == 0) continue;
    const std::int64_t count = padded(e.shape.elements());
    if (!trainable_.empty() && trainable_.back().begin + trainable_.back().count == e.offset)
      trainable_.back().count += count;
    else
      trainable_.push_back({e.offset, count});
  }
}

void ParameterStore::clear_gradients(Context& ctx) {
  ops::fill_shared(ctx, 0, gradients_);
}

void ParameterStore::clear_frozen_gradients(Context& ctx) {
  ctx.team().barrier();
  if (ctx.team().rank() == 0)
    for (const Entry& e : parameters_)
      if (e.frozen) ops::fill(ctx, 0, flat_range(gradients_, e.offset, e.shape.elements()));
  ctx.team().barrier();
}

void ParameterStore::swap_ema() {
  if (!has_ema_) throw ConfigError("ParameterStore::swap_ema needs enable_ema");
  std::swap(values_, ema_);
}

void ParameterStore::snapshot(Snapshot& into) const {
  require_allocated("ParameterStore::snapshot", true);
  copy_flat(into.values, values_);
  copy_flat(into.buffers, buffer_values_);
}

void ParameterStore::restore(const Snapshot& from) {
  if (from.values.elements() != size_ || from.buffers.elements() != buffer_size_ ||
      from.values.dtype() != dtype())
    throw ShapeError(fmt::format("snapshot of {} parameters and {} buffers, expected {} and {}",
                                 from.values.elements(), from.buffers.elements(), size_, buffer_size_));
  copy_flat(values_, from.values);
  copy_flat(buffer_values_, from.buffers);
}

std::vector<ParameterStore::NamedView> ParameterStore::state() {
  std::vector<NamedView> views{
      {"values", values_}, {"moment1", moment1_}, {"moment2", moment2_}, {"buffers", buffer_values_}};
  if (has_ema_) views.push_back({"ema", ema_});
  return views;
}

std::string ParameterStore::layout() const {
  std::string text;
  for (const Entry& e : parameters_) text += fmt::format("parameter {} {}\n", e.name, e.shape.str());
  for (const Entry& e : buffers_) text += fmt::format("buffer {} {}\n", e.name, e.shape.str());
  return text;
}

}  // namespace emshap
