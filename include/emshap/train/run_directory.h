#pragma once
// A RUN folder: what training produced, described by manifest.json, for one or several models.
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

enum class RunMode : std::uint8_t {
  create,     ///< the folder has no finished model of this name
  overwrite,  ///< replaces the model's files
  resume,     ///< continues from its checkpoint
};

/// Entry of one model ("power", "emshap") in the manifest.
struct RunModel {
  std::string status;   ///< "training" or "finished"
  std::string created;  ///< ISO 8601, UTC
  std::string version;  ///< of emshap that wrote it
  std::uint64_t seed = 0;
  std::string data_path;
  std::string data_hash;
  std::int64_t data_rows = 0;
  std::string target;
  std::vector<std::string> features;
  std::map<std::string, std::string> notes;  ///< anything a later app needs to know, e.g. {"unit", "W"}
};

struct RunFile {
  std::string model;  ///< which model wrote it
  std::uint64_t size = 0;
  std::string hash;  ///< see hash_file
};

class EMSHAP_API RunDirectory {
 public:
  /// Throws what prepare() would throw for this folder, without changing anything: to be called before long
  /// work.
  static void check(const std::filesystem::path& folder, const std::string& model, RunMode mode);
  /// Makes or enters the folder to train `model` into. Throws ConfigError when a finished model is there and
  /// the mode is create (naming --overwrite), or when there is nothing to resume; IoError when the folder
  /// cannot be written.
  static RunDirectory prepare(const std::filesystem::path& folder, const std::string& model, RunMode mode);
  /// Opens a folder to read. Throws IoError when it has no manifest or one of another version.
  static RunDirectory open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  /// Full path of a file in the folder, whether it exists or not.
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  bool has(const std::string& model) const { return models_.contains(model); }
  /// Throws IoError naming the folder and the models that it has.
  const RunModel& model(const std::string& name) const;
  RunModel& edit(const std::string& name) { return models_[name]; }
  /// Path of a file listed in the manifest, checked by size and hash. Throws IoError naming it.
  std::filesystem::path verified(const std::string& name) const;
  const std::map<std::string, RunFile>& files() const { return files_; }

  /// Lists a file that exists now as written by `model`.
  void add_file(const std::string& model, const std::string& name);
  /// Forgets and deletes the files of a model.
  void remove_files(const std::string& model);
  /// Writes manifest.json, atomically.
  void save() const;

 private:
  explicit RunDirectory(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void load();
  std::filesystem::path folder_;
  std::map<std::string, RunModel> models_;
  std::map<std::string, RunFile> files_;
};

}  // namespace emshap
