#include "blend/blend.h"
#include "blend/math.h"
#include "common/cuda/launch_ragged.h"

namespace fpg::cuda {
namespace {

struct Blend {
  RaggedLayout<const uint8_t> source;
  RaggedLayout<const uint8_t> background;
  RaggedLayout<const float> masks;
  uint8_t* out;
  float offset;

  __device__ uintptr_t bytes(int64_t item) const { return reinterpret_cast<uintptr_t>(background.item(item)); }

  // Whether groups of all three images start at the same pixels.
  __device__ bool wide(int64_t item) const {
    const auto apart = [&](const uint8_t* other) { return (bytes(item) - reinterpret_cast<uintptr_t>(other)) % kWideBytes; };
    return apart(source.item(item)) == 0 && apart(out + background.offsets[item]) == 0;
  }

  template <int N>
  __device__ void lanes(int64_t item, int64_t pixel) const {
    const float* mask = masks.item(item) + pixel;
    const RgbLanes<N> s(source.item(item) + 3 * pixel);
    RgbLanes<N> b(background.item(item) + 3 * pixel);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float weight = blend_weight(mask[i]);
      for (int c = 0; c < 3; ++c) b.bytes[3 * i + c] = blend_level(weight, s.bytes[3 * i + c], b.bytes[3 * i + c], offset);
    }
    b.store_to(out + background.offsets[item] + 3 * pixel);
  }
};

}  // namespace

void blend(const BlendArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.source.device.index);
  launch_groups(Blend{layout(a.source), layout(a.background), layout(a.masks), a.out, blend_offset(a.nearest)}, a.background,
                stream_of(execution), "blend");
}

}  // namespace fpg::cuda
