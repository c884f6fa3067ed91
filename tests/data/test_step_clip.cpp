// Raw values kept within bounds, in pipelines and in feature spaces.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data_support.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/step_clip.h"
#include "emshap/data/steps.h"
#include "example_table.h"
#include "space_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
const float none = std::numeric_limits<float>::quiet_NaN();

bool same(const Tensor& a, const Tensor& b) {
  return std::equal(a.ptr<float>(), a.ptr<float>() + a.elements(), b.ptr<float>(),
                    b.ptr<float>() + b.elements());
}

Tensor transformed(const Pipeline& pipeline, const std::vector<float>& values) {
  const Tensor in =
      Tensor::from(values, {static_cast<std::int64_t>(values.size()) / pipeline.inputs(), pipeline.inputs()});
  Tensor out({in.rows(), pipeline.outputs()});
  pipeline.transform(in, out);
  return out;
}

}  // namespace

TEST_CASE("clip: values beyond the bounds, missing ones, and open sides") {
  const Clip clip(std::vector<double>{0, -infinite, .1}, std::vector<double>{10, 5, infinite});
  const double in[] = {-1, -1e30, .05, 11, 6, 1e30, absent, absent, absent, 3, 4, 5};
  double out[12];
  clip.transform(in, 4, out);
  const double tenth = static_cast<double>(.1f);
  const double expected[] = {0, -1e30, tenth, 10, 5, 1e30, absent, absent, absent, 3, 4, 5};
  for (int i = 0; i < 12; ++i)
    CHECK((out[i] == expected[i] || (std::isnan(out[i]) && std::isnan(expected[i]))));
  clip.transform(out, 4, out);  // in place, and what is clipped stays
  for (int i = 0; i < 12; ++i)
    CHECK((out[i] == expected[i] || (std::isnan(out[i]) && std::isnan(expected[i]))));
  clip.transform(in, 0, out);
  CHECK_FALSE(clip.open());
  CHECK(Clip(std::vector<double>{-infinite}, std::vector<double>{infinite}).open());
  CHECK_SAYS(error_text(ErrorKind::usage, [] { Clip(std::vector<double>{1}, std::vector<double>{0}); }),
             "column 0 has the bounds 1 and 0");
  CHECK_SAYS(error_text(ErrorKind::usage, [] { Clip(std::vector<double>{absent}, std::vector<double>{0}); }),
             "ascending");
  CHECK_SAYS(error_text(ErrorKind::usage, [] { Clip(std::vector<double>{1}, std::vector<double>{}); }),
             "1 lower and 0 upper");
}

TEST_CASE("clip: in front of a fitted pipeline") {
  const std::vector<double> spread = normals(200, 3);
  const Table t = table_of(std::vector<NamedColumn>{{"a", spread}, {"b", exponentials(200, 4)}});
  Pipeline plain;
  plain.add("drop_constant", std::make_unique<DropConstant>());
  plain.add("standardise", std::make_unique<StandardScaler>());
  plain.fit(t, all_rows(t));
  Pipeline clipped = plain;
  clipped.clip_inputs(std::vector<double>{-infinite, -infinite}, std::vector<double>{infinite, infinite});
  CHECK(clipped.size() == 2);
  CHECK(clipped.hash() == plain.hash());
  clipped.clip_inputs(std::vector<double>{-.7, 0}, std::vector<double>{.7, infinite});
  REQUIRE(clipped.size() == 3);
  CHECK(clipped.name(0) == "clip");
  CHECK(clipped.hash() != plain.hash());
  CHECK(clipped.input_names() == plain.input_names());
  CHECK(clipped.output_names() == plain.output_names());
  // Beyond the bound as at the bound; within, as without.
  CHECK(same(transformed(clipped, {9, -5, -9, 1}), transformed(plain, {.7f, 0, -.7f, 1})));
  CHECK(same(transformed(clipped, {.7f, 0, -.7f, 1}), transformed(plain, {.7f, 0, -.7f, 1})));
  CHECK(same(transformed(clipped, {.2f, 7, -.3f, 1}), transformed(plain, {.2f, 7, -.3f, 1})));
  CHECK_SAYS(error_text(ErrorKind::data, [&] { transformed(clipped, {none, 1}); }), "missing");
  CHECK_SAYS(error_text(ErrorKind::usage,
                        [&] { plain.clip_inputs(std::vector<double>{0}, std::vector<double>{1}); }),
             "2 columns, expected 1");
#if __has_include(<nlohmann/json.hpp>)
  const Pipeline back = Pipeline::from_json(clipped.to_json());
  CHECK(back.to_json() == clipped.to_json());
  CHECK(back.find<Clip>()->high()[1] == infinite);
  CHECK(same(transformed(back, {9, -5}), transformed(clipped, {9, -5})));
  std::string edited = clipped.to_json();
  const std::size_t low = edited.find("\"low\": [-0.6");
  REQUIRE(low != std::string::npos);
  edited.replace(low, 12, "\"low\": [0.8");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Pipeline::from_json(edited); }), "expected ascending");
#endif
}

TEST_CASE("clip: a feature space takes the bound for what lies beyond it") {
  std::vector<double> steps, plain = normals(400, 5);
  for (int i = 0; i < 400; ++i) steps.push_back(i % 7);
  for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
    for (double& x : plain) x = std::clamp(x, -1., 1.);
    const Table t = table_of(
        std::vector<NamedColumn>{{"constant", std::vector<double>(400, 2)}, {"a", plain}, {"steps", steps}});
    const FeatureSpace free = fitted(t, transform);
    FeatureSpace space = free;
    space.clip_inputs(std::vector<double>{-infinite, -1, 0}, std::vector<double>{infinite, 1, 6});
    CHECK(space.hash() != free.hash());
    const Tensor raw = raw_features(t, all_rows(t));
    const RandomKey key{1, RandomPurpose::dequantise};
    const auto values = [](const Converted& c) {
      return std::vector<double>(c.x.ptr<double>(), c.x.ptr<double>() + c.x.elements());
    };
    // Training rows lie within: nothing changes, dequantised or not.
    CHECK(values(converted(space, raw)) == values(converted(free, raw)));
    CHECK(values(converted(space, raw, &key, all_rows(t))) ==
          values(converted(free, raw, &key, all_rows(t))));
    const Tensor beyond = Tensor::from(std::vector<float>{5, 40, 9, 5, -40, -3}, {2, 3});
    const Tensor at = Tensor::from(std::vector<float>{5, 1, 6, 5, -1, 0}, {2, 3});
    CHECK(values(converted(space, beyond)) == values(converted(free, at)));
    CHECK(same(space.clipped(beyond), at));
    CHECK(std::isnan(space.clipped(1, none)));
    CHECK(space.to_model(0, 40.) == free.to_model(0, 1.));
    CHECK(space.tile(1, 9.).left == free.tile(1, 6.).left);
    CHECK(same(free.clipped(beyond), beyond));
    const Tensor infinitely = Tensor::from(std::vector<float>{5, static_cast<float>(infinite), 3}, {1, 3});
    CHECK_SAYS(error_text(ErrorKind::data, [&] { converted(space, infinitely); }), "inf");
#if __has_include(<nlohmann/json.hpp>)
    const FeatureSpace back = FeatureSpace::from_json(space.to_json());
    CHECK(back.to_json() == space.to_json());
    CHECK(values(converted(back, beyond)) == values(converted(free, at)));
#endif
  }
}
