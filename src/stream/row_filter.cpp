#include "emshap/stream/row_filter.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "data/csv_values.h"
#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

struct Word {
  std::string text;
  std::size_t at = 0;  ///< in the whole text
  bool quoted = false;
};

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_operator(char c) {
  return c == '<' || c == '>' || c == '=' || c == '!';
}

bool says(const Word& word, std::string_view name) {
  return !word.quoted && std::equal(word.text.begin(), word.text.end(), name.begin(), name.end(),
                                    [](char a, char b) { return std::tolower(a) == b; });
}

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) { split(); }

  RowFilter parse() {
    if (words_.empty()) return filter_;
    do condition();
    while (accept("and"));
    if (at_ < words_.size()) fail(words_[at_], "'and' and another condition, or the end");
    finish();
    return std::move(filter_);
  }

 private:
  [[noreturn]] void refuse(std::size_t at, const std::string& what) const {
    throw ConfigError(fmt::format("condition '{}', character {}: {}", text_, at + 1, what));
  }
  [[noreturn]] void fail(const Word& word, const std::string& expected) const {
    refuse(word.at, fmt::format("expected {}, got '{}'", expected, word.text));
  }

  void split() {
    for (std::size_t i = 0; i < text_.size();) {
      const char c = text_[i];
      if (is_blank(c)) {
        ++i;
        continue;
      }
      Word word{{}, i, false};
      if (c == '\'' || c == '"') {
        word.quoted = true;
        for (++i;; ++i) {
          if (i >= text_.size()) refuse(word.at, fmt::format("this {} has no end", c));
          if (text_[i] == c && (i + 1 >= text_.size() || text_[i + 1] != c)) break;
          if (text_[i] == c) ++i;
          word.text += text_[i];
        }
        ++i;
      } else if (c == '(' || c == ')' || c == ',') {
        word.text = c;
        ++i;
      } else if (is_operator(c)) {
        while (i < text_.size() && is_operator(text_[i])) word.text += text_[i++];
      } else {
        const auto ends = [](char d) {
          return is_blank(d) || is_operator(d) || d == '(' || d == ')' || d == ',' || d == '\'' || d == '"';
        };
        while (i < text_.size() && !ends(text_[i])) word.text += text_[i++];
      }
      words_.push_back(std::move(word));
    }
  }

  const Word& next(const std::string& expected) {
    if (at_ >= words_.size()) refuse(text_.size(), fmt::format("expected {}, got the end", expected));
    return words_[at_++];
  }
  bool accept(std::string_view name) {
    if (at_ >= words_.size() || !says(words_[at_], name)) return false;
    ++at_;
    return true;
  }

  void condition() {
    const Word& column = next("time or node_id");
    if (says(column, "time")) return time_condition();
    if (says(column, "node_id")) return node_condition();
    fail(column, "time or node_id");
  }

  void time_condition() {
    constexpr const char* operators = "one of >=, >, <, <=, =";
    const Word& op = next(operators);
    const bool known = !op.quoted && (op.text == ">=" || op.text == ">" || op.text == "<" ||
                                      op.text == "<=" || op.text == "=" || op.text == "==");
    if (!known) fail(op, operators);
    constexpr const char* times = "Unix seconds or an ISO 8601 date such as 2025-01-31T12:00";
    const Word& value = next(times);
    TimeForm form = TimeForm::unknown;
    std::int64_t parsed = 0;
    if (!parse_time(value.text, form, parsed)) fail(value, times);
    // Times of rows are whole seconds: begin is the first one at or after the value, behind the first later.
    const std::int64_t unit = form == TimeForm::integer ? 1 : 1'000'000;
    const std::int64_t down = parsed / unit - (parsed % unit < 0 ? 1 : 0);
    const std::int64_t begin = down + (parsed % unit != 0 ? 1 : 0);
    if (down == std::numeric_limits<std::int64_t>::max()) fail(value, times);
    const std::int64_t behind = down + 1;
    const auto at_least = [&](std::int64_t t) {
      filter_.from = filter_.from ? std::max(*filter_.from, t) : t;
    };
    const auto below = [&](std::int64_t t) {
      filter_.until = filter_.until ? std::min(*filter_.until, t) : t;
    };
    const bool equal = op.text[0] == '=';
    if (op.text == ">=" || equal) at_least(begin);
    if (op.text == ">") at_least(behind);
    if (op.text == "<") below(begin);
    if (op.text == "<=" || equal) below(behind);
    check(value);
  }

  void node_condition() {
    constexpr const char* operators = "one of =, !=, in, not in";
    const Word& op = next(operators);
    if (!op.quoted && (op.text == "=" || op.text == "==")) return take_nodes({name()}, op);
    if (!op.quoted && (op.text == "!=" || op.text == "<>")) return refuse_nodes({name()}, op);
    const bool negated = says(op, "not");
    if (negated) {
      if (!accept("in")) fail(next("'in'"), "'in'");
    } else if (!says(op, "in")) {
      fail(op, operators);
    }
    if (!accept("(")) fail(next("'('"), "'('");
    std::vector<std::string> list;
    do list.push_back(name());
    while (accept(","));
    if (!accept(")")) fail(next("',' or ')'"), "',' or ')'");
    negated ? refuse_nodes(std::move(list), op) : take_nodes(std::move(list), op);
  }

  std::string name() {
    const Word& word = next("the name of a node");
    const bool sign = !word.quoted &&
                      (word.text == "(" || word.text == ")" || word.text == "," || is_operator(word.text[0]));
    if (sign || word.text.empty()) fail(word, "the name of a node");
    return word.text;
  }

  void take_nodes(std::vector<std::string> list, const Word& place) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    if (taken_) {
      std::vector<std::string> both;
      std::set_intersection(list.begin(), list.end(), filter_.nodes.begin(), filter_.nodes.end(),
                            std::back_inserter(both));
      list = std::move(both);
    }
    taken_ = true;
    filter_.nodes = std::move(list);
    check(place);
  }

  void refuse_nodes(std::vector<std::string> list, const Word& place) {
    for (std::string& node : list) filter_.not_nodes.push_back(std::move(node));
    std::sort(filter_.not_nodes.begin(), filter_.not_nodes.end());
    filter_.not_nodes.erase(std::unique(filter_.not_nodes.begin(), filter_.not_nodes.end()),
                            filter_.not_nodes.end());
    check(place);
  }

  void check(const Word& place) const {
    const bool no_time = filter_.from && filter_.until && *filter_.from >= *filter_.until;
    const bool no_node =
        taken_ && std::all_of(filter_.nodes.begin(), filter_.nodes.end(), [&](const auto& n) {
          return std::binary_search(filter_.not_nodes.begin(), filter_.not_nodes.end(), n);
        });
    if (no_time || no_node)
      refuse(place.at, fmt::format("no {} can meet this and what stands before", no_time ? "time" : "node"));
  }

  void finish() {
    if (!taken_) return;
    std::vector<std::string> left;
    std::set_difference(filter_.nodes.begin(), filter_.nodes.end(), filter_.not_nodes.begin(),
                        filter_.not_nodes.end(), std::back_inserter(left));
    filter_.nodes = std::move(left);
    filter_.not_nodes.clear();
  }

  const std::string& text_;
  std::vector<Word> words_;
  std::size_t at_ = 0;
  RowFilter filter_;
  bool taken_ = false;  ///< a condition has named the nodes to take
};

}  // namespace

bool RowFilter::takes_node(std::string_view node) const {
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), node) != list.end();
  };
  return (nodes.empty() || among(nodes)) && !among(not_nodes);
}

RowFilter parse_row_filter(const std::string& text) {
  return Parser(text).parse();
}

std::optional<std::int64_t> parse_unix_seconds(std::string_view text) {
  TimeForm form = TimeForm::unknown;
  std::int64_t parsed = 0;
  if (!parse_time(text, form, parsed)) return std::nullopt;
  if (form == TimeForm::integer) return parsed;
  return parsed / 1'000'000 + (parsed % 1'000'000 > 0 ? 1 : 0);
}

}  // namespace emshap::stream
