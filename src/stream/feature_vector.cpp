#include "emshap/stream/feature_vector.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <cmath>
#include <utility>

#include "emshap/core/error.h"
#include "feature_vector.pb.h"
#include "stream/checks.h"

namespace emshap::stream {
namespace {

using Message = v1::FeatureVector;

// The accessors of a metric, in the order of the field numbers.
struct Field {
  bool (Message::*has)() const;
  float (Message::*get)() const;
  void (Message::*set)(float);
};
#define EMSHAP_FIELD(name) \
  { &Message::has_##name, &Message::name, &Message::set_##name }
constexpr std::array<Field, metric_count> fields{{
    EMSHAP_FIELD(cpu_util),      EMSHAP_FIELD(mem_util),     EMSHAP_FIELD(disk_io),
    EMSHAP_FIELD(net_io),        EMSHAP_FIELD(gpu_util),     EMSHAP_FIELD(gpu_mem),
    EMSHAP_FIELD(temp_cpu),      EMSHAP_FIELD(temp_gpu),     EMSHAP_FIELD(fan_speed),
    EMSHAP_FIELD(voltage),       EMSHAP_FIELD(current),      EMSHAP_FIELD(frequency),
    EMSHAP_FIELD(cache_miss),    EMSHAP_FIELD(cache_hit),    EMSHAP_FIELD(context_switch),
    EMSHAP_FIELD(page_fault),    EMSHAP_FIELD(interrupts),   EMSHAP_FIELD(load_avg),
    EMSHAP_FIELD(process_count), EMSHAP_FIELD(thread_count),
}};
#undef EMSHAP_FIELD

template <class F>
void for_each_metric(F&& f) {
  [&]<std::size_t... m>(std::index_sequence<m...>) {
    (f.template operator()<m>(), ...);
  }
  (std::make_index_sequence<metric_count>());
}

}  // namespace

Absent parse_absent(const std::string& text) {
  if (text == "missing") return Absent::missing;
  if (text == "zero") return Absent::zero;
  throw ConfigError(fmt::format("'{}' is no meaning of absent metrics, expected missing or zero", text));
}

struct Decoder::Impl {
  explicit Impl(Acceptance a) : checks(std::move(a)) {}

  // protobuf would print a line for each text that is not UTF-8.
  google::protobuf::LogSilencer silent;
  Checks checks;
  Message message;
  std::vector<ExtraValue> extra;
  std::vector<std::string> names;
};

Decoder::Decoder(Acceptance acceptance) {
  check_limits(acceptance);
  impl_ = std::make_unique<Impl>(std::move(acceptance));
}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

const Presence& Decoder::presence() const {
  return impl_->checks.presence();
}

void Decoder::decode(std::string_view bytes, std::int32_t partition, std::int64_t offset, std::int64_t now,
                     Batch& batch) {
  Checks& checks = impl_->checks;
  if (static_cast<std::int64_t>(bytes.size()) > checks.acceptance().most_bytes)
    return Checks::reject(
        partition, offset, Reason::too_large,
        fmt::format("{} bytes, expected at most {}", bytes.size(), checks.acceptance().most_bytes), bytes,
        batch);
  Message& message = impl_->message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Checks::reject(partition, offset, Reason::not_a_message, "does not parse as a FeatureVector",
                          bytes, batch);

  Sample& sample = batch.samples.emplace_back();
  sample.time = message.time();
  sample.offset = offset;
  sample.partition = partition;
  sample.node_id = message.node_id();
  sample.power_consumption = message.power_consumption();
  std::uint32_t present = message.has_power_consumption() ? target_bit : 0;
  for_each_metric([&]<std::size_t m>() {
    present |= static_cast<std::uint32_t>((message.*fields[m].has)()) << m;
    sample.metrics[m] = (message.*fields[m].get)();
  });
  std::vector<ExtraValue>& extra = impl_->extra;
  extra.clear();
  for (const auto& [name, value] : message.extra()) extra.push_back({name, value});
  checks.settle(present, extra, bytes, now, batch);
}

void Decoder::accept(Sample sample, std::string_view bytes, std::int64_t now, Batch& batch) {
  std::vector<ExtraValue> extra;
  try {
    extra = read_extra(sample.extra, impl_->names);
  } catch (const DataError& error) {
    return Checks::reject(sample.partition, sample.offset, Reason::not_a_message, error.what(), bytes, batch);
  }
  if (!valid_utf8(sample.node_id))
    return Checks::reject(sample.partition, sample.offset, Reason::not_a_message, "node_id is not UTF-8",
                          bytes, batch);
  sample.extra.clear();
  const std::uint32_t present = measured(sample);
  batch.samples.push_back(std::move(sample));
  impl_->checks.settle(present, extra, bytes, now, batch);
}

std::vector<std::string> perhaps_zero(const Presence& presence) {
  std::vector<std::string> names;
  if (presence.messages < 1000) return names;
  for (std::size_t m = 0; m < metric_count; ++m)
    if (presence.zero[m] == 0 && 10 * presence.absent[m] >= presence.messages)
      names.push_back(metric_names[m]);
  return names;
}

void encode(const Sample& sample, std::string& out) {
  if (!valid_utf8(sample.node_id)) throw DataError("node_id is not UTF-8, which a message must have");
  Message message;
  message.set_time(sample.time);
  message.set_node_id(sample.node_id);
  if (!std::isnan(sample.power_consumption)) message.set_power_consumption(sample.power_consumption);
  for_each_metric([&]<std::size_t m>() {
    if (!std::isnan(sample.metrics[m])) (message.*fields[m].set)(sample.metrics[m]);
  });
  if (!sample.extra.empty()) {
    std::vector<std::string> names;
    for (const ExtraValue& e : read_extra(sample.extra, names))
      (*message.mutable_extra())[std::string(e.name)] = e.value;
  }
  google::protobuf::io::StringOutputStream stream(&out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);  // sorts the map
  message.SerializeToCodedStream(&coded);
}

}  // namespace emshap::stream
