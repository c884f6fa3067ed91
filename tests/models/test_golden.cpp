// Our results in f64 against PyTorch's, read from tests/golden: outputs, all gradients, running statistics,
// and ten steps of Adam and AdamW. Each case prints the largest share of the tolerance that it used.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "emshap/layers/gru.h"
#include "emshap/layers/skip_mlp.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/golden.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double rtol = 1e-9, atol = 1e-12;

class Checker {
 public:
  explicit Checker(const std::string& name) : golden(name), name_(name) {}
  ~Checker() { MESSAGE(name_ << ": at most " << used_ << " of the tolerance used; " << golden.header()); }
  void close(const std::string& entry, std::span<const double> got) {
    const auto& ref = golden[entry].values;
    used_ = std::max(used_,
                     check_close(name_ + ", " + entry, got, ref, {atol * std::max(1.0, max_abs(ref)), rtol}));
  }
  void close(const std::string& entry, const ConstTensorView& got) { close(entry, to_doubles(got)); }
  Tensor tensor(const std::string& entry) const {
    return make_tensor(golden[entry].values, golden[entry].shape, DType::f64);
  }
  const Golden golden;

 private:
  std::string name_;
  double used_ = 0;
};

/// A network whose parameters are called `prefix` + PyTorch's name.
class Network {
 public:
  Network(Checker& check, AnyLayer& layer, Backend backend, std::string prefix)
      : check_(check),
        layer_(layer),
        ctx_(make_context(backend)),
        prefix_(std::move(prefix)),
        x_(check.tensor("x")) {}

  void run() {
    set("start");
    const Tensor dy = check_.tensor("dy");
    Tensor y(dy.shape(), DType::f64), dx(x_.shape(), DType::f64);
    layer_.store().clear_gradients(*ctx_);
    layer_.forward(*ctx_, 0, x_, y);
    layer_.backward(*ctx_, dy, dx);
    check_.close("y", y.view());
    check_.close("dx", dx.view());
    for_each_parameter([&](const std::string& name, ParameterId id) {
      check_.close("gradient." + name, layer_.store().gradient(id));
    });
    for_each_buffer([&](const std::string& name, BufferId id) {
      check_.close("after." + name, layer_.store().buffer(id));
    });
    layer_.infer(*ctx_, x_, y);
    check_.close("y_eval", y.view());
    train("adam", {.learning_rate = .01}, 0);
    train("adamw", {.learning_rate = .01, .weight_decay = .1}, .5);
  }

 private:
  template <class Body>
  void for_each_parameter(const Body& body) {
    const auto& all = layer_.store().parameters();
    for (std::size_t i = 0; i < all.size(); ++i)
      body(all[i].name.substr(prefix_.size()), ParameterId{static_cast<int>(i)});
  }
  template <class Body>
  void for_each_buffer(const Body& body) {
    const auto& all = layer_.store().buffers();
    for (std::size_t i = 0; i < all.size(); ++i)
      body(all[i].name.substr(prefix_.size()), BufferId{static_cast<int>(i)});
  }
  void set(const std::string& state) {
    for_each_parameter([&](const std::string& name, ParameterId id) {
      CHECK(check_.golden[state + "." + name].shape == layer_.store().value(id).shape());
      layer_.store().set(id, check_.golden[state + "." + name].values);
    });
    for_each_buffer([&](const std::string& name, BufferId id) {
      layer_.store().set(id, check_.golden[state + "." + name].values);
    });
  }

  void train(const std::string& optimiser, const AdamOptions& options, double clip) {
    set("start");
    ParameterStore& s = layer_.store();
    const Tensor target = check_.tensor("target");
    Tensor y(target.shape(), DType::f64), dy(target.shape(), DType::f64), loss({1}, DType::f64),
        norm({1}, DType::f64), scale({1}, DType::f64);
    for (const TensorView& moment : {s.flat_moment1(), s.flat_moment2()})
      std::fill_n(moment.ptr<double>(), moment.elements(), 0.0);
    std::vector<double> losses, norms;
    for (int step = 1; step <= 10; ++step) {
      s.clear_gradients(*ctx_);
      layer_.forward(*ctx_, 0, x_, y);
      ops::loss_forward(*ctx_, Loss::mse, 1, y, target, loss, dy);
      layer_.backward(*ctx_, dy, {});
      ops::clip_scale(*ctx_, s.flat_gradients(), clip, norm, scale);
      ops::adam_step(*ctx_, options, step, s.flat_gradients(), scale, s.decay_mask(), s.flat_values(),
                     s.flat_moment1(), s.flat_moment2());
      losses.push_back(loss.ptr<double>()[0]);
      norms.push_back(norm.ptr<double>()[0]);
    }
    check_.close(optimiser + ".loss", losses);
    check_.close(optimiser + ".norm", norms);
    for_each_parameter([&](const std::string& name, ParameterId id) {
      check_.close(optimiser + ".final." + name, s.value(id));
    });
    for_each_buffer([&](const std::string& name, BufferId id) {
      check_.close(optimiser + ".final." + name, s.buffer(id));
    });
  }

