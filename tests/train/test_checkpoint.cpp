#include <doctest/doctest.h>

#include <filesystem>

#include <unistd.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/train/checkpoint.h"

using namespace emshap;

namespace {

struct TemporaryFile {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("emshap_checkpoint_" + std::to_string(::getpid()) + ".bin");
  ~TemporaryFile() { std::filesystem::remove(path); }
};

void write_sample(const std::filesystem::path& path) {
  CheckpointWriter out;
  out.add("weights", Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}));
  out.add("wide", Tensor::from(std::vector<double>{.1, .2}, {2}));
  const std::int64_t numbers[] = {-1, 1LL << 60};
  out.add("counters", numbers);
  const double reals[] = {.5, -1e300};
  out.add("sums", reals);
  out.add("config", std::string_view("a = 1\n"));
  out.add("nothing", std::span<const double>());
  out.write(path);
}

/// One sentence, naming the file.
void check_refused(const std::filesystem::path& path) {
  try {
    const CheckpointReader in(path);
    FAIL("the file was accepted");
  } catch (const IoError& e) {
    CHECK(e.kind() == ErrorKind::data);
    CHECK(std::string(e.what()).find(path.string()) != std::string::npos);
    CHECK(std::string(e.what()).find('\n') == std::string::npos);
  }
}

}  // namespace

TEST_CASE("checkpoint: what is written is read") {
  TemporaryFile file;
  write_sample(file.path);
  const CheckpointReader in(file.path);
  Tensor weights({2, 3});
  in.read("weights", weights);
  CHECK(weights.ptr<float>()[5] == 6);
  Tensor wide({2}, DType::f64);
  in.read("wide", wide);
  CHECK(wide.ptr<double>()[0] == .1);
  CHECK(in.integers("counters") == std::vector<std::int64_t>{-1, 1LL << 60});
  CHECK(in.reals("sums") == std::vector<double>{.5, -1e300});
  CHECK(in.text("config") == "a = 1\n");
  CHECK(in.reals("nothing").empty());
  CHECK(in.has("weights"));
  CHECK_FALSE(in.has("bias"));
}

TEST_CASE("checkpoint: sections that do not fit are named") {
  TemporaryFile file;
  write_sample(file.path);
  const CheckpointReader in(file.path);
  Tensor other({3, 2}), wide({2, 3}, DType::f64);
  CHECK_THROWS_AS(in.read("weights", other), IoError);
  CHECK_THROWS_AS(in.read("weights", wide), IoError);
  CHECK_THROWS_AS(in.read("bias", other), IoError);
  CHECK_THROWS_AS(in.text("sums"), IoError);
  CheckpointWriter out;
  out.add("a", std::string_view("1"));
  CHECK_THROWS_AS(out.add("a", std::string_view("2")), Error);
}

TEST_CASE("checkpoint: every truncation and every changed byte is refused") {
  TemporaryFile file;
  write_sample(file.path);
  const std::string content = read_file(file.path);
  for (std::size_t length = 0; length < content.size(); ++length) {
    CAPTURE(length);
    write_file_atomically(file.path, content.substr(0, length));
    check_refused(file.path);
  }
  for (std::size_t at = 0; at < content.size(); ++at) {
    CAPTURE(at);
    std::string changed = content;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    write_file_atomically(file.path, changed);
    check_refused(file.path);
  }
  write_file_atomically(file.path, content + "x");
  check_refused(file.path);
  write_file_atomically(file.path, content);
  CHECK_NOTHROW(CheckpointReader(file.path));
}

TEST_CASE("checkpoint: missing files, other formats and versions") {
  TemporaryFile file;
  check_refused(file.path);
  write_file_atomically(file.path, "epoch,loss\n1,2\n");
  check_refused(file.path);
  write_sample(file.path);
  std::string content = read_file(file.path);
  content[8] = 99;
  write_file_atomically(file.path, content);
  try {
    const CheckpointReader in(file.path);
    FAIL("the file was accepted");
  } catch (const IoError& e) {
    CHECK(std::string(e.what()).find("format version 99, this program reads version 1") != std::string::npos);
  }
  CheckpointWriter out;
  CHECK_THROWS_AS(out.write("/nonexistent/folder/file.bin"), IoError);
}
