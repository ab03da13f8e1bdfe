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

  __device__ void operator()(int64_t item, int32_t y, int32_t x) const {
    const float* fields = changes + item * kResampleFields;
    const Window from = windows[item], to = out_windows[item];
    const int32_t height = images.height(item), width = images.width(item);
    const uint8_t* image = images.item(item);
    uint8_t* target = out.row(item, y, 3) + 3 * x;
    const auto factor = whole(fields[0], 0, kMaxFactor);
    if (factor > 0) {
      const Tap tap_x = ResampleAxis(from.full_width, factor, from.x0, width, to.x0)(x);
      const Tap tap_y = ResampleAxis(from.full_height, factor, from.y0, height, to.y0)(y);
      for (int c = 0; c < 3; ++c) target[c] = sample_at(image + c, width, tap_x, tap_y);
      return;
    }
    const int32_t iy = y + to.y0 - from.y0, ix = x + to.x0 - from.x0;
    if (fields[1] != 0.0f) {
      const auto row_at = [&](int32_t row) {
        return image + static_cast<int64_t>(mirrored_index(row, from.y0, height, from.full_height)) * width * 3;
      };
      const SharpenRow row{row_at(iy - 1), row_at(iy), row_at(iy + 1), fields[1], fields[2]};
      const int64_t left = mirrored_index(ix - 1, from.x0, width, from.full_width);
      const int64_t middle = mirrored_index(ix, from.x0, width, from.full_width);
      const int64_t right = mirrored_index(ix + 1, from.x0, width, from.full_width);
      for (int c = 0; c < 3; ++c) target[c] = row(3 * left + c, 3 * middle + c, 3 * right + c);
      return;
    }
    const uint8_t* pixel = image + (static_cast<int64_t>(clamp_index(iy, height)) * width + clamp_index(ix, width)) * 3;
    for (int c = 0; c < 3; ++c) target[c] = pixel[c];
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
