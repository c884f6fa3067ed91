// The settings table: precedence, every type through TOML and back, and the sentence of each mistake.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include "common/app.h"
#include "common/console.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"

using namespace emshap;
using namespace emshap::app;

namespace {

struct Values {
  std::int64_t epochs = 100;
  double rate = 1e-3;
  bool norm = true, overwrite = false;
  std::string name = "mlp", target;
  std::vector<std::int64_t> hidden{128, 64};
  std::vector<std::string> exclude;
};

/// A command whose run copies the values and its effective configuration.
struct Fixture {
  Values values, seen;
  std::string config;
  std::uint64_t seed = 0;

  int run(std::vector<std::string> words) {
    values = Values{};
    App app("emshap_toy", "A toy.");
    Command& c = app.command("fit", "Fits.", "  emshap_toy fit\n");
    c.settings.add("training", "epochs", values.epochs, "Epochs", at_least(1));
    c.settings.add("training", "learning-rate", values.rate, "Rate", more_than(0));
    c.settings.add("network", "batch-norm", values.norm, "Normalise");
    c.settings.add("network", "hidden", values.hidden, "Widths", each_at_least(1));
    c.settings.add("network", "name", values.name, "Kind", one_of({"mlp", "gru"}));
    c.settings.add("data", "target", values.target, "Target").required = true;
    c.settings.add("data", "exclude", values.exclude, "Columns");
    c.settings.add("run", "overwrite", values.overwrite, "Replace").saved = false;
    c.run = [&](Session& s) {
      seen = values;
      config = s.config_toml();
      seed = s.seed();
    };
    words.insert(words.begin(), {"emshap_toy", "fit"});
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    return app.run(static_cast<int>(argv.size()), argv.data());
  }
};

struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const std::string& content)
      : path((std::filesystem::temp_directory_path() /
              ("emshap_settings_" + std::to_string(::getpid()) + ".toml"))
                 .string()) {
    write_file_atomically(path, content);
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
};

