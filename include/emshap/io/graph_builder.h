#pragma once
// Builds an ONNX model (opset 17, IR 8) from GraphWriter calls and checks it before it leaves. The same calls
// give the same bytes.
#include <filesystem>
#include <memory>

#include "emshap/data/graph_writer.h"

namespace emshap::io {

/// First metadata entry of what we write: the number of entries, so that a reader notices a cut file even
/// where the cut falls between two entries.
inline constexpr const char* metadata_count_key = "emshap.metadata_entries";

class EMSHAP_API GraphBuilder final : public GraphWriter {
 public:
  /// `name` of the graph; `doc` says what the model computes.
  explicit GraphBuilder(std::string name, std::string doc = {});
  ~GraphBuilder() override;
  GraphBuilder(const GraphBuilder&) = delete;
  GraphBuilder& operator=(const GraphBuilder&) = delete;

  GraphValue input(std::string_view name, GraphType type, const GraphDims& dims) override;
  void output(const GraphValue& value, std::string_view name, GraphType type, const GraphDims& dims) override;
  GraphValue constant(std::string_view name, const GraphExtents& extents,
                      std::span<const float> values) override;
  GraphValue constant(std::string_view name, const GraphExtents& extents,
                      std::span<const double> values) override;
  GraphValue constant(std::string_view name, const GraphExtents& extents,
                      std::span<const std::int64_t> values) override;
  GraphValues node(std::string_view op_type, const GraphValues& inputs, int outputs,
                   const GraphAttributes& attributes = {}, std::string_view name = {}) override;
  GraphBody subgraph(std::string_view name, const std::function<void(GraphWriter&)>& build) override;
  void metadata(std::string_view key, std::string_view value) override;
  void push_scope(std::string_view name) override;
  void pop_scope() override;

  /// Text shown beside an input or output, called by its name, e.g. ("power", "watts").
  void describe(std::string_view name, std::string_view text);

  /// The finished file. Runs ONNX's checker and strict shape inference; throws Error (internal) with their
  /// complaint in one sentence when the graph is not valid.
  std::string bytes() const;
  /// bytes() through AtomicFile. Throws IoError (environment).
  void save(const std::filesystem::path& path) const;

 protected:
  GraphValue unnamed_constant(const GraphExtents& extents, std::span<const float> values) override;
  GraphValue unnamed_constant(const GraphExtents& extents, std::span<const double> values) override;
  GraphValue unnamed_constant(const GraphExtents& extents, std::span<const std::int64_t> values) override;

 private:
  struct State;  // the model, shared by the main graph and its bodies
  struct Frame;  // one graph under construction
  GraphBuilder(std::shared_ptr<State> state, std::unique_ptr<Frame> frame);
  std::string unique_name(std::string_view hint);
  std::string exact_name(std::string_view name);
  template <class T>
  GraphValue add_constant(std::string name, const GraphExtents& extents, std::span<const T> values);

  std::shared_ptr<State> state_;
  std::unique_ptr<Frame> frame_;
};

}  // namespace emshap::io
