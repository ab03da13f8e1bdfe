#include "common/cuda/launch_ragged.h"
#include "warp/math.h"
#include "warp/warp.h"

namespace fpg::cuda {
namespace {

struct Warp {
  RaggedLayout<const uint8_t> images;
  const Window* windows;
  RaggedLayout<uint8_t> out;
  const Window* out_windows;
  const double* affine;

  struct Column {
    const uint8_t* image;
    int32_t width;
    Tap tap_x;
    AffineAxis axis_y;
    uint8_t* out;
    int64_t out_stride;

    __device__ void operator()(int32_t y) const {
      const Tap tap_y = axis_y(y);
      uint8_t* target = out + y * out_stride;
      for (int c = 0; c < 3; ++c) target[c] = sample_at(image + c, width, tap_x, tap_y);
    }
  };

  __device__ Column column(int64_t item, int32_t x) const {
    const Window from = windows[item], to = out_windows[item];
    const double* a = affine + 4 * item;
    const int32_t width = images.width(item);
    return {images.item(item),
            width,
            AffineAxis(a[0], a[1], from.x0, width, to.x0)(x),
            AffineAxis(a[2], a[3], from.y0, images.height(item), to.y0),
            out.item(item) + 3 * x,
            int64_t{3} * out.width(item)};
  }
};

}  // namespace

void warp(const WarpArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.images.device.index);
  launch_pixels(Warp{layout(a.images), a.windows, layout(a.out), a.out_windows, a.affine}, a.out, stream_of(execution), "warp");
}

}  // namespace fpg::cuda
