#include <algorithm>

#include "blend/blend.h"
#include "blend/math.h"
#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"

namespace fpg {
namespace cpu {
namespace {

constexpr int kBlock = 256;  // pixels

FPG_HOT void blend_pixels(const uint8_t* s, const uint8_t* b, const float* __restrict mask, int count, float offset,
                          uint8_t* out) {
  alignas(64) float weights[3 * kBlock];
  alignas(64) uint8_t result[3 * kBlock];
  for (int i = 0; i < count; ++i) weights[3 * i] = weights[3 * i + 1] = weights[3 * i + 2] = blend_weight(mask[i]);
  for (int i = 0; i < 3 * count; ++i) result[i] = blend_level(weights[i], s[i], b[i], offset);
  std::copy_n(result, 3 * count, out);
}

void run(const BlendArguments& arguments, const Execution& execution) {
  const auto s = layout(arguments.source), b = layout(arguments.background);
  const auto m = layout(arguments.masks);
  const float offset = blend_offset(arguments.nearest);
  parallel_for(arguments.source.items, execution.threads, [&](int64_t item) {
    const int64_t pixels = static_cast<int64_t>(b.height(item)) * b.width(item);
    for (int64_t i = 0; i < pixels; i += kBlock)
      blend_pixels(s.item(item) + 3 * i, b.item(item) + 3 * i, m.item(item) + i,
                   static_cast<int>(std::min<int64_t>(kBlock, pixels - i)), offset, arguments.out + b.offsets[item] + 3 * i);
  });
}

}  // namespace
}  // namespace cpu

bool BlendArguments::validate(const Execution&) const {
  check_images("source", source);
  check_ragged("background", background, source.items, 3, source.device);
  check_ragged("masks", masks, source.items, 1, source.device);
  if (source.empty()) return false;
  check_pointer("out", out);
  return true;
}

void blend(const BlendArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::blend));
}

}  // namespace fpg
