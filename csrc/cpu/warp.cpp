#include "backends_image.h"
#include "cpu/bilinear.h"
#include "cpu/parallel.h"
#include "math/ragged_layout.h"

namespace fpg::cpu {

void warp(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
          const Window* out_windows, const double* affine, const Execution& execution) {
  const auto in = layout(images);
  const auto result = layout(out);
  parallel_for(images.items, execution.threads, [&](int64_t item) {
    const Window from = windows[item], to = out_windows[item];
    const double* a = affine + 4 * item;
    const int32_t out_width = result.width(item);
    uint8_t* target = result.item(item);
    sample_image(in.item(item), in.width(item), AffineAxis(a[0], a[1], from.x0, in.width(item), to.x0),
                 AffineAxis(a[2], a[3], from.y0, in.height(item), to.y0), result.height(item), out_width,
                 [&](int32_t row, int32_t x0, int count, const uint8_t* pixels) {
                   store_rgb(pixels, count, target + (static_cast<int64_t>(row) * out_width + x0) * 3);
                 });
  });
}

}  // namespace fpg::cpu
