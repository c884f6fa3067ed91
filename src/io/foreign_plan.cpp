#include "io/foreign_plan.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

constexpr std::int64_t aligned(std::int64_t bytes) {
  return (bytes + 63) & ~std::int64_t{63};
}

std::int64_t bytes_of(Element element) {
  switch (element) {
    case Element::f32:
      return 4;
    case Element::f64:
    case Element::i64:
      return 8;
    default:
      return 1;
  }
}

void add_inputs(Compiler& c, const std::vector<std::int64_t>& widths) {
  for (std::size_t i = 0; i < c.graph.inputs.size(); ++i) {
    const GraphInput& input = c.graph.inputs[i];
    c.plan.inputs.push_back(-1);
    if (!c.uses.contains(input.name)) continue;
    Element element = Element::f32;
    if (!element_of_type(input.type, &element) || element == Element::string || element == Element::boolean)
      throw IoError(fmt::format("{}: input '{}' takes {}, expected numbers", c.graph.file, input.name,
                                type_text(input.type)));
    Dims dims = input.has_shape ? input.dims : Dims{rows_extent, widths[i]};
    dims[0] = rows_extent;
    if (dims.size() == 2) dims[1] = widths[i];
    c.names[input.name] = static_cast<int>(c.plan.values.size());
    c.plan.inputs.back() = static_cast<int>(c.plan.storages.size());
    c.plan.values.push_back({input.name, element, dims, c.plan.inputs.back(), false});
    c.plan.storages.push_back({element, widths[i], nullptr});
  }
}

void add_constants(Compiler& c) {
  for (const auto& [name, constant] : c.graph.initialisers) {
    if (!c.uses.contains(name)) continue;
    c.names[name] = static_cast<int>(c.plan.values.size());
    c.plan.values.push_back(
        {name, constant->element(), constant->dims, static_cast<int>(c.plan.storages.size()), false});
    c.plan.storages.push_back({constant->element(), constant->elements(), constant});
  }
}

Lower find(const std::string& domain, const std::string& op_type) {
  const auto look = [&](const std::map<std::string, Lower>& table) -> Lower {
    const auto found = table.find(op_type);
    return found == table.end() ? nullptr : found->second;
  };
  if (domain == "ai.onnx.ml") return look(ml_operators());
  if (!domain.empty()) return nullptr;
  for (const auto* table :
       {&activation_operators(), &cast_operators(), &elementwise_operators(), &select_operators(),
        &shape_operators(), &product_operators(), &reduce_operators()})
    if (const Lower lower = look(*table)) return lower;
  return nullptr;
}

}  // namespace

