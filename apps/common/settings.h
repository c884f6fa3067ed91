#pragma once
// One table of settings per command: name, TOML section, type, default, help and check stand in one place and
// drive the command line (CLI11), the configuration file (TOML) and the saved effective configuration.
// Precedence: default < file < command line.
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace emshap::app {

/// A variable that a setting writes to; its value when it is added is the default.
using SettingTarget = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*,
                                   std::vector<std::string>*, std::vector<std::int64_t>*>;
/// Returns an empty text when the value is fine, or what was expected: "1 or more".
template <class T>
using Check = std::function<std::string(const T&)>;

struct Setting {
  std::string name;     ///< "batch-size": --batch-size on the command line, batch_size in TOML
  std::string section;  ///< TOML table, "training"
  std::string help;
  SettingTarget target;
  std::function<std::string()> check;
  bool saved = true;  ///< written to the effective configuration
  std::function<std::string(const std::string&)>
      saved_as{};         ///< what is written instead of a text with secrets
  bool required = false;  ///< an error when neither file nor command line gives it
  bool given = false;
  bool whole = false;  ///< of a list: words of the command line are not cut at commas, `--name` is repeated
  CLI::Option* option = nullptr;

  std::string key() const;    ///< "batch_size"
  std::string value() const;  ///< as TOML
};

class Settings {
 public:
  /// Adds a setting; the reference stays valid. Lists are a,b,c on the command line and arrays in TOML.
  template <class T>
  Setting& add(const std::string& section, const std::string& name, T& value, const std::string& help,
               Check<T> check = {}) {
    std::function<std::string()> bound;
    if (check) bound = [check, &value] { return check(value); };
    return add_setting({name, section, help, SettingTarget(&value), bound});
  }

  /// Keys of this table that are no setting are taken, as "key=value", instead of refused; "a.b" and a.b are
  /// the same key.
  void add_rest(const std::string& section, std::vector<std::string>& entries) {
    rest_.push_back({section, &entries});
  }

  /// Adds the options to the command line; values are taken over by apply_command_line() after parsing.
  void bind(CLI::App& cli);
  void apply_command_line();
  /// Throws ConfigError for a syntax error, an unknown table or key (naming a near match) or a value of a
  /// wrong type; IoError when the file cannot be read.
  void apply_file(const std::string& path);
  /// Throws ConfigError for the first value that fails its check or is required and missing.
  void check() const;
  /// Whether the file or the command line sets anything of a section.
  bool given(const std::string& section) const;
  /// The effective configuration; apply_file() reads it back to the same values.
  std::string toml() const;
  /// All option names, "--batch-size".
  std::vector<std::string> option_names() const;
  /// The first option that stands on the command line; empty for none.
  std::string first_given() const;

 private:
  struct Rest {
    std::string section;
    std::vector<std::string>* entries;
  };
  Setting& add_setting(Setting setting);
  std::deque<Setting> settings_;
  std::vector<Rest> rest_;
};

Check<std::int64_t> at_least(std::int64_t low);
Check<std::int64_t> between(std::int64_t low, std::int64_t high);
/// low <= value <= high, or value < high with `below_high`.
Check<double> in_range(double low, double high, bool below_high = false);
Check<double> more_than(double low);
Check<std::string> one_of(std::vector<std::string> names);
Check<std::vector<std::int64_t>> each_at_least(std::int64_t low);

/// The candidate most like `text`, at most two edits or a third of its length away; empty when there is none.
std::string closest(const std::string& text, const std::vector<std::string>& candidates);

}  // namespace emshap::app
