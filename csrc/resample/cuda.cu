#include "common/cuda/launch_ragged.h"
#include "resample/math.h"
#include "resample/resample.h"

namespace fpg::cuda {
namespace {

struct Resample {
  RaggedLayout<const uint8_t> images;
  const Window* windows;
  RaggedLayout<uint8_t> out;
  const Window* out_windows;
  const float* changes;

  struct Column {
    const uint8_t* image;
    int32_t height, width, full_height;
    int32_t factor;  // 0 for none
    float side, centre;
    Tap tap_x;
    ResampleAxis axis_y;
    int32_t left, middle, right;
    int32_t start, offset;  // of the input's window, and from the result's rows to the input's
    uint8_t* out;
    int64_t out_stride;

    __device__ const uint8_t* row_at(int32_t row) const {
      return image + static_cast<int64_t>(mirrored_index(row, start, height, full_height)) * width * 3;
    }

    __device__ void operator()(int32_t y) const {
      uint8_t* target = out + y * out_stride;
      if (factor > 0) {
        const Tap tap_y = axis_y(y);
        for (int c = 0; c < 3; ++c) target[c] = sample_at(image + c, width, tap_x, tap_y);
      } else if (side != 0.0f) {
        const SharpenRow row{row_at(y + offset - 1), row_at(y + offset), row_at(y + offset + 1), side, centre};
        for (int c = 0; c < 3; ++c) target[c] = row(3 * left + c, 3 * middle + c, 3 * right + c);
      } else {
        const uint8_t* pixel = image + (static_cast<int64_t>(clamp_index(y + offset, height)) * width + middle) * 3;
        for (int c = 0; c < 3; ++c) target[c] = pixel[c];
      }
    }
  };

  __device__ Column column(int64_t item, int32_t x) const {
    const float* fields = changes + item * kResampleFields;
    const Window from = windows[item], to = out_windows[item];
    const int32_t height = images.height(item), width = images.width(item), ix = x + to.x0 - from.x0;
    const int32_t factor = whole(fields[0], 0, kMaxFactor), divisor = factor > 0 ? factor : 1;
    const bool sharpens = fields[1] != 0.0f;
    return {images.item(item),
            height,
            width,
            from.full_height,
            factor,
            fields[1],
            fields[2],
            ResampleAxis(from.full_width, divisor, from.x0, width, to.x0)(x),
            ResampleAxis(from.full_height, divisor, from.y0, height, to.y0),
            mirrored_index(ix - 1, from.x0, width, from.full_width),
            sharpens ? mirrored_index(ix, from.x0, width, from.full_width) : clamp_index(ix, width),
            mirrored_index(ix + 1, from.x0, width, from.full_width),
            from.y0,
            to.y0 - from.y0,
            out.item(item) + 3 * x,
            int64_t{3} * out.width(item)};
  }
};

}  // namespace

void resample(const ResampleArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.images.device.index);
  launch_pixels(Resample{layout(a.images), a.windows, layout(a.out), a.out_windows, a.changes}, a.out, stream_of(execution),
                "resample");
}

}  // namespace fpg::cuda
