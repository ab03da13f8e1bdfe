#include <algorithm>

#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "jpeg/jpeg.h"
#include "jpeg/math.h"
#include "jpeg/transpose.h"

namespace fpg {
namespace cpu {
namespace {

FPG_HOT void color_row(const JpegColor& color, int64_t item, int32_t row, int32_t columns) {
  const JpegColor local = color;
  int32_t column = 0;
  for (; column + 32 <= columns; column += 32) local.lanes<32>(item, row, column);
  for (; column < columns; column += 8) local.lanes<8>(item, row, column);
}

FPG_HOT void code_row(const JpegCode& code, int64_t item, int plane, int32_t block_y, int32_t blocks,
                      const JpegQuantisation& table) {
  const JpegCode local = code;
  for (int32_t block_x = 0; block_x < blocks; block_x += 8)
    local.lanes<8>(item, plane, block_y, block_x, std::min(8, blocks - block_x), table, TransposeBytes{});
}

FPG_HOT void decode_row(const JpegDecode& decode, int64_t item, int32_t y, int32_t width) {
  const JpegDecode local = decode;
  local(item, y, 0, width);
}

void run(const JpegArguments& in, const Execution& execution) {
  const RaggedView<uint8_t>& images = in.images;
  const JpegColor color{images.data, images.offsets, images.sizes, in.planes, in.plane_offsets};
  const JpegCode code{images.sizes, in.planes, in.plane_offsets};
  const JpegDecode decode{images.data, images.offsets, images.sizes, in.planes, in.plane_offsets};
  parallel_for(images.items, execution.threads, [&](int64_t item) {
    if (in.quality.data[item] == 0) return;
    const int32_t height = images.sizes[2 * item], width = images.sizes[2 * item + 1];
    const JpegPlanes layout(height, width);
    JpegQuantisation table;
    for (int k = 0; k < 128; ++k) table.set(k, in.quality.data[item]);
    for (int32_t unit = 0; unit < layout.rows; ++unit) {  // 16 rows of pixels, while they are in the cache
      for (int32_t row = 8 * unit; row < 8 * unit + 8; ++row) color_row(color, item, row, 8 * layout.columns);
      for (int32_t half = 0; half < 2; ++half) code_row(code, item, 0, 2 * unit + half, 2 * layout.columns, table);
      for (int plane = 1; plane < 3; ++plane) code_row(code, item, plane, unit, layout.columns, table);
    }
    for (int32_t y = 0; y < height; ++y) decode_row(decode, item, y, width);
  });
}

}  // namespace
}  // namespace cpu

bool JpegArguments::validate(const Execution&) const {
  check_images("images", images);
  check_tensor("quality", quality, {images.items}, images.device);
  if (images.empty()) return false;
  check_pointer("planes", planes);
  check_pointer("plane_offsets", plane_offsets);
  return true;
}

void jpeg_round_trip(const JpegArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::jpeg_round_trip));
}

}  // namespace fpg
