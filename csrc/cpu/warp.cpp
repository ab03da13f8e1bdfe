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
    sample_image(in.item(item), in.width(item), AffineAxis(a[0], a[1], from.x0, in.width(item), to.x0),
                 AffineAxis(a[2], a[3], from.y0, in.height(item), to.y0), result.height(item), result.width(item),
                 result.item(item));
  });
}

}  // namespace fpg::cpu
