// Operators that pick, order and join entries. None computes, so that lists which hold the number of rows
// (parts of a shape) pass through.
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "io/foreign_broadcast.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

/// For every entry of extents `to` its index in extents `from`, given for each axis of `to` the stride in
/// `from` and the entries taken along it (empty: all).
std::vector<std::int32_t> index_map(const Dims& to, const std::vector<std::int64_t>& strides,
                                    const std::vector<Dims>& taken) {
  count(to);  // throws where there are too many
  std::vector<std::int32_t> map{0};
  for (std::size_t axis = 0; axis < to.size(); ++axis) {
    std::vector<std::int32_t> wider;
    wider.reserve(map.size() * n(to[axis]));
    for (const std::int32_t base : map)
      for (std::int64_t i = 0; i < to[axis]; ++i)
        wider.push_back(
            base + static_cast<std::int32_t>((taken[axis].empty() ? i : taken[axis][n(i)]) * strides[axis]));
    map = std::move(wider);
  }
  return map;
}

std::vector<std::int64_t> strides_of(const Dims& dims) {
  std::vector<std::int64_t> strides(dims.size(), 1);
  for (std::size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

void transpose(Node& node) {
  const Value x = node.in(0);
  Dims perm = node.integer_list("perm").value_or(Dims{});
  if (perm.empty())
    for (std::int64_t i = x.rank(); i-- > 0;) perm.push_back(i);
  Dims sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (sorted.size() != x.dims.size() || sorted[i] != static_cast<std::int64_t>(i))
      node.fail(
          fmt::format("its attribute 'perm' ({}) is no order of {} axes", fmt::join(perm, ", "), x.rank()));
  const std::vector<std::int64_t> own = strides_of(x.rest());
  Dims dims, rest;
  std::vector<std::int64_t> strides;
  for (const std::int64_t axis : perm) {
    dims.push_back(x.dims[n(axis)]);
    if (dims.back() == rows_extent) continue;
    rest.push_back(dims.back());
    strides.push_back(own[n(rest_axis(x, axis))]);
  }
  if (x.per_row() && std::is_sorted(strides.rbegin(), strides.rend()) && rest == x.rest())
    node.alias(0, node.id(0), dims);  // only the batch moves, which has no place in memory
  else
    node.select(0, node.id(0), dims, index_map(rest, strides, std::vector<Dims>(rest.size())));
  node.write("Transpose", {node.id(0)}, {node.result()}, {{"perm", perm}});
}

/// Output i: the entries `taken` along an axis that is not the batch, the axis then having extents `extents`.
void take(Node& node, int i, const Value& x, int id, std::int64_t axis, const Dims& taken,
          const Dims& extents) {
  Dims dims(x.dims.begin(), x.dims.begin() + axis);
  dims.insert(dims.end(), extents.begin(), extents.end());
  dims.insert(dims.end(), x.dims.begin() + axis + 1, x.dims.end());
  const std::int64_t own = rest_axis(x, axis);
  Dims rest = x.rest();
  const std::vector<std::int64_t> strides = strides_of(rest);
  std::vector<Dims> entries(rest.size());
  entries[n(own)] = taken;
  rest[n(own)] = static_cast<std::int64_t>(taken.size());
  node.select(i, id, dims, index_map(rest, strides, entries));
}

void refuse_rows(const Node& node, const Value& x, std::int64_t axis) {
  if (x.rows_axis() == axis) node.fail("would pick rows of the batch");
}

/// Entries of a constant table, by computed numbers.
void look_up(Node& node) {
  const Value table = node.in(0), index = node.in(1);
  node.expect(1, {Element::i64});
  if (axis_in(node, node.integer("axis", 0), table.rank()) != 0)
    node.fail("looks up computed entries along an axis other than the first");
  node.expect(0, {Element::f32, Element::f64});
  Dims dims = index.dims;
  dims.insert(dims.end(), table.dims.begin() + 1, table.dims.end());
  const std::int64_t extent = table.dims[0], width = count({table.dims.begin() + 1, table.dims.end()});
  const std::int64_t numbers = count(index.rest());
  const int y = node.out(0, table.element, dims);
  const int from = node.storage(node.id(0)), at = node.storage(node.id(1)), to = node.storage(y);
  const auto step = [&]<class T>(T) {
    node.emit({node.id(0), node.id(1)}, {y}, [=](const Frame& frame) {
      const std::int64_t* entry = frame.get<std::int64_t>(at);
      T* target = frame.get<T>(to);
      for (std::int64_t k = 0; k < frame.rows * numbers; ++k, target += width) {
        const std::int64_t e = entry[k] < 0 ? entry[k] + extent : entry[k];
        if (e < 0 || e >= extent)
          throw NumericalError(fmt::format("the model looks up entry {} of {}", entry[k], extent));
        std::copy_n(frame.get<T>(from) + e * width, width, target);
      }
    });
  };
  table.element == Element::f32 ? step(float()) : step(double());
  node.write_same({{"axis", 0}});
}

void gather(Node& node) {
  if (!node.is_constant(1)) return look_up(node);
  const Value x = node.in(0);
  const std::int64_t axis = axis_in(node, node.integer("axis", 0), x.rank());
  refuse_rows(node, x, axis);
  const Constant indices = node.constant(1, Element::i64);
  if (node.in(1).counts_rows) node.fail("computes with the number of rows");
  Dims taken = indices.as<std::int64_t>();
  for (std::int64_t& i : taken) {
    const std::int64_t extent = x.dims[n(axis)];
    if (i < -extent || i >= extent) node.fail(fmt::format("asks for entry {} of {}", i, extent));
    if (i < 0) i += extent;
  }
  if (taken.empty()) node.fail("picks no entries");
  take(node, 0, x, node.id(0), axis, taken, indices.dims);
  node.write_same({{"axis", axis}});
}

void slice(Node& node) {
  const Value x = node.in(0);
  const bool old = node.opset() < 10;
  const Dims starts = old ? node.integer_list("starts").value_or(Dims{}) : node.integers(1);
  const Dims ends = old ? node.integer_list("ends").value_or(Dims{}) : node.integers(2, true);
  std::optional<Dims> axes;
  Dims steps(starts.size(), 1);
  if (old)
    axes = node.integer_list("axes");
  else if (node.has(3))
    axes = node.integers(3);
  if (!old && node.has(4)) steps = node.integers(4);
  if (!axes) {
    axes.emplace();
    for (std::size_t i = 0; i < starts.size(); ++i) axes->push_back(static_cast<std::int64_t>(i));
  }
  if (ends.size() != starts.size() || axes->size() != starts.size() || steps.size() != starts.size())
    node.fail("its starts, ends, axes and steps do not fit together");
  Dims dims = x.dims, rest = x.rest();
  std::vector<Dims> taken(rest.size());
  for (std::size_t k = 0; k < starts.size(); ++k) {
    const std::int64_t axis = axis_in(node, (*axes)[k], x.rank());
    if (axis == x.rows_axis()) {
      if (starts[k] != 0 || steps[k] != 1 || (ends[k] != rows_count && ends[k] < (std::int64_t{1} << 30)))
        node.fail("would pick rows of the batch");
      continue;
    }
    if (ends[k] == rows_count) node.fail("computes with the number of rows");
    const std::int64_t extent = x.dims[n(axis)], step = steps[k];
    if (step == 0) node.fail("its step is 0");
    const auto from_end = [&](std::int64_t i) { return i < 0 ? std::max(i, -extent - 1) + extent : i; };
    const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
    const std::int64_t begin =
        std::clamp(from_end(starts[k]), std::max<std::int64_t>(low, 0), std::max<std::int64_t>(high, 0));
    const std::int64_t end = std::clamp(from_end(ends[k]), low, extent);
    Dims& list = taken[n(rest_axis(x, axis))];
    if (!list.empty()) node.fail(fmt::format("slices axis {} twice", axis));
    for (std::int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
      list.push_back(i);
      if (step > extent || step < -extent) break;
    }
    if (list.empty()) node.fail("takes no entries");
    dims[n(axis)] = rest[n(rest_axis(x, axis))] = static_cast<std::int64_t>(list.size());
  }
  node.select(0, node.id(0), dims, index_map(rest, strides_of(x.rest()), taken));
  std::vector<Written::Operand> operands{node.id(0), starts, ends, *axes, steps};
  if (std::find(ends.begin(), ends.end(), rows_count) != ends.end())
    std::replace(std::get<1>(operands[2]).begin(), std::get<1>(operands[2]).end(), rows_count,
                 std::int64_t{std::numeric_limits<std::int32_t>::max()});
  node.write("Slice", std::move(operands), {node.result()});
}

void split(Node& node) {
  const Value x = node.in(0);
  const std::int64_t axis = axis_in(node, node.integer("axis", 0), x.rank());
  refuse_rows(node, x, axis);
  const std::int64_t extent = x.dims[n(axis)], outputs = node.proto().output_size();
  std::optional<Dims> sizes;
  if (node.opset() < 13)
    sizes = node.integer_list("split");
  else if (node.has(1))
    sizes = node.integers(1);
  if (!sizes) {
    const std::int64_t each = outputs == 0 ? 0 : (extent + outputs - 1) / outputs;
    sizes.emplace(n(outputs), each);
    if (outputs > 0) sizes->back() = extent - each * (outputs - 1);
  }
  std::int64_t begin = 0;
  if (static_cast<std::int64_t>(sizes->size()) != outputs) node.fail("has not one size for each output");
  for (std::int64_t i = 0; i < outputs; ++i) {
    const std::int64_t size = (*sizes)[n(i)];
    if (size < 1 || size > extent - begin) node.fail(fmt::format("its sizes do not fit {} entries", extent));
    if (node.wants(static_cast<int>(i))) {
      Dims taken;
      for (std::int64_t k = 0; k < size; ++k) taken.push_back(begin + k);
      take(node, static_cast<int>(i), x, node.id(0), axis, taken, {size});
      node.write("Slice", {node.id(0), Dims{begin}, Dims{begin + size}, Dims{axis}},
                 {node.result(static_cast<int>(i))});
    }
    begin += size;
  }
}

void concat(Node& node) {
  if (node.inputs() < 1) node.fail("has no inputs");
  const Value first = node.in(0);
  const std::int64_t axis =
      axis_in(node, node.opset() < 4 ? node.integer("axis", 1) : node.integer("axis", 0), first.rank());
  Dims dims = first.dims;
  bool counts_rows = false;
  dims[n(axis)] = 0;
  for (int i = 0; i < node.inputs(); ++i) {
    const Value& part = node.in(i);
    node.expect(i, {first.element});
    if (part.rows_axis() == axis) node.fail("would join batches of rows");
    Dims others = part.dims;
    if (others.size() == dims.size()) others[n(axis)] = dims[n(axis)];
    if (others != dims)
      node.fail(fmt::format("shapes {} and {} do not fit", to_text(first.dims), to_text(part.dims)));
    dims[n(axis)] += part.dims[n(axis)];
    counts_rows = counts_rows || part.counts_rows;
  }
  // Before the axis, as rows of pieces.
  Dims rest = dims;
  std::erase(rest, rows_extent);
  const std::int64_t own = rest_axis(first, axis);
  const std::int64_t before = count({rest.begin(), rest.begin() + own}), size = count(rest);
  struct Piece {
    int storage;
    std::int64_t run;
  };
  std::vector<Piece> pieces;
  std::vector<int> reads;
  for (int i = 0; i < node.inputs(); ++i) {
    reads.push_back(node.id(i));
    pieces.push_back({node.storage(node.id(i)), before == 0 ? 0 : count(node.in(i).rest()) / before});
  }
  const auto copy = [=]<class T>(T, std::int64_t rows, const auto& source, T* target) {
    for (std::int64_t r = 0; r < rows * before; ++r)
      for (std::size_t p = 0; p < pieces.size(); ++p) {
        const T* from = source(p) + r * pieces[p].run;
        target = std::copy_n(from, pieces[p].run, target);
      }
  };
  if (!first.per_row()) {
    Constant joined = Constant::zeros(first.element, dims);
    if (size > 0)
      std::visit(
          [&](auto& to) {
            using List = std::remove_cvref_t<decltype(to)>;
            using T = typename List::value_type;
            copy(
                T(), 1,
                [&](std::size_t p) {
                  return std::get<List>(node.plan().storages[n(pieces[p].storage)].constant->data).data();
                },
                to.data());
          },
          joined.data);
    node.fold(0, std::move(joined), counts_rows);
    return;
  }
  const int y = node.out(0, first.element, dims);
  const int to = node.storage(y);
  const auto step = [&]<class T>(T) {
    node.emit(reads, {y}, [=](const Frame& frame) {
      copy(
          T(), frame.rows, [&](std::size_t p) -> const T* { return frame.get<T>(pieces[p].storage); },
          frame.get<T>(to));
    });
  };
  if (first.element == Element::f32) step(float());
  if (first.element == Element::f64) step(double());
  if (first.element == Element::i64) step(std::int64_t());
  if (first.element == Element::boolean) step(std::uint8_t());
  node.write_same({{"axis", axis}});
}

}  // namespace

const std::map<std::string, Lower>& select_operators() {
  static const std::map<std::string, Lower> table = {
      {"Transpose", transpose}, {"Gather", gather}, {"Slice", slice}, {"Split", split}, {"Concat", concat},
  };
  return table;
}

}  // namespace emshap::io::foreign
