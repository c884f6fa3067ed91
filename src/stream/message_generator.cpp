#include "emshap/stream/message_generator.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/stream/feature_vector.h"

namespace emshap::stream {
namespace {

constexpr std::uint32_t poison_layer = 5;
constexpr std::int64_t year_2100 = 4'102'444'800;
constexpr std::array kinds{Reason::not_a_message, Reason::no_time,    Reason::future_time,
                           Reason::no_node,       Reason::not_finite, Reason::negative_value,
                           Reason::repeated};

/// A metric once more at the end of a message: the last one counts. encode() would leave NaN out.
void append_metric(std::size_t metric, float value, std::string& bytes) {
  const auto tag = static_cast<unsigned>((4 + metric) << 3 | 5);  // field number, four bytes
  if (tag >= 128) bytes.push_back(static_cast<char>((tag & 127) | 128));
  bytes.push_back(static_cast<char>(tag >= 128 ? tag >> 7 : tag));
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(bits >> shift));
}

/// Bytes that no parser takes: noise that starts with the reserved wire type 7, or a message without its end.
void tear(Generator& random, std::string& bytes) {
  if (random.below(2) == 0) {
    bytes.resize(bytes.size() - 1 - random.below(3));  // inside the last value
    return;
  }
  bytes.assign(1 + random.below(200), '\x0f');
  for (std::size_t i = 1; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random.below(256));
}

}  // namespace

struct MessageGenerator::Impl {
  HostSimulator simulator;
  std::uint64_t seed;
  double poison;
  std::int64_t row = 0;
  std::vector<HostSample> block = std::vector<HostSample>(1024);
  std::size_t used = 0, filled = 0;
  std::unordered_map<std::int64_t, std::string> last_good{};  ///< only where there is poison
};

MessageGenerator::MessageGenerator(const HostSimulatorOptions& options, double poison) {
  if (!(poison >= 0 && poison <= 1))
    throw ConfigError(fmt::format("message generator: the share of poison is {}, expected 0 to 1", poison));
  impl_ = std::make_unique<Impl>(Impl{HostSimulator(options), options.seed, poison, {}});
}
MessageGenerator::~MessageGenerator() = default;
MessageGenerator::MessageGenerator(MessageGenerator&&) noexcept = default;

bool MessageGenerator::next(GeneratedMessage& message) {
  Impl& m = *impl_;
  if (m.used == m.filled) {
    m.filled = static_cast<std::size_t>(m.simulator.next(m.block));
    m.used = 0;
    if (m.filled == 0) return false;
  }
  const HostSample& host = m.block[m.used++];
  Sample sample = to_sample(host);
  message.key = sample.node_id;
  message.bytes.clear();
  message.fate.reset();
  if (m.poison > 0) {
    Generator random({m.seed, RandomPurpose::data_generation, poison_layer},
                     static_cast<std::uint64_t>(m.row));
    if (random.uniform() < m.poison) message.fate = kinds[random.below(kinds.size())];
    const auto last = m.last_good.find(host.node);
    if (message.fate == Reason::repeated && last == m.last_good.end()) message.fate.reset();
    if (message.fate == Reason::no_time) sample.time = 0;
    if (message.fate == Reason::future_time) sample.time = year_2100 + m.row;
    if (message.fate == Reason::no_node) sample.node_id.clear();
    encode(sample, message.bytes);
    if (message.fate == Reason::not_a_message) {
      tear(random, message.bytes);
    } else if (message.fate == Reason::not_finite) {
      constexpr float infinity = std::numeric_limits<float>::infinity();
      const std::array bad{std::numeric_limits<float>::quiet_NaN(), infinity, -infinity};
      append_metric(random.below(metric_count), bad[random.below(3)], message.bytes);
    } else if (message.fate == Reason::negative_value) {
      append_metric(random.below(2), -5.0f, message.bytes);  // a utilisation
    } else if (message.fate == Reason::repeated) {
      message.bytes = last->second;
    }
    if (!message.fate) m.last_good[host.node] = message.bytes;
  } else {
    encode(sample, message.bytes);
  }
  ++m.row;
  return true;
}

Sample to_sample(const HostSample& host) {
  Sample sample;
  sample.time = host.time;
  sample.node_id = fmt::format("node-{}", host.node);
  sample.power_consumption = static_cast<float>(host.power_consumption);
  for (std::size_t i = 0; i < metric_count; ++i)
    sample.metrics[i] = std::isnan(host.metrics[i]) ? not_measured : static_cast<float>(host.metrics[i]);
  return sample;
}

std::uint64_t message_hash(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace emshap::stream
