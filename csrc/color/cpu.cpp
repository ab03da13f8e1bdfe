#include <algorithm>
#include <cstring>

#include "color/color.h"
#include "color/math.h"
#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"

namespace fpg {
namespace cpu {
namespace {

constexpr int kBlock = 256;  // pixels of a row that are split into planes at a time

struct Planes {
  alignas(64) int32_t r[kBlock], g[kBlock], b[kBlock];
};

FPG_HOT void load_planes(const uint8_t* __restrict in, int count, Planes& __restrict p) {
  for (int i = 0; i < count; ++i) {
    p.r[i] = in[3 * i];
    p.g[i] = in[3 * i + 1];
    p.b[i] = in[3 * i + 2];
  }
}

FPG_HOT void store_planes(const Planes& __restrict p, int count, uint8_t* __restrict out) {
  for (int i = 0; i < count; ++i) {
    out[3 * i] = static_cast<uint8_t>(p.r[i]);
    out[3 * i + 1] = static_cast<uint8_t>(p.g[i]);
    out[3 * i + 2] = static_cast<uint8_t>(p.b[i]);
  }
}

FPG_HOT void shift_rgb(const ColorStep& step, int count, Planes& p) {
  const ColorStep local = step;
  for (int i = 0; i < count; ++i) p.r[i] = clamp_level(p.r[i] + local.red);
  for (int i = 0; i < count; ++i) p.g[i] = clamp_level(p.g[i] + local.green);
  for (int i = 0; i < count; ++i) p.b[i] = clamp_level(p.b[i] + local.blue);
}

FPG_HOT void shift_hsv(const ColorStep& step, int count, Planes& p) {
  const ColorStep local = step;
  for (int i = 0; i < count; ++i) {
    const Rgb pixel = local.shift_hsv({p.r[i], p.g[i], p.b[i]});
    p.r[i] = pixel.r;
    p.g[i] = pixel.g;
    p.b[i] = pixel.b;
  }
}

FPG_HOT void change_contrast(const ColorStep& step, int count, Planes& p) {
  const ColorStep local = step;
  for (int i = 0; i < count; ++i) p.r[i] = local.change_contrast(p.r[i]);
  for (int i = 0; i < count; ++i) p.g[i] = local.change_contrast(p.g[i]);
  for (int i = 0; i < count; ++i) p.b[i] = local.change_contrast(p.b[i]);
}

// If all channels change in the same way, levels need not be split into planes. `out` may be `in`.
FPG_HOT void change_contrast(const ColorStep& step, const uint8_t* in, int64_t count, uint8_t* out) {
  const ColorStep local = step;
  for (int64_t start = 0; start < count; start += 3 * kBlock) {
    alignas(64) uint8_t result[3 * kBlock];
    const int levels = static_cast<int>(std::min<int64_t>(3 * kBlock, count - start));
    for (int i = 0; i < levels; ++i) result[i] = static_cast<uint8_t>(local.change_contrast(in[start + i]));
    std::memcpy(out + start, result, static_cast<size_t>(levels));
  }
}

void run(const ColorArguments& arguments, const Execution& execution) {
  const auto in = layout(arguments.images);
  parallel_for(arguments.images.items, execution.threads, [&](int64_t item) {
    const float* fields = arguments.changes + item * kColorFields;
    const ColorStep step(fields);
    const bool rgb = step.shifts_rgb(), hsv = ColorStep::shifts_hsv(fields), contrast = step.changes_contrast();
    const int64_t pixels = static_cast<int64_t>(in.height(item)) * in.width(item);
    const uint8_t* from = in.item(item);
    uint8_t* to = arguments.out + in.offsets[item];
    if (!rgb && !hsv && !contrast) {
      if (to != from) std::memcpy(to, from, static_cast<size_t>(pixels) * 3);
      return;
    }
    if (!rgb && !hsv) return change_contrast(step, from, 3 * pixels, to);
    Planes planes;
    for (int64_t start = 0; start < pixels; start += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, pixels - start));
      load_planes(from + 3 * start, count, planes);
      if (rgb) shift_rgb(step, count, planes);
      if (hsv) shift_hsv(step, count, planes);
      if (contrast) change_contrast(step, count, planes);
      store_planes(planes, count, to + 3 * start);
    }
  });
}

}  // namespace
}  // namespace cpu

bool ColorArguments::validate(const Execution&) const {
  check_images("images", images);
  if (images.empty()) return false;
  check_pointer("changes", changes);
  check_pointer("out", out);
  return true;
}

void change_color(const ColorArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::change_color));
}

}  // namespace fpg
