#include "color/color.h"
#include "color/math.h"
#include "common/cuda/launch_ragged.h"

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

}  // namespace

void change_color(const ColorArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.images.device.index);
  launch_groups(ChangeColor{layout(a.images), a.changes, a.out}, a.images, stream_of(execution), "change_color");
}

}  // namespace fpg::cuda
