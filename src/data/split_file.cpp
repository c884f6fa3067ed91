// split.csv: which rows of which data were used for what.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/split.h"

namespace emshap {
namespace {

constexpr std::string_view mark = "# emshap split 1";

std::string hash_of(const Table& table) {
  return table.provenance().data_hash.empty() ? table.content_hash() : table.provenance().data_hash;
}

// The text after "key=" in the comment line.
std::string_view field(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + key.size());
  return line.substr(0, line.find(' '));
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void write_split(const std::filesystem::path& path, const Split& split, const Table& table) {
  std::vector<std::pair<std::int64_t, const char*>> lines;
  for (const std::int64_t r : split.train) lines.emplace_back(table.source_row(r), "train");
  for (const std::int64_t r : split.validation) lines.emplace_back(table.source_row(r), "validation");
  for (const std::int64_t r : split.test) lines.emplace_back(table.source_row(r), "test");
  std::sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = fmt::format("{} data_hash={} mode={} seed={}\nrow,part\n", mark, hash_of(table),
                                 to_string(split.mode), split.seed);
  for (const auto& [row, part] : lines) text += fmt::format("{},{}\n", row, part);
  write_file_atomically(path, text);
}

Split read_split(const std::filesystem::path& path, const Table& table) {
  const std::string content = read_file(path);
  std::string_view rest = content;
  const std::string_view first = take_line(rest);
  const auto bad = [&](std::int64_t line, const std::string& what) {
    throw IoError(fmt::format("{} line {}: {}", path.string(), line, what));
  };
  if (!first.starts_with(mark)) bad(1, fmt::format("this is no split file, expected '{} ...'", mark));
  Split split;
  const std::string_view mode = field(first, "mode=");
  for (const SplitMode candidate : {SplitMode::row, SplitMode::time, SplitMode::group})
    if (mode == to_string(candidate)) split.mode = candidate;
  if (!parse(field(first, "seed="), split.seed)) bad(1, "the seed cannot be read");
  const std::string hash = hash_of(table);
  if (field(first, "data_hash=") != hash)
    throw DataError(fmt::format("{}: the split belongs to other data (hash {}), expected the hash {} of {}",
                                path.string(), field(first, "data_hash="), hash, table.provenance().source));
  if (take_line(rest) != "row,part") bad(2, "expected the header 'row,part'");

  std::map<std::string_view, std::vector<std::int64_t>*> parts{
      {"train", &split.train}, {"validation", &split.validation}, {"test", &split.test}};
  std::int64_t at = 0;  // both the file and the table ascend by source row
  for (std::int64_t line = 3, previous = -1; !rest.empty(); ++line) {
    const std::string_view text = take_line(rest);
    const std::size_t comma = text.find(',');
    std::int64_t row = 0;
    if (comma == std::string_view::npos || !parse(text.substr(0, comma), row))
      bad(line, "expected 'row,part'");
    const auto part = parts.find(text.substr(comma + 1));
    if (part == parts.end())
      bad(line,
          fmt::format("part '{}' is not known, expected train, validation or test", text.substr(comma + 1)));
    if (row <= previous)
      bad(line, fmt::format("row {} follows row {}, expected ascending rows", row, previous));
    previous = row;
    while (at < table.rows() && table.source_row(at) < row) ++at;
    if (at == table.rows() || table.source_row(at) != row)
      throw DataError(
          fmt::format("{} line {}: row {} of {} is not in the table of {} rows; were other rows dropped?",
                      path.string(), line, row, table.provenance().source, table.rows()));
    part->second->push_back(at);
  }
  return split;
}

}  // namespace emshap
