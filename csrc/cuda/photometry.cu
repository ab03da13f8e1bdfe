#include "backends_image.h"
#include "cuda/launch_ragged.h"
#include "math/bilinear.h"
#include "math/color.h"
#include "math/sharpen.h"

namespace fpg::cuda {
namespace {

struct ChangeColor {
  RaggedLayout<const uint8_t> images;
  const float* changes;
  uint8_t* out;

  __device__ uintptr_t bytes(int64_t item) const { return reinterpret_cast<uintptr_t>(images.item(item)); }
  __device__ bool wide(int64_t) const {
    return (reinterpret_cast<uintptr_t>(images.data) - reinterpret_cast<uintptr_t>(out)) % kWideBytes == 0;
  }

  template <int N>
  __device__ void lanes(int64_t item, int64_t pixel) const {
    const float* fields = changes + item * kColorFields;
    const ColorStep step(fields);
    const bool rgb = step.shifts_rgb(), hsv = ColorStep::shifts_hsv(fields), contrast = step.changes_contrast();
    const int64_t at = images.offsets[item] + 3 * pixel;
    RgbLanes<N> pixels(images.data + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      Rgb p{pixels.bytes[3 * i], pixels.bytes[3 * i + 1], pixels.bytes[3 * i + 2]};
      if (rgb) p = step.shift_rgb(p);
      if (hsv) p = step.shift_hsv(p);
      if (contrast) p = {step.change_contrast(p.r), step.change_contrast(p.g), step.change_contrast(p.b)};
      pixels.bytes[3 * i] = static_cast<uint8_t>(p.r);
      pixels.bytes[3 * i + 1] = static_cast<uint8_t>(p.g);
      pixels.bytes[3 * i + 2] = static_cast<uint8_t>(p.b);
    }
    pixels.store_to(out + at);
  }
};

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

void change_color(const RaggedView<const uint8_t>& images, const float* changes, uint8_t* out, const Execution& execution) {
  const DeviceGuard guard(images.device.index);
  launch_groups(ChangeColor{layout(images), changes, out}, images, static_cast<cudaStream_t>(execution.stream), "change_color");
}

void resample(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
              const Window* out_windows, const float* changes, const Execution& execution) {
  const DeviceGuard guard(images.device.index);
  launch_pixels(Resample{layout(images), windows, layout(out), out_windows, changes}, out,
                static_cast<cudaStream_t>(execution.stream), "resample");
}

}  // namespace fpg::cuda