std::string message(const std::string& toml) {
  Values v;
  Settings settings;
  settings.add("training", "epochs", v.epochs, "");
  settings.add("training", "learning-rate", v.rate, "");
  settings.add("network", "hidden", v.hidden, "");
  settings.add("network", "name", v.name, "");
  TemporaryFile file(toml);
  try {
    settings.apply_file(file.path);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::usage);
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("settings: default < file < command line") {
  Fixture f;
  TemporaryFile file(
      "[training]\nepochs = 7\nlearning_rate = 1\n[data]\ntarget = \"watts\"\nexclude = [\"a b\", "
      "\"c\"]\n[common]\nseed = 9\n");
  CHECK(f.run({"--config", file.path, "--epochs", "8", "--no-batch-norm", "--hidden", "32,16,8",
               "--overwrite"}) == 0);
  CHECK(f.seen.epochs == 8);
  CHECK(f.seen.rate == 1.0);
  CHECK_FALSE(f.seen.norm);
  CHECK(f.seen.overwrite);
  CHECK(f.seen.hidden == std::vector<std::int64_t>{32, 16, 8});
  CHECK(f.seen.target == "watts");
  CHECK(f.seen.exclude == std::vector<std::string>{"a b", "c"});
  CHECK(f.seed == 9);
}

TEST_CASE("settings: the effective configuration reads back to itself") {
  Fixture f;
  REQUIRE(f.run({"--target", "quo\"te\\ \x01ü", "--learning-rate", "1e-7", "--exclude", "a,b", "--seed",
                 "77"}) == 0);
  const std::string first = f.config;
  const Values before = f.seen;
  CHECK_FALSE(contains(first, "overwrite"));
  TemporaryFile file(first);
  REQUIRE(f.run({"--config", file.path}) == 0);
  CHECK(f.config == first);
  CHECK(f.seen.target == before.target);
  CHECK(f.seen.rate == before.rate);
  CHECK(f.seed == 77);
}

TEST_CASE("settings: mistakes in a file are named") {
  CHECK(contains(message("[training]\nepoch = 3\n"),
                 "line 2: unknown key 'training.epoch'; did you mean 'epochs'?"));
  CHECK(contains(message("[trainin]\nepochs = 3\n"), "unknown table 'trainin'; did you mean 'training'?"));
  CHECK(contains(message("epochs = 3\n"), "unknown key 'epochs'; did you mean 'training.epochs'?"));
  CHECK(contains(message("[network]\nepochs = 3\n"), "did you mean 'training.epochs'?"));
  CHECK(
      contains(message("[training]\nepochs = \"3\"\n"), "training.epochs: the value is not a whole number"));
  CHECK(contains(message("[training]\nepochs = 3.5\n"), "not a whole number"));
  CHECK(contains(message("[network]\nhidden = 3\n"), "not a list of whole numbers"));
  CHECK(contains(message("[network]\nhidden = [3, \"a\"]\n"), "not a list of whole numbers"));
  CHECK(contains(message("[training]\nepochs = \n"), "line 2"));
  CHECK(contains(message("[zzzzzzzz]\n"), "unknown table 'zzzzzzzz'"));
}

TEST_CASE("settings: a table may take keys that are no settings, and a list whole words") {
  std::vector<std::string> rest, whole, seen_rest, seen_whole;
  std::string config;
  const auto run = [&](std::vector<std::string> words) {
    App app("emshap_toy", "A toy.");
    Command& c = app.command("", "", "  emshap_toy\n");
    c.settings.add("kafka", "property", whole, "KEY=VALUE").whole = true;
    c.settings.add_rest("kafka", rest);
    c.run = [&](Session& s) {
      seen_rest = rest;
      seen_whole = whole;
      config = s.config_toml();
    };
    words.insert(words.begin(), "emshap_toy");
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    return app.run(static_cast<int>(argv.size()), argv.data());
  };
  CHECK(run({"--property", "a=1,2", "--property=b=3"}) == 0);
  CHECK(seen_whole == std::vector<std::string>{"a=1,2", "b=3"});
  const TemporaryFile file("[kafka]\nfetch.wait.max.ms = 10\n\"security.protocol\" = \"ssl\"\nx.y = true\n");
  CHECK(run({"--config", file.path, "--property", "c=4"}) == 0);
  const std::vector<std::string> expected{"fetch.wait.max.ms=10", "security.protocol=ssl", "x.y=true"};
  CHECK(seen_rest == expected);
  CHECK(seen_whole == std::vector<std::string>{"c=4"});
  const TemporaryFile again(config);
  CHECK(run({"--config", again.path}) == 0);
  CHECK(seen_rest == expected);
  const TemporaryFile bad("[kafka]\nx = [1]\n");
  CHECK(run({"--config", bad.path}) == 2);
}

TEST_CASE("settings: an app may do something without a subcommand") {
  std::string ran;
  std::int64_t number = 0;
  const auto run = [&](std::vector<std::string> words) {
    App app("emshap_toy", "A toy.");
    for (const char* name : {"", "run", "look"}) {
      Command& c = app.command(name, "Does it.", "  emshap_toy\n");
      c.settings.add("run", "number", number, "Number");
      c.run = [&ran, name](Session&) { ran = std::string("ran ") + name; };
    }
    words.insert(words.begin(), "emshap_toy");
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    ran.clear();
    return app.run(static_cast<int>(argv.size()), argv.data());
  };
  CHECK(run({}) == 0);
  CHECK(ran == "ran ");
  CHECK(run({"--number", "3"}) == 0);
  CHECK(ran == "ran ");
  CHECK(number == 3);
  CHECK(run({"look", "--number", "4"}) == 0);
  CHECK(ran == "ran look");
  CHECK(number == 4);
  CHECK(run({"--number", "3", "look"}) == 2);
  CHECK(run({"other"}) == 2);
  CHECK(ran == "");
}

TEST_CASE("settings: exit codes of the command line") {
  Fixture f;
  CHECK(f.run({"--target", "y"}) == 0);
  CHECK(f.run({}) == 2);                                   // required, missing
  CHECK(f.run({"--target", "y", "--epochs", "0"}) == 2);   // check
  CHECK(f.run({"--target", "y", "--epochs", "3x"}) == 2);  // type
  CHECK(f.run({"--target", "y", "--epoch", "3"}) == 2);    // unknown
  CHECK(f.run({"--target", "y", "--name", "cnn"}) == 2);   // not one of
  CHECK(f.run({"--target", "y", "--learning-rate", "nan"}) == 2);
  CHECK(f.run({"--target", "y", "--config", "/nonexistent.toml"}) == 3);
  CHECK(f.run({"--target", "y", "--log-file", "/dev/null/log"}) == 4);
}

TEST_CASE("settings: exceptions of a command become exit codes") {
  const auto run = [](const std::function<void()>& body) {
    App app("emshap_toy", "A toy.");
    app.command("", "", "").run = [&](Session&) { body(); };
    char name[] = "emshap_toy";
    char* argv[] = {name, nullptr};
    return app.run(1, argv);
  };
  CHECK(run([] {}) == 0);
  CHECK(run([] { throw DataError("x"); }) == 3);
  CHECK(run([] { throw IoError("x", ErrorKind::environment); }) == 4);
  CHECK(run([] { throw QualityError("x"); }) == 5);
  CHECK(run([] { throw NumericalError("x"); }) == 6);
  CHECK(run([] { throw Interrupted("x"); }) == 130);
  CHECK(run([] { throw std::bad_alloc(); }) == 4);
  CHECK(run([] { throw std::runtime_error("x"); }) == 1);
  CHECK(run([] { throw 3; }) == 1);
}

TEST_CASE("closest: edits and limits") {
  CHECK(closest("epoch", {"epochs", "seed"}) == "epochs");
  CHECK(closest("learning_rat", {"learning_rate", "batch_size"}) == "learning_rate");
  CHECK(closest("zzz", {"epochs", "seed"}).empty());
  CHECK(closest("", {"epochs"}).empty());
}

TEST_CASE("durations read well") {
  CHECK(duration_text(0.4) == "0s");
  CHECK(duration_text(75) == "1m 15s");
  CHECK(duration_text(3725) == "1h 02m");
}

TEST_CASE("settings: a text with secrets is saved without them") {
  std::string store = "user:secret@host", other = "user:secret@host";
  Settings settings;
  settings.add("data", "store", store, "").saved_as = [](const std::string& text) {
    return text.substr(0, 4) + text.substr(text.find('@'));
  };
  settings.add("data", "other", other, "");
  CHECK(settings.toml() == "[data]\nstore = \"user@host\"\nother = \"user:secret@host\"\n");
  CHECK(store == "user:secret@host");
}