  Checker& check_;
  AnyLayer& layer_;
  std::unique_ptr<Context> ctx_;
  std::string prefix_;
  Tensor x_;
};

template <class Make>
void check_network(const std::string& file, const Make& make, const std::string& prefix = "") {
  Checker check(file);
  for (const Backend backend : cpu_levels()) {
    const auto layer = layer_case(file, 0, 0, make).make(DType::f64, {});
    INFO(std::string(to_string(backend)));
    Network(check, *layer, backend, prefix).run();
  }
}

void check_predictor(const std::string& file, const PowerPredictorOptions& options) {
  check_network(file, [options](ParameterStore&, DType dtype, Device device) {
    return PowerPredictor(options, dtype, device);
  });
}

void check_skip_mlp(const std::string& file, const SkipMlpOptions& options) {
  check_network(
      file, [options](ParameterStore& s, DType, Device) { return SkipMlp(s, "net", options); }, "net.");
}

}  // namespace

TEST_CASE("PyTorch: activations") {
  Checker check("activations");
  const Tensor x = check.tensor("x"), dy = check.tensor("dy");
  Tensor y(x.shape(), DType::f64), dx(x.shape(), DType::f64);
  for (const Backend backend : cpu_levels()) {
    Context ctx(backend);
    for (const char* name :
         {"identity", "relu", "leaky_relu", "gelu", "tanh", "sigmoid", "softplus", "silu"}) {
      const Activation a = parse_activation(name);
      ops::activation_forward(ctx, a, x, y);
      ops::activation_backward(ctx, a, x, y, dy, dx);
      check.close(fmt::format("{}.y", name), y.view());
      check.close(fmt::format("{}.dx", name), dx.view());
    }
  }
}

TEST_CASE("PyTorch: losses") {
  Checker check("losses");
  const Tensor prediction = check.tensor("prediction"), target = check.tensor("target");
  Tensor loss({1}, DType::f64), gradient(prediction.shape(), DType::f64);
  struct Case {
    const char* name;
    Loss kind;
    double delta;
  };
  for (const Backend backend : cpu_levels()) {
    Context ctx(backend);
    for (const Case& c : {Case{"mse", Loss::mse, 1},
                          {"huber_1", Loss::huber, 1},
                          {"huber_0.3", Loss::huber, .3},
                          {"smooth_l1", Loss::huber, 1}}) {
      ops::loss_forward(ctx, c.kind, c.delta, prediction, target, loss, gradient);
      check.close(fmt::format("{}.loss", c.name), loss.view());
      check.close(fmt::format("{}.gradient", c.name), gradient.view());
    }
  }
}

TEST_CASE("PyTorch: linear and batch norm") {
  check_network("linear", [](ParameterStore& s, DType, Device) {
    return Linear(s, "linear", {.inputs = 5, .outputs = 4});
  });
  check_network("batch_norm",
                [](ParameterStore& s, DType, Device) { return BatchNorm(s, "norm", {.features = 6}); });
}

TEST_CASE("PyTorch: GRU") {
  check_network("gru", [](ParameterStore& s, DType, Device) {
    return Gru(s, "gru", {.inputs = 3, .hidden = 5, .steps = 4});
  });
}

TEST_CASE("PyTorch: power predictor") {
  check_predictor("mlp", {.features = 5, .hidden = {8, 4}, .dropout = 0});
  check_predictor(
      "mlp_plain_gelu",
      {.features = 5, .hidden = {8, 4}, .activation = Activation::gelu, .batch_norm = false, .dropout = 0});
  check_predictor(
      "residual",
      {.features = 5, .hidden = {6, 4}, .activation = Activation::tanh, .dropout = 0, .residual_blocks = 1});
}

TEST_CASE("PyTorch: skip MLP") {
  check_skip_mlp("skip_mlp_add", {.inputs = 4,
                                  .hidden = 6,
                                  .outputs = 2,
                                  .blocks = 2,
                                  .depth = 2,
                                  .skip = Skip::add,
                                  .activation = Activation::silu});
  check_skip_mlp("skip_mlp_concat",
                 {.inputs = 4, .hidden = 6, .outputs = 2, .blocks = 2, .depth = 1, .skip = Skip::concat});
}