void Plan::place() {
  // Last use of each storage; what the output needs lives to the end.
  std::vector<std::size_t> last(storages.size(), 0);
  for (std::size_t s = 0; s < steps.size(); ++s)
    for (const auto* list : {&steps[s].reads, &steps[s].writes})
      for (const int storage : *list) last[n(storage)] = s;
  last[n(values[n(output)].storage)] = steps.size();

  offset_.assign(storages.size(), -1);
  struct Gap {
    std::int64_t begin, bytes;
  };
  std::vector<Gap> gaps;
  std::int64_t end = 0;
  const auto take = [&](int storage) {
    if (offset_[n(storage)] >= 0 || storages[n(storage)].constant) return;
    // Per row; the tile is a multiple of 64 rows, so that places start on cache lines, but for the largest.
    const std::int64_t bytes =
        std::max<std::int64_t>(1, storages[n(storage)].size) * bytes_of(storages[n(storage)].element);
    for (std::size_t g = 0; g < gaps.size(); ++g)
      if (gaps[g].bytes >= bytes) {
        offset_[n(storage)] = gaps[g].begin;
        gaps[g].begin += bytes;
        gaps[g].bytes -= bytes;
        if (gaps[g].bytes == 0) gaps.erase(gaps.begin() + static_cast<std::ptrdiff_t>(g));
        return;
      }
    offset_[n(storage)] = end;
    end += bytes;
  };
  const auto give_back = [&](int storage) {
    if (storages[n(storage)].constant) return;
    const std::int64_t bytes =
        std::max<std::int64_t>(1, storages[n(storage)].size) * bytes_of(storages[n(storage)].element);
    std::int64_t begin = offset_[n(storage)];
    Gap gap{begin, bytes};
    for (std::size_t g = 0; g < gaps.size();) {
      if (gaps[g].begin + gaps[g].bytes == gap.begin || gap.begin + gap.bytes == gaps[g].begin) {
        gap = {std::min(gap.begin, gaps[g].begin), gap.bytes + gaps[g].bytes};
        gaps.erase(gaps.begin() + static_cast<std::ptrdiff_t>(g));
        g = 0;
      } else {
        ++g;
      }
    }
    gaps.push_back(gap);
  };
  for (const int storage : inputs)
    if (storage >= 0) take(storage);
  for (std::size_t s = 0; s < steps.size(); ++s) {
    for (const int storage : steps[s].writes) take(storage);
    std::vector<int> done;
    for (const auto* list : {&steps[s].reads, &steps[s].writes})
      for (const int storage : *list)
        if (last[n(storage)] == s && std::find(done.begin(), done.end(), storage) == done.end())
          done.push_back(storage);
    for (const int storage : done) give_back(storage);
  }
  slots_bytes_ = end;
  // A tile stays in the second-level cache, and is large enough for the cost of a step's call to vanish.
  constexpr std::int64_t cache = 384 << 10;
  constexpr std::int64_t large = 1 << 20, too_large = 16 << 20;
  if (end > too_large) throw IoError(fmt::format("{} bytes of memory are needed for a row", end));
  tile_ =
      end > large ? 16 : std::clamp<std::int64_t>(cache / std::max<std::int64_t>(end, 1) / 64 * 64, 64, 1024);
}

void Plan::lay_out(void* memory, void** at) const {
  for (std::size_t s = 0; s < storages.size(); ++s)
    at[s] = storages[s].constant ? storages[s].constant->memory()
            : offset_[s] >= 0    ? static_cast<char*>(memory) + offset_[s] * tile_
                                 : nullptr;
}

Plan compile(const ForeignGraph& graph, const std::string& output, const std::vector<std::int64_t>& widths) {
  Compiler c{graph, {}, {}, {}, {}, Context()};
  const std::vector<const onnx::NodeProto*> nodes = graph.needed(output);
  for (const onnx::NodeProto* node : nodes)
    for (const std::string& name : node->input())
      if (!name.empty()) ++c.uses[name];
  ++c.uses[output];
  add_inputs(c, widths);
  add_constants(c);
  // Operators first: that a model cannot be used at all matters more than what else is wrong with it.
  for (const onnx::NodeProto* node : nodes)
    if (find(domain_of(*node), node->op_type()) == nullptr)
      throw IoError(fmt::format("{}: {} is an operator that is not supported", graph.file, describe(*node)));
  for (const onnx::NodeProto* proto : nodes) {
    const std::string domain = domain_of(*proto);
    const auto opset = graph.opsets.find(domain);
    if (opset == graph.opsets.end())
      throw IoError(fmt::format("{}: {} is of a domain whose opset the file does not name", graph.file,
                                describe(*proto)));
    Node node(c, *proto, opset->second);
    try {
      find(domain, proto->op_type())(node);
      for (int i = 0; i < proto->output_size(); ++i)
        if (node.wants(i) && !c.names.contains(proto->output(i)))
          node.fail(fmt::format("its output {} is not supported", i));
    } catch (const Error& error) {
      throw IoError(fmt::format("{}: {}: {}", graph.file, describe(*proto), error.what()));
    }
  }
  const auto made = c.names.find(output);
  if (made == c.names.end())
    throw IoError(fmt::format("{}: nothing makes the output '{}'", graph.file, output));
  c.plan.output = made->second;
  if (!c.plan.values[n(c.plan.output)].per_row())
    throw IoError(fmt::format("{}: the output '{}' does not depend on the input", graph.file, output));
  try {
    c.plan.place();
  } catch (const Error& error) {
    throw IoError(fmt::format("{}: {}", graph.file, error.what()));
  }
  return std::move(c.plan);
}

}  // namespace emshap::io::foreign
