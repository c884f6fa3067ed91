#pragma once
// All parameters of a model in flat buffers, so that the optimiser, clipping, checkpoints, export and the
// gradient check are loops over names or over one buffer. Life: add everything, allocate once, initialise,
// train.
//
// All members of a team share one store: reading is free, gradients are written by ops that coordinate the
// team, and the functions below that take a Context are called by every member (or by one thread outside a
// team).
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"

namespace emshap {

/// Handles: positions in order of adding.
struct ParameterId {
  int index = -1;
};
struct BufferId {
  int index = -1;
};
/// Whether AdamW's weight decay applies: weights yes; biases and parameters of normalisations no.
enum class Decay : bool { no, yes };

class EMSHAP_API ParameterStore {
 public:
  static constexpr std::int64_t alignment = 16;  ///< elements; gaps hold zeros in every buffer

  struct Entry {
    std::string name;  ///< "block0.linear.weight"
    Shape shape;
    Decay decay = Decay::no;  ///< parameters only
    std::int64_t offset = 0;  ///< elements from the start of the flat buffer
    double initial = 0;       ///< buffers only: value after allocate
    bool frozen = false;      ///< parameters only
  };
  /// Elements [begin, begin + count) of the flat parameter buffers.
  struct Range {
    std::int64_t begin = 0, count = 0;
  };
  struct NamedView {
    const char* name;
    TensorView view;
  };
  /// Values and buffers at one moment, e.g. of the best epoch.
  struct Snapshot {
    Tensor values, buffers;
  };

  ParameterStore() = default;
  ParameterStore(const ParameterStore&) = delete;  // layers hold its address
  ParameterStore& operator=(const ParameterStore&) = delete;

  /// A trainable tensor. Throws ConfigError for a name used twice, after allocate, or with characters other
  /// than letters, digits, '_' and '.'.
  ParameterId add(std::string name, Shape shape, Decay decay);
  /// A tensor that is saved with the model but not trained, e.g. running statistics.
  BufferId add_buffer(std::string name, Shape shape, double initial = 0);
  /// Takes the memory: parameters, gradients and moments are zero, buffers have their initial value. Once
  /// only.
  void allocate(DType dtype, Device device = {});
  /// Adds an average of the weights, equal to them now; ops::ema_update on flat_ema() keeps it. After
  /// allocate.
  void enable_ema();

  const std::vector<Entry>& parameters() const { return parameters_; }
  const std::vector<Entry>& buffers() const { return buffers_; }
  /// By name; throws ConfigError naming what is there.
  ParameterId find(std::string_view name) const;
  BufferId find_buffer(std::string_view name) const;

  TensorView value(ParameterId id);
  ConstTensorView value(ParameterId id) const;
  TensorView gradient(ParameterId id);
  TensorView buffer(BufferId id);
  ConstTensorView buffer(BufferId id) const;
  /// Host access in double, rounded to the store's type: initialisation, export, tests.
  void set(ParameterId id, std::span<const double> values);
  void set(BufferId id, std::span<const double> values);
  std::vector<double> get(ParameterId id) const;
  std::vector<double> get(BufferId id) const;
  /// Values and buffers of a store with the same entries; type and device may differ. Throws ShapeError.
  void copy_from(const ParameterStore& other);

  /// Flat buffers of flat_size() elements (moments: Adam's m and v). flat_ema() is empty unless enabled.
  TensorView flat_values() { return values_; }
  TensorView flat_gradients() { return gradients_; }
  TensorView flat_moment1() { return moment1_; }
  TensorView flat_moment2() { return moment2_; }
  TensorView flat_ema() { return has_ema_ ? TensorView(ema_) : TensorView(); }
  TensorView flat_buffers() { return buffer_values_; }
  /// 1 where weight decay applies, else 0.
  ConstTensorView decay_mask() const { return decay_mask_; }
  std::int64_t flat_size() const { return size_; }
  /// Number of trainable numbers, without gaps.
  std::int64_t parameter_count() const;
  DType dtype() const { return values_.dtype(); }
  Device device() const { return values_.device(); }
  bool has_ema() const { return has_ema_; }

  /// Frozen parameters keep their values: the optimiser runs over trainable_ranges() only.
  void set_frozen(ParameterId id, bool frozen);
  /// Every parameter whose name starts with `prefix`; returns how many. Throws ConfigError when there is
  /// none.
  int set_frozen(std::string_view prefix, bool frozen);
  /// Maximal runs of trainable elements in order; one run over everything when nothing is frozen.
  const std::vector<Range>& trainable_ranges() const { return trainable_; }

  /// One fill of all gradients, split among the team.
  void clear_gradients(Context& ctx);
  /// Fills the gradients of frozen parameters with zero, so that clipping does not count them.
  void clear_frozen_gradients(Context& ctx);
  /// Exchanges live and averaged weights in O(1); called by one thread, twice around an evaluation.
  void swap_ema();
  void snapshot(Snapshot& into) const;
  void restore(const Snapshot& from);

  /// What a checkpoint holds: "values", "moment1", "moment2", "buffers" and, when enabled, "ema".
  std::vector<NamedView> state();
  /// Names, shapes and order as text; a checkpoint fits a store with the same layout.
  std::string layout() const;

 private:
  void require_allocated(const char* what, bool allocated) const;
  void find_trainable();
  std::vector<Entry> parameters_, buffers_;
  std::vector<Range> trainable_;
  std::int64_t size_ = 0, buffer_size_ = 0;
  Tensor values_, gradients_, moment1_, moment2_, ema_, buffer_values_, decay_mask_;
  bool allocated_ = false, has_ema_ = false;
};

}  // namespace emshap
