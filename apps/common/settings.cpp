#include "common/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>

#include <fmt/format.h>
#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"

namespace emshap::app {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};

template <class T>
const char* kind_of();
template <>
const char* kind_of<std::int64_t>() {
  return "a whole number";
}
template <>
const char* kind_of<std::uint64_t>() {
  return "a whole number of 0 or more";
}
template <>
const char* kind_of<double>() {
  return "a number";
}

template <class T>
T parse_number(const std::string& where, const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty())
    throw ConfigError(fmt::format("{}: '{}' is not {}", where, text, kind_of<T>()));
  return value;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Takes over the words of one option of the command line.
void assign(const Setting& s, const std::vector<std::string>& words) {
  const std::string where = "--" + s.name;
  const std::string& last = words.back();
  std::visit(
      Overload{[&](bool* v) { *v = last == "true"; },
               [&](std::int64_t* v) { *v = parse_number<std::int64_t>(where, last); },
               [&](std::uint64_t* v) { *v = parse_number<std::uint64_t>(where, last); },
               [&](double* v) { *v = parse_number<double>(where, last); }, [&](std::string* v) { *v = last; },
               [&](std::vector<std::string>* v) {
                 v->clear();
                 for (const auto& word : words)
                   for (auto& part : s.whole ? std::vector{word} : split_commas(word))
                     v->push_back(std::move(part));
               },
               [&](std::vector<std::int64_t>* v) {
                 v->clear();
                 for (const auto& word : words)
                   for (const auto& part : split_commas(word))
                     v->push_back(parse_number<std::int64_t>(where, part));
               }},
      s.target);
}

template <class T>
T from_node(const std::string& where, const toml::node& node, const char* expected) {
  if constexpr (std::is_same_v<T, double>) {
    if (const auto number = node.value<double>(); number && node.is_number()) return *number;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (const auto number = node.value_exact<std::int64_t>(); number && *number >= 0)
      return static_cast<std::uint64_t>(*number);
  } else {
    if (const auto value = node.value_exact<T>()) return *value;
  }
  throw ConfigError(fmt::format("{}: the value is not {}", where, expected));
}

template <class T>
void list_from_node(const std::string& where, const toml::node& node, const char* expected,
                    std::vector<T>& out) {
  const toml::array* array = node.as_array();
  if (array == nullptr) throw ConfigError(fmt::format("{}: the value is not {}", where, expected));
  out.clear();
  for (const toml::node& element : *array) out.push_back(from_node<T>(where, element, expected));
}

void assign(const Setting& s, const std::string& where, const toml::node& node) {
  std::visit(
      Overload{
          [&](bool* v) { *v = from_node<bool>(where, node, "true or false"); },
          [&](std::int64_t* v) { *v = from_node<std::int64_t>(where, node, "a whole number"); },
          [&](std::uint64_t* v) {
            *v = from_node<std::uint64_t>(where, node, "a whole number of 0 or more");
          },
          [&](double* v) { *v = from_node<double>(where, node, "a number"); },
          [&](std::string* v) { *v = from_node<std::string>(where, node, "a text in quotes"); },
          [&](std::vector<std::string>* v) { list_from_node(where, node, "a list of texts", *v); },
          [&](std::vector<std::int64_t>* v) { list_from_node(where, node, "a list of whole numbers", *v); }},
      s.target);
}

/// "key=value" for a value, and for all values of a table: dots in a key may be written with or without
/// quotes.
void flatten(const std::string& where, const std::string& key, const toml::node& node,
             std::vector<std::string>& out) {
  if (const toml::table* table = node.as_table()) {
    for (const auto& [name, value] : *table) flatten(where, key + "." + std::string(name.str()), value, out);
  } else if (node.is_string()) {
    out.push_back(key + "=" + *node.value<std::string>());
  } else if (node.is_integer()) {
    out.push_back(fmt::format("{}={}", key, *node.value<std::int64_t>()));
  } else if (node.is_boolean()) {
    out.push_back(fmt::format("{}={}", key, *node.value<bool>()));
  } else if (node.is_floating_point()) {
    out.push_back(fmt::format("{}={}", key, *node.value<double>()));
  } else {
    throw ConfigError(fmt::format("{}: the value of {} is not a text, a number, true or false", where, key));
  }
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<int>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string real_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".einf") == std::string::npos) text += ".0";
  return text;
}

