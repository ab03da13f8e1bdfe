#include "math/jpeg.h"

#include "backends_jpeg.h"
#include "cpu/hot.h"
#include "cpu/parallel.h"

namespace fpg::cpu {
namespace {

FPG_HOT void code_row(const JpegCode& code, int64_t item, int32_t unit_y, int32_t columns, const int32_t* table) {
  const JpegCode local = code;
  for (int32_t unit_x = 0; unit_x < columns; ++unit_x) local(item, unit_y, unit_x, table);
}

FPG_HOT void decode_row(const JpegDecode& decode, int64_t item, int32_t y, int32_t width) {
  const JpegDecode local = decode;
  local(item, y, 0, width);
}

}  // namespace

void jpeg_round_trip(const JpegInput& in, const JpegScratch& scratch, const Execution& execution) {
  const RaggedView<uint8_t>& images = in.images;
  const JpegCode code{images.data, images.offsets, images.sizes, in.quality.data, scratch.planes, scratch.offsets};
  const JpegDecode decode{images.data, images.offsets, images.sizes, scratch.planes, scratch.offsets};
  parallel_for(images.items, execution.threads, [&](int64_t item) {
    if (in.quality.data[item] == 0) return;
    const int32_t height = images.sizes[2 * item], width = images.sizes[2 * item + 1];
    const JpegPlanes layout(height, width);
    int32_t table[128];
    code.divisors(item, table);
    for (int32_t unit_y = 0; unit_y < layout.rows; ++unit_y) code_row(code, item, unit_y, layout.columns, table);
    for (int32_t y = 0; y < height; ++y) decode_row(decode, item, y, width);
  });
}

}  // namespace fpg::cpu
