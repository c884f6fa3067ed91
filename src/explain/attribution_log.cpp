#include "emshap/explain/attribution_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/train/checkpoint.h"

namespace emshap {
namespace {

namespace fs = std::filesystem;
constexpr const char* rows_name = "attributions.partial";
constexpr const char* progress_name = "attributions.progress";
constexpr std::array<char, 16> magic{'E', 'M', 'S', 'H', 'A', 'P', 'A', 'L', 1, 0, 0, 0, 0, 0, 0, 0};
constexpr std::size_t fixed_numbers = 7;  // of a record, before phi and its errors
constexpr std::size_t block_rows = 4096;

[[noreturn]] void fail(const fs::path& file, const char* action, int error) {
  throw IoError(fmt::format("file {} could not be {}: {}", file.string(), action, std::strerror(error)),
                ErrorKind::environment);
}

void write_all(int descriptor, const void* data, std::size_t bytes, const fs::path& file) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(descriptor, from, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(file, "written", errno);
    from += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void read_all(int descriptor, void* data, std::size_t bytes, std::int64_t offset, const fs::path& file) {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pread(descriptor, to, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(file, "read", errno);
    if (n == 0)
      throw IoError(fmt::format("file {} is shorter than its progress says; start again without --resume",
                                file.string()));
    to += n;
    offset += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

/// As Hash64, but on from a state.
std::uint64_t hashed(std::uint64_t state, std::span<const double> numbers) {
  for (const double x : numbers) {
    state = (state ^ std::bit_cast<std::uint64_t>(x)) * 0x100000001b3ULL;
    state ^= state >> 32;
  }
  return state;
}
constexpr std::uint64_t hash_start = 0xcbf29ce484222325ULL;

}  // namespace

std::string flag_names(std::uint32_t flags) {
  std::string out;
  for (const auto& [bit, name] : {std::pair{ExplainedRow::missing, "missing"},
                                  {ExplainedRow::not_converged, "not_converged"},
                                  {ExplainedRow::unusual, "out_of_distribution"},
                                  {ExplainedRow::outside, "outside_range"}})
    if ((flags & bit) != 0) out += (out.empty() ? "" : "|") + std::string(name);
  return out;
}

AttributionLog::AttributionLog(fs::path folder, std::string settings_hash, std::int64_t players)
    : folder_(std::move(folder)),
      settings_hash_(std::move(settings_hash)),
      players_(players),
      hash_(hash_start) {}

AttributionLog::~AttributionLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

AttributionLog::AttributionLog(AttributionLog&& other) noexcept
    : folder_(std::move(other.folder_)),
      settings_hash_(std::move(other.settings_hash_)),
      note_(std::move(other.note_)),
      players_(other.players_),
      rows_(other.rows_),
      committed_(other.committed_),
      hash_(other.hash_),
      sums_(std::move(other.sums_)),
      pending_(std::move(other.pending_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

fs::path AttributionLog::rows_file() const {
  return folder_ / rows_name;
}

std::int64_t AttributionLog::record_bytes() const {
  return static_cast<std::int64_t>(sizeof(double)) *
         (static_cast<std::int64_t>(fixed_numbers) + 2 * players_);
}

void AttributionLog::open(bool fresh) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail(folder_, "created", error.value());
  if (fresh) {
    fs::remove(folder_ / progress_name, error);
    fs::remove(rows_file(), error);
  }
  descriptor_ =
      ::open(rows_file().c_str(), O_RDWR | O_APPEND | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0), 0644);
  if (descriptor_ < 0) fail(rows_file(), "opened", errno);
  if (fresh) write_all(descriptor_, magic.data(), magic.size(), rows_file());
}

AttributionLog AttributionLog::create(const fs::path& folder, const std::string& settings_hash,
                                      std::int64_t players) {
  AttributionLog log(folder, settings_hash, players);
  log.open(true);
  return log;
}

bool AttributionLog::exists(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / progress_name, ignored);
}

AttributionLog AttributionLog::resume(const fs::path& folder, const std::string& settings_hash,
                                      std::int64_t players) {
  AttributionLog log(folder, settings_hash, players);
  const CheckpointReader progress(folder / progress_name);
  const std::string belongs = progress.text("settings");
  if (belongs != settings_hash)
    throw ConfigError(
        fmt::format("{} holds unfinished results of other settings, models or data (hash {}, expected {}); "
                    "give the same again, another --out, or --overwrite",
                    folder.string(), belongs, settings_hash));
  log.sums_ = progress.reals("sums");
  log.note_ = progress.text("note");
  const std::vector<std::int64_t> numbers = progress.integers("rows");
  if (numbers.size() != 2 || numbers[0] < 0)
    throw IoError(fmt::format("file {} is damaged", (folder / progress_name).string()));
  log.rows_ = log.committed_ = numbers[0];
  log.open(false);
  log.check_content(std::bit_cast<std::uint64_t>(numbers[1]));
  return log;
}

void AttributionLog::check_content(std::uint64_t expected) {
  std::array<char, magic.size()> start{};
  read_all(descriptor_, start.data(), start.size(), 0, rows_file());
  std::vector<double> some;
  const auto numbers = static_cast<std::size_t>(record_bytes()) / sizeof(double);
  const auto total = static_cast<std::size_t>(committed_);
  for (std::size_t r = 0; r < total && start == magic; r += block_rows) {
    some.resize(std::min(block_rows, total - r) * numbers);
    read_all(descriptor_, some.data(), some.size() * sizeof(double),
             static_cast<std::int64_t>(magic.size() + r * numbers * sizeof(double)), rows_file());
    hash_ = hashed(hash_, some);
  }
  if (start != magic || hash_ != expected)
    throw IoError(fmt::format("file {} is damaged; start again without --resume", rows_file().string()));
  if (::ftruncate(descriptor_, static_cast<off_t>(magic.size()) + committed_ * record_bytes()) != 0)
    fail(rows_file(), "cut to its finished rows", errno);
}

void AttributionLog::append(const ExplainedRow& row) {
  if (static_cast<std::int64_t>(row.phi.size()) != players_ || row.standard_error.size() != row.phi.size())
    throw ShapeError(
        fmt::format("a row with {} attributions was appended, expected {}", row.phi.size(), players_));
  for (const double x : {static_cast<double>(row.row), row.prediction, row.effective_min, row.effective_mean,
                         row.msev, row.log_density, static_cast<double>(row.flags)})
    pending_.push_back(x);
  pending_.insert(pending_.end(), row.phi.begin(), row.phi.end());
  pending_.insert(pending_.end(), row.standard_error.begin(), row.standard_error.end());
  ++rows_;
}

void AttributionLog::commit(std::span<const double> sums, const std::string& note) {
  write_all(descriptor_, pending_.data(), pending_.size() * sizeof(double), rows_file());
  if (::fsync(descriptor_) != 0) fail(rows_file(), "flushed to disk", errno);
  hash_ = hashed(hash_, pending_);
  pending_.clear();
  committed_ = rows_;
  sums_.assign(sums.begin(), sums.end());
  note_ = note;
  CheckpointWriter progress;
  progress.add("settings", std::string_view(settings_hash_));
  progress.add("note", std::string_view(note_));
  const std::array<std::int64_t, 2> numbers{rows_, std::bit_cast<std::int64_t>(hash_)};
  progress.add("rows", std::span<const std::int64_t>(numbers));
  progress.add("sums", std::span<const double>(sums_));
  progress.write(folder_ / progress_name);
}

std::vector<ExplainedRow> AttributionLog::read(std::int64_t begin, std::int64_t count) const {
  if (begin < 0 || count < 0 || begin + count > committed_)
    throw ShapeError(fmt::format("rows {} to {} of the attributions were asked for, expected at most {}",
                                 begin, begin + count, committed_));
  const auto numbers = static_cast<std::size_t>(record_bytes()) / sizeof(double);
  const auto M = static_cast<std::size_t>(players_);
  std::vector<double> all(static_cast<std::size_t>(count) * numbers);
  read_all(descriptor_, all.data(), all.size() * sizeof(double),
           static_cast<std::int64_t>(magic.size()) + begin * record_bytes(), rows_file());
  std::vector<ExplainedRow> out(static_cast<std::size_t>(count));
  for (std::size_t r = 0; r < out.size(); ++r) {
    const double* from = all.data() + r * numbers;
    ExplainedRow& row = out[r];
    row.row = static_cast<std::int64_t>(from[0]);
    row.prediction = from[1];
    row.effective_min = from[2];
    row.effective_mean = from[3];
    row.msev = from[4];
    row.log_density = from[5];
    row.flags = static_cast<std::uint32_t>(from[6]);
    row.phi.assign(from + fixed_numbers, from + fixed_numbers + M);
    row.standard_error.assign(from + fixed_numbers + M, from + numbers);
  }
  return out;
}

void AttributionLog::remove() {
  std::error_code ignored;
  // The progress first: rows without it count for nothing.
  fs::remove(folder_ / progress_name, ignored);
  fs::remove(rows_file(), ignored);
}

}  // namespace emshap