const char* type_name(const SettingTarget& target) {
  return std::visit(
      Overload{[](bool*) { return ""; }, [](std::int64_t*) { return "INT"; },
               [](std::uint64_t*) { return "UINT"; }, [](double*) { return "NUMBER"; },
               [](std::string*) { return "TEXT"; }, [](std::vector<std::string>*) { return "A,B,.."; },
               [](std::vector<std::int64_t>*) { return "N,M,.."; }},
      target);
}

}  // namespace

std::string Setting::key() const {
  std::string key = name;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::string Setting::value() const {
  const auto list = [](const auto& values, const auto& text) {
    std::string out = "[";
    for (const auto& v : values) out += (out.size() > 1 ? ", " : "") + text(v);
    return out + "]";
  };
  return std::visit(Overload{[](const bool* v) { return std::string(*v ? "true" : "false"); },
                             [](const std::int64_t* v) { return std::to_string(*v); },
                             [](const std::uint64_t* v) { return std::to_string(*v); },
                             [](const double* v) { return real_text(*v); },
                             [&](const std::string* v) { return quoted(saved_as ? saved_as(*v) : *v); },
                             [&](const std::vector<std::string>* v) { return list(*v, quoted); },
                             [&](const std::vector<std::int64_t>* v) {
                               return list(*v, [](std::int64_t n) { return std::to_string(n); });
                             }},
                    target);
}

Setting& Settings::add_setting(Setting setting) {
  settings_.push_back(std::move(setting));
  return settings_.back();
}

void Settings::bind(CLI::App& cli) {
  for (Setting& s : settings_) {
    std::string group = s.section;
    if (!group.empty()) group[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(group[0])));
    if (std::holds_alternative<bool*>(s.target)) {
      const bool on = *std::get<bool*>(s.target);
      // The text is set afterwards: add_flag(name, text) takes a variable text for where the value goes.
      s.option = cli.add_flag(on ? fmt::format("--{0},!--no-{0}", s.name) : "--" + s.name);
      s.option->description(s.help);
    } else {
      s.option =
          cli.add_option("--" + s.name, CLI::callback_t([](const CLI::results_t&) { return true; }), s.help);
      s.option->type_name(type_name(s.target))
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      std::string shown = s.value();
      if (shown.size() >= 2 && (shown[0] == '"' || shown[0] == '['))
        shown = shown.substr(1, shown.size() - 2);
      if (!shown.empty()) s.option->default_str(shown);
    }
    s.option->group(group);
  }
}

void Settings::apply_command_line() {
  for (Setting& s : settings_) {
    if (s.option == nullptr || s.option->count() == 0) continue;
    s.given = true;
    assign(s, s.option->results());
  }
}

void Settings::apply_file(const std::string& path) {
  const std::string content = read_file(path);
  toml::table root;
  try {
    root = toml::parse(content);
  } catch (const toml::parse_error& e) {
    throw ConfigError(fmt::format("{}: line {}, column {}: {}", path, e.source().begin.line,
                                  e.source().begin.column, e.description()));
  }
  std::set<std::string> sections;
  for (const Setting& s : settings_) sections.insert(s.section);
  for (const Rest& rest : rest_) {
    sections.insert(rest.section);
    rest.entries->clear();
  }
  for (const auto& [name, node] : root) {
    const std::string section(name.str());
    const auto line = node.source().begin.line;
    const toml::table* table = node.as_table();
    const auto hint = [](const std::string& like) {
      return like.empty() ? "" : fmt::format("; did you mean '{}'?", like);
    };
    if (table == nullptr || !sections.contains(section)) {
      std::vector<std::string> known(sections.begin(), sections.end());
      std::string like = closest(section, known);
      if (like.empty() && table == nullptr)
        for (const Setting& s : settings_)
          if (s.key() == section) like = s.section + "." + s.key();
      throw ConfigError(fmt::format("{}: line {}: unknown {} '{}'{}", path, line,
                                    table != nullptr ? "table" : "key", section, hint(like)));
    }
    for (const auto& [key_node, value] : *table) {
      const std::string key(key_node.str());
      const auto found = std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) {
        return s.section == section && s.key() == key;
      });
      const auto value_line = value.source().begin.line;
      const auto rest = std::find_if(rest_.begin(), rest_.end(),
                                     [&](const Rest& candidate) { return candidate.section == section; });
      if (found == settings_.end() && rest != rest_.end()) {
        flatten(fmt::format("{}: line {}", path, value_line), key, value, *rest->entries);
        continue;
      }
      if (found == settings_.end()) {
        std::vector<std::string> known;
        for (const Setting& s : settings_)
          if (s.section == section) known.push_back(s.key());
        std::string like = closest(key, known);
        for (const Setting& s : settings_)
          if (like.empty() && s.key() == key) like = s.section + "." + s.key();
        throw ConfigError(
            fmt::format("{}: line {}: unknown key '{}.{}'{}", path, value_line, section, key, hint(like)));
      }
      assign(*found, fmt::format("{}: line {}: {}.{}", path, value_line, section, key), value);
      found->given = true;
    }
  }
}

