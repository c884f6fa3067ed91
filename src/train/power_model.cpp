#include "emshap/train/power_model.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/train/checkpoint.h"

namespace emshap {
namespace {
using Json = nlohmann::ordered_json;
constexpr std::int64_t tile_rows = 1024;  // predictions are made in blocks of this many rows
}  // namespace

std::string power_architecture(const PowerPredictorOptions& o, const std::string& scaler_hash) {
  return Json{{"model", "power"},
              {"features", o.features},
              {"hidden", o.hidden},
              {"activation", to_string(o.activation)},
              {"batch_norm", o.batch_norm},
              {"dropout", o.dropout},
              {"residual_blocks", o.residual_blocks},
              {"members", o.members},
              {"seed", o.seed},
              {"scaler", scaler_hash}}
      .dump();
}

PowerPredictorOptions parse_power_architecture(const std::string& text) {
  try {
    const Json j = Json::parse(text);
    if (j.at("model").get<std::string>() != "power")
      throw IoError(
          fmt::format("the checkpoint is of a {} model, expected power", j.at("model").get<std::string>()));
    PowerPredictorOptions o;
    o.features = j.at("features").get<std::int64_t>();
    o.hidden = j.at("hidden").get<std::vector<std::int64_t>>();
    o.activation = parse_activation(j.at("activation").get<std::string>());
    o.batch_norm = j.at("batch_norm").get<bool>();
    o.dropout = j.at("dropout").get<double>();
    o.residual_blocks = j.at("residual_blocks").get<int>();
    o.members = j.at("members").get<int>();
    o.seed = j.at("seed").get<std::uint64_t>();
    return o;
  } catch (const nlohmann::json::exception& e) {
    throw IoError(fmt::format("the checkpoint's description of its network is damaged: {}", e.what()));
  }
}

PowerModel load_power_model(const RunDirectory& run) {
  const RunModel& entry = run.model(PowerFiles::model);
  if (entry.status != "finished")
    throw IoError(
        fmt::format("{}: the training of the power model has not been finished; continue it with --resume",
                    run.folder().string()));
  const auto file = run.verified(PowerFiles::checkpoint);
  const CheckpointReader checkpoint(file);
  PowerModel model;
  model.target = entry.target;
  model.scaler = Preprocessor::load(run.verified(PowerFiles::scaler));
  const std::string text = checkpoint.text("architecture");
  const PowerPredictorOptions options = parse_power_architecture(text);
  if (power_architecture(options, model.scaler.hash()) != text ||
      options.features != model.scaler.features.outputs())
    throw IoError(fmt::format("{}: the checkpoint belongs to another {} than the run's", file.string(),
                              PowerFiles::scaler));
  model.network = std::make_unique<PowerPredictor>(options);
  ParameterStore& store = model.network->store();
  if (checkpoint.text("power.layout") != store.layout())
    throw IoError(fmt::format("{}: the checkpoint's parameters do not fit its network", file.string()));
  checkpoint.read("power.values", store.flat_values());
  checkpoint.read("power.buffers", store.flat_buffers());
  return model;
}

void PowerModel::predict(TeamPool& pool, ConstTensorView raw, TensorView y) const {
  const Device device = network->store().device();
  if (raw.cols() != scaler.features.inputs() || y.rows() != raw.rows())
    throw ShapeError(fmt::format("predict: raw has shape {} and y {}, expected ({}, {}) and ({}, 1)",
                                 raw.shape().str(), y.shape().str(), raw.rows(), scaler.features.inputs(),
                                 raw.rows()));
  if (raw.rows() == 0) return;
  pool.run(raw.rows(), [&](Context& ctx, const ShardPlan& plan) {
    Tensor x, on_device, out;
    for (std::int64_t begin = 0; begin < plan.local_rows; begin += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, plan.local_rows - begin), at = plan.row_begin + begin;
      x.ensure({rows, scaler.features.outputs()}, DType::f32);
      scaler.features.transform(raw.rows(at, rows), x);
      out.ensure({rows, 1}, DType::f32, device);
      if (device.kind == DeviceKind::cpu) {
        network->infer(ctx, x, out);
      } else {
        on_device.ensure(x.shape(), DType::f32, device);
        copy_bytes(on_device.view().data(), device, x.view().data(), Device{},
                   x.elements() * size_of(DType::f32));
        network->infer(ctx, on_device, out);
        ctx.synchronize();
      }
      Tensor host({rows, 1});
      copy_bytes(host.view().data(), Device{}, out.view().data(), device, rows * size_of(DType::f32));
      scaler.target.inverse(host, y.rows(at, rows));
    }
  });
}

Tensor PowerModel::predict(TeamPool& pool, const Table& table, std::span<const std::int64_t> rows) const {
  scaler.features.check_names(table.feature_names(), table.provenance().source);
  Tensor y({static_cast<std::int64_t>(rows.size()), 1});
  constexpr std::size_t block = 65536;  // raw copies of a large table are made in blocks
  for (std::size_t begin = 0; begin < rows.size(); begin += block) {
    const auto part = rows.subspan(begin, std::min(block, rows.size() - begin));
    const Tensor raw = raw_features(table, part);
    predict(pool, raw,
            y.view().rows(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(part.size())));
  }
  return y;
}

}  // namespace emshap
