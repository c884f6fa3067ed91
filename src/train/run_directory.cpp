#include "emshap/train/run_directory.h"

#include <chrono>
#include <ctime>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/train/checkpoint.h"

namespace emshap {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
constexpr const char* manifest_name = "manifest.json";
constexpr const char* format_name = "emshap-run";
constexpr int format_version = 1;

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Json to_json(const RunModel& m) {
  return {{"status", m.status},
          {"created", m.created},
          {"version", m.version},
          {"seed", m.seed},
          {"data", {{"path", m.data_path}, {"rows", m.data_rows}, {"hash", m.data_hash}}},
          {"target", m.target},
          {"features", m.features},
          {"notes", m.notes}};
}

RunModel model_from(const Json& j) {
  RunModel m;
  m.status = j.at("status").get<std::string>();
  m.created = j.at("created").get<std::string>();
  m.version = j.at("version").get<std::string>();
  m.seed = j.at("seed").get<std::uint64_t>();
  m.data_path = j.at("data").at("path").get<std::string>();
  m.data_rows = j.at("data").at("rows").get<std::int64_t>();
  m.data_hash = j.at("data").at("hash").get<std::string>();
  m.target = j.at("target").get<std::string>();
  m.features = j.at("features").get<std::vector<std::string>>();
  m.notes = j.at("notes").get<std::map<std::string, std::string>>();
  return m;
}

/// Names in a manifest stay inside the folder.
bool plain_name(const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.is_absolute()) return false;
  for (const auto& part : path)
    if (part == "..") return false;
  return true;
}

}  // namespace

void RunDirectory::check(const fs::path& folder, const std::string& model, RunMode mode) {
  if (!fs::exists(folder / manifest_name)) {
    if (mode == RunMode::resume) throw ConfigError(fmt::format("{} has no run to resume", folder.string()));
    if (fs::exists(folder) && !fs::is_directory(folder))
      throw ConfigError(fmt::format("{} is a file, expected a folder for the run", folder.string()));
    if (std::error_code ignored;
        fs::exists(folder) && !fs::is_empty(folder, ignored) && mode != RunMode::overwrite)
      throw ConfigError(fmt::format(
          "{} is not empty and holds no run; choose another folder or add --overwrite", folder.string()));
    return;
  }
  if (mode == RunMode::overwrite) return;
  RunDirectory run(folder);
  run.load();
  const auto found = run.models_.find(model);
  const bool there = found != run.models_.end();
  if (mode == RunMode::resume && !there)
    throw ConfigError(fmt::format("{} has no {} model to resume", folder.string(), model));
  if (mode == RunMode::create && there) {
    const bool finished = found->second.status == "finished";
    throw ConfigError(fmt::format("{} already holds a {} {} model; add --overwrite to replace it{}",
                                  folder.string(), finished ? "finished" : "partly trained", model,
                                  finished ? "" : " or --resume to continue it"));
  }
}

RunDirectory RunDirectory::prepare(const fs::path& folder, const std::string& model, RunMode mode) {
  check(folder, model, mode);
  RunDirectory run(folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("{} could not be created: {}", folder.string(), error.message()),
                  ErrorKind::environment);
  if (fs::exists(folder / manifest_name)) {
    if (mode == RunMode::overwrite) {
      try {
        run.load();
      } catch (const IoError&) {  // a damaged manifest is replaced
        run.models_.clear();
        run.files_.clear();
      }
      run.remove_files(model);
    } else {
      run.load();
    }
  }
  RunModel& m = run.models_[model];
  if (m.created.empty()) m.created = now_utc();
  m.version = version();
  m.status = "training";
  if (mode != RunMode::resume) run.save();  // a resume that is refused later leaves the folder as it was
  return run;
}

RunDirectory RunDirectory::open(const fs::path& folder) {
  RunDirectory run(folder);
  if (!fs::exists(folder / manifest_name))
    throw IoError(fmt::format("{} is not a run folder: it has no {}", folder.string(), manifest_name));
  run.load();
  return run;
}

void RunDirectory::load() {
  const fs::path file = folder_ / manifest_name;
  const std::string text = read_file(file);
  try {
    const Json j = Json::parse(text);
    if (j.at("format").get<std::string>() != format_name)
      throw IoError(fmt::format("{}: this is not the manifest of a run", file.string()));
    if (const int found = j.at("format_version").get<int>(); found != format_version)
      throw IoError(fmt::format("{}: the manifest has version {}, this program reads version {}",
                                file.string(), found, format_version));
    for (const auto& [name, entry] : j.at("models").items()) models_[name] = model_from(entry);
    for (const auto& [name, entry] : j.at("files").items()) {
      if (!plain_name(name))
        throw IoError(fmt::format("{}: file name '{}' leads out of the run", file.string(), name));
      files_[name] = {entry.at("model").get<std::string>(), entry.at("size").get<std::uint64_t>(),
                      entry.at("hash").get<std::string>()};
    }
  } catch (const nlohmann::json::exception& e) {
    throw IoError(fmt::format("{}: the manifest is damaged: {}", file.string(), e.what()));
  }
}

const RunModel& RunDirectory::model(const std::string& name) const {
  if (const auto found = models_.find(name); found != models_.end()) return found->second;
  std::string known;
  for (const auto& [other, unused] : models_) known += (known.empty() ? "" : ", ") + other;
  throw IoError(
      fmt::format("{} has no {} model, it has {}", folder_.string(), name, known.empty() ? "none" : known));
}

fs::path RunDirectory::verified(const std::string& name) const {
  const auto found = files_.find(name);
  const fs::path file = path(name);
  if (found == files_.end())
    throw IoError(fmt::format("{} lists no file {}; was the training finished?",
                              (folder_ / manifest_name).string(), name));
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error) throw IoError(fmt::format("{} could not be read: {}", file.string(), error.message()));
  if (size != found->second.size || hash_file(file) != found->second.hash)
    throw IoError(fmt::format("{} has been changed or damaged since the run wrote it (size {}, expected {})",
                              file.string(), size, found->second.size));
  return file;
}

void RunDirectory::add_file(const std::string& model_name, const std::string& name) {
  const fs::path file = path(name);
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error) throw IoError(fmt::format("{} could not be read: {}", file.string(), error.message()));
  files_[name] = {model_name, size, hash_file(file)};
}

void RunDirectory::remove_files(const std::string& model_name) {
  for (auto it = files_.begin(); it != files_.end();) {
    if (it->second.model != model_name) {
      ++it;
      continue;
    }
    std::error_code ignored;
    fs::remove(path(it->first), ignored);
    it = files_.erase(it);
  }
  models_.erase(model_name);
}

void RunDirectory::save() const {
  Json j = {{"format", format_name}, {"format_version", format_version}, {"emshap", version()}};
  j["models"] = Json::object();
  for (const auto& [name, m] : models_) j["models"][name] = to_json(m);
  j["files"] = Json::object();
  for (const auto& [name, f] : files_)
    j["files"][name] = {{"model", f.model}, {"size", f.size}, {"hash", f.hash}};
  write_file_atomically(folder_ / manifest_name,
                        j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace emshap