void Settings::check() const {
  for (const Setting& s : settings_) {
    if (s.required && !s.given)
      throw ConfigError(
          fmt::format("--{0} is missing; give it on the command line, or as {1} under [{2}] in the file "
                      "named by --config",
                      s.name, s.key(), s.section));
    if (!s.check) continue;
    if (const std::string expected = s.check(); !expected.empty())
      throw ConfigError(fmt::format("--{} is {}, expected {}", s.name, s.value(), expected));
  }
}

bool Settings::given(const std::string& section) const {
  return std::any_of(settings_.begin(), settings_.end(),
                     [&](const Setting& s) { return s.given && s.section == section; });
}

std::string Settings::toml() const {
  std::vector<std::string> sections;
  for (const Setting& s : settings_)
    if (s.saved && std::find(sections.begin(), sections.end(), s.section) == sections.end())
      sections.push_back(s.section);
  std::string out;
  for (const std::string& section : sections) {
    out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section);
    for (const Setting& s : settings_)
      if (s.saved && s.section == section) out += fmt::format("{} = {}\n", s.key(), s.value());
    for (const Rest& rest : rest_)
      if (rest.section == section)
        for (const std::string& entry : *rest.entries) {
          const std::size_t equals = entry.find('=');
          out += fmt::format("{} = {}\n", quoted(entry.substr(0, equals)), quoted(entry.substr(equals + 1)));
        }
  }
  return out;
}

std::vector<std::string> Settings::option_names() const {
  std::vector<std::string> names;
  for (const Setting& s : settings_) names.push_back("--" + s.name);
  return names;
}

std::string Settings::first_given() const {
  for (const Setting& s : settings_)
    if (s.option != nullptr && s.option->count() > 0) return "--" + s.name;
  return {};
}

Check<std::int64_t> at_least(std::int64_t low) {
  return [low](const std::int64_t& v) { return v >= low ? "" : fmt::format("{} or more", low); };
}
Check<std::int64_t> between(std::int64_t low, std::int64_t high) {
  return
      [=](const std::int64_t& v) { return v >= low && v <= high ? "" : fmt::format("{} to {}", low, high); };
}
Check<double> in_range(double low, double high, bool below_high) {
  return [=](const double& v) {
    const bool fits = v >= low && (below_high ? v < high : v <= high);
    return fits ? "" : fmt::format("{} to {}{}", low, below_high ? "below " : "", high);
  };
}
Check<double> more_than(double low) {
  return
      [low](const double& v) { return v > low && std::isfinite(v) ? "" : fmt::format("more than {}", low); };
}
Check<std::string> one_of(std::vector<std::string> names) {
  return [names = std::move(names)](const std::string& v) {
    std::string text;
    for (const std::string& name : names) {
      if (v == name) return std::string();
      text += (text.empty() ? "one of " : ", ") + name;
    }
    return text;
  };
}
Check<std::vector<std::int64_t>> each_at_least(std::int64_t low) {
  return [low](const std::vector<std::int64_t>& values) {
    const bool fits = std::all_of(values.begin(), values.end(), [low](std::int64_t v) { return v >= low; });
    return fits ? "" : fmt::format("numbers of {} or more", low);
  };
}

std::string closest(const std::string& text, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  for (const std::string& c : candidates) {  // Levenshtein distance, one row at a time
    std::vector<std::size_t> row(c.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= text.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= c.size(); ++j) {
        const std::size_t cost = diagonal + (text[i - 1] == c[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, cost});
      }
    }
    if (row.back() < best_distance && row.back() < text.size()) {
      best_distance = row.back();
      best = c;
    }
  }
  return best;
}

}  // namespace emshap::app
