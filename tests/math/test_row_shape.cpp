#include "math/row_shape.h"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace emshap::math;

TEST_CASE("rows scattered into a table: slices cover all rows and their tables are no larger than the rows") {
  for (const std::int64_t rows : {0, 1, 31, 256, 257, 511, 512, 513, 4096, 100003})
    for (const std::int64_t table : {0, 1, 2, 100, 5000})
      for (const std::int64_t cols : {0, 1, 32, 33, 300}) {
        const ScatterShape shape = scatter_shape(rows, table, cols);
        CHECK(shape.slices >= 1);
        CHECK(shape.slices <= 65535);
        CHECK(shape.slices * shape.slice_rows >= rows);
        CHECK((shape.slices - 1) * shape.slice_rows < (rows > 0 ? rows : 1));
        if (shape.slices > 1) CHECK(shape.slices * table <= rows);
      }
  CHECK(scatter_shape(65536, 2, 32).slices == 256);
  CHECK(scatter_shape(65536, 2048, 32).slices == 1);
}

TEST_CASE("tiles of rows: shared memory suffices, pitches are odd, few rows are spread over many blocks") {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 4096, 1000000})
    for (const std::int64_t floats : {1, 2, 80, 95, 96, 97, 383, 384, 5000}) {
      const RowTileShape shape = row_tile_shape(rows, floats);
      CHECK(shape.pitch >= floats);
      CHECK(shape.pitch % 2 == 1);
      CHECK(shape.threads % warp_threads == 0);
      CHECK(shape.threads >= warp_threads);
      CHECK(shape.shared <= row_tile_shared);
      if (shape.shared > 0) {
        CHECK(shape.shared == shape.threads * shape.pitch * 4);
        CHECK(shape.blocks * shape.threads >= rows);
        CHECK((shape.blocks - 1) * shape.threads < (rows > 0 ? rows : 1));
      } else {
        CHECK(shape.threads == warp_threads);
        CHECK(shape.blocks <= row_tile_workspace_blocks);
      }
    }
  CHECK(row_tile_shape(4096, 80).threads == 32);
  CHECK(row_tile_shape(100000, 80).threads == 128);
  CHECK(row_tile_shape(100000, 383).shared > 0);
  CHECK(row_tile_shape(100000, 384).shared == 0);
}
