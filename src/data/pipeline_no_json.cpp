// Stands in for cleaning_json.cpp, pipeline_json.cpp and feature_space_json.cpp in builds without
// nlohmann-json: fitted steps can be written but not read.
#include "emshap/core/error.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/pipeline.h"

namespace emshap {
namespace {
[[noreturn]] void fail() {
  throw Error(ErrorKind::environment,
              "reading JSON: built without nlohmann-json, install it and build again");
}
}  // namespace

std::unique_ptr<Step> step_from_json(const std::string&) {
  fail();
}
Cleaning Cleaning::from_json(const std::string&) {
  fail();
}
Pipeline Pipeline::from_json(const std::string&) {
  fail();
}
Preprocessor Preprocessor::from_json(const std::string&) {
  fail();
}
FeatureSpace FeatureSpace::from_json(const std::string&) {
  fail();
}

}  // namespace emshap
