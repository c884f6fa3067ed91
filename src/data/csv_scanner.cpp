#include "data/csv_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include "emshap/core/error.h"

namespace emshap {

CsvScanner::CsvScanner(std::string name, ByteReader reader, const CsvOptions& options)
    : name_(std::move(name)), reader_(std::move(reader)), delimiter_(options.delimiter) {
  const auto d = static_cast<unsigned char>(delimiter_);
  if (d == 0 || std::strchr("\"\r\n.+-", delimiter_) != nullptr || std::isalnum(d) != 0 || d >= 128)
    throw ConfigError(
        fmt::format("csv delimiter (character code {}) is not possible, expected a comma, semicolon, tab, "
                    "blank or other mark",
                    static_cast<int>(d)));
  buffer_.resize(std::max<std::size_t>(options.chunk_bytes / 4, 64) + 1);
  special_[d] = special_['\n'] = special_['\r'] = special_[0] = true;
}

void CsvScanner::fail(std::int64_t line, const std::string& what) const {
  throw DataError(fmt::format("{} line {}: {}", name_, line, what));
}

// Moves what is left to the front and reads on. False when nothing came.
bool CsvScanner::refill() {
  if (at_end_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + 1 == buffer_.size()) {
    if (buffer_.size() > max_record)
      fail(line_, fmt::format("the record is longer than {} MiB, expected a closing quote or a line end",
                              max_record >> 20));
    buffer_.resize(2 * buffer_.size());
  }
  const std::size_t got = reader_(buffer_.data() + end_, buffer_.size() - 1 - end_);
  if (got == 0) at_end_ = true;
  end_ += got;
  return got > 0;
}

// A byte-order mark is no part of the first name.
void CsvScanner::skip_mark() {
  started_ = true;
  while (end_ < 3 && refill()) {
  }
  const std::string_view head(buffer_.data(), std::min<std::size_t>(end_, 3));
  if (head == "\xEF\xBB\xBF") {
    begin_ = 3;
    bytes_ = 3;
  } else if (head.substr(0, 2) == "\xFF\xFE" || head.substr(0, 2) == "\xFE\xFF") {
    fail(1, "the file is UTF-16, expected UTF-8");
  }
}

bool CsvScanner::next(std::vector<CsvCell>& cells) {
  if (!started_) skip_mark();
  while (true) {
    std::size_t end = 0;
    std::int64_t line_ends = 0;
    if (begin_ == end_ && !refill()) return false;
    while (scan(end, line_ends) == Outcome::more) refill();
    record_line_ = line_;
    line_ += line_ends;
    const bool blank = raw_.size() == 1 && !raw_[0].quoted && raw_[0].begin == raw_[0].end;
    cells.clear();
    for (const Raw& r : raw_) {
      char* const base = buffer_.data();
      cells.push_back({r.doubled ? unescape(base + r.begin, base + r.end)
                                 : std::string_view(base + r.begin, r.end - r.begin),
                       r.quoted});
    }
    bytes_ += static_cast<std::int64_t>(end - begin_);
    begin_ = end;
    if (!blank) return true;
    ++blank_count_;
    if (blank_lines_.size() < Provenance::max_places) blank_lines_.push_back(record_line_);
  }
}

std::string_view CsvScanner::unescape(char* begin, char* end) {
  char* to = begin;
  for (const char* from = begin; from < end; ++from) {
    *to++ = *from;
    if (*from == '"') ++from;
  }
  return {begin, static_cast<std::size_t>(to - begin)};
}

// One record from begin_ on into raw_: `more` when the buffer ends before it does, else where it ends and how
// many line ends it holds. Nothing is changed, so that it can start over with more bytes.
CsvScanner::Outcome CsvScanner::scan(std::size_t& end, std::int64_t& line_ends) {
  char* const base = buffer_.data();
  base[end_] = '\n';  // the sentinel
  const char* const stop = base + end_;
  const char* p = base + begin_;
  line_ends = 0;
  raw_.clear();
  const auto column = [&] { return raw_.size() + 1; };
  const auto blank = [&](char c) { return (c == ' ' || c == '\t') && c != delimiter_; };
  while (true) {
    while (p < stop && blank(*p)) ++p;
    if (p == stop && !at_end_) return Outcome::more;
    Raw cell{static_cast<std::size_t>(p - base), 0, false, false};
    if (p < stop && *p == '"') {
      cell.quoted = true;
      cell.begin += 1;
      const std::int64_t open_line = line_ + line_ends;
      for (++p;; ++p) {
        while (p < stop && *p != '"' && *p != '\n' && *p != 0) ++p;
        if (p == stop) {
          if (!at_end_) return Outcome::more;
          fail(open_line,
               fmt::format("column {}: a quote is open until the end of the file, expected a closing quote",
                           column()));
        }
        if (*p == '\n') {
          ++line_ends;
        } else if (*p == 0) {
          fail(line_ + line_ends, fmt::format("column {}: there is a NUL byte, expected text", column()));
        } else {
          if (p + 1 == stop && !at_end_) return Outcome::more;
          if (p + 1 == stop || p[1] != '"') break;
          cell.doubled = true;
          ++p;
        }
      }
      cell.end = static_cast<std::size_t>(p - base);
      ++p;
      while (p < stop && blank(*p)) ++p;
      if (p < stop && !special_[static_cast<unsigned char>(*p)])
        fail(line_ + line_ends,
             fmt::format("column {}: text follows a closing quote, expected a delimiter or a line end",
                         column()));
    } else {
      while (!special_[static_cast<unsigned char>(*p)]) ++p;
      const char* last = p;
      while (last > base + cell.begin && blank(last[-1])) --last;
      cell.end = static_cast<std::size_t>(last - base);
    }
    // Here p is at a delimiter, a line end, a NUL byte or the end of the buffer.
    if (p == stop && !at_end_) return Outcome::more;
    if (p < stop && *p == 0)
      fail(line_ + line_ends, fmt::format("column {}: there is a NUL byte, expected text", column()));
    if (p < stop && *p == '\r') {
      if (p + 1 == stop && !at_end_) return Outcome::more;
      if (p + 1 < stop && p[1] != '\n')
        fail(line_ + line_ends,
             fmt::format("column {}: a carriage return stands alone, expected a line feed after it",
                         column()));
      ++p;
    }
    raw_.push_back(cell);
    if (p == stop) break;
    if (*p++ == '\n') {
      ++line_ends;
      break;
    }
  }
  end = static_cast<std::size_t>(p - base);
  return Outcome::record;
}

}  // namespace emshap
