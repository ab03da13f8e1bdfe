#include <algorithm>
#include <cstring>

#include "backends_image.h"
#include "cpu/bilinear.h"
#include "cpu/hot.h"
#include "cpu/parallel.h"
#include "math/color.h"
#include "math/ragged_layout.h"
#include "math/sharpen.h"

namespace fpg::cpu {
namespace {

constexpr int kBlock = 256;  // pixels of a row that are taken apart into planes at a time

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

// Without a change that differs between channels, levels need not be taken apart. `out` may be `in`.
FPG_HOT void change_contrast(const ColorStep& step, const uint8_t* in, int64_t count, uint8_t* out) {
  const ColorStep local = step;
  for (int64_t start = 0; start < count; start += 3 * kBlock) {
    alignas(64) uint8_t result[3 * kBlock];
    const int levels = static_cast<int>(std::min<int64_t>(3 * kBlock, count - start));
    for (int i = 0; i < levels; ++i) result[i] = static_cast<uint8_t>(local.change_contrast(in[start + i]));
    std::memcpy(out + start, result, static_cast<size_t>(levels));
  }
}

// Elements (not pixels) of a row whose neighbours all lie inside it.
FPG_HOT void sharpen_elements(const SharpenRow& row, int64_t first, int64_t last, int64_t shift, uint8_t* __restrict out) {
  const SharpenRow local = row;
  for (int64_t i = first; i < last; ++i) out[i] = local(i + shift - 3, i + shift, i + shift + 3);
}

// The output window of one item, sharpened.
void sharpen_item(const uint8_t* image, int32_t height, int32_t width, const Window& in, uint8_t* out, int32_t out_height,
                  int32_t out_width, const Window& to, float side, float centre) {
  const int32_t dy = to.y0 - in.y0, dx = to.x0 - in.x0;
  const auto row_at = [&](int32_t y) {
    return image + static_cast<int64_t>(mirrored_index(y, in.y0, height, in.full_height)) * width * 3;
  };
  // Columns whose neighbours need neither mirroring nor clamping.
  const int32_t inner_first = std::clamp(1 - dx, 0, out_width);
  const int32_t inner_last = std::clamp(width - 1 - dx, inner_first, out_width);
  for (int32_t y = 0; y < out_height; ++y, out += static_cast<int64_t>(out_width) * 3) {
    const SharpenRow row{row_at(y + dy - 1), row_at(y + dy), row_at(y + dy + 1), side, centre};
    sharpen_elements(row, int64_t{3} * inner_first, int64_t{3} * inner_last, int64_t{3} * dx, out);
    const auto edge = [&](int32_t x) {
      const int64_t left = mirrored_index(x + dx - 1, in.x0, width, in.full_width);
      const int64_t middle = mirrored_index(x + dx, in.x0, width, in.full_width);
      const int64_t right = mirrored_index(x + dx + 1, in.x0, width, in.full_width);
      for (int c = 0; c < 3; ++c) out[3 * x + c] = row(3 * left + c, 3 * middle + c, 3 * right + c);
    };
    for (int32_t x = 0; x < inner_first; ++x) edge(x);
    for (int32_t x = inner_last; x < out_width; ++x) edge(x);
  }
}

void copy_item(const uint8_t* image, int32_t height, int32_t width, const Window& in, uint8_t* out, int32_t out_height,
               int32_t out_width, const Window& to) {
  const int32_t dy = to.y0 - in.y0, dx = to.x0 - in.x0;
  const int32_t first = std::clamp(-dx, 0, out_width), last = std::clamp(width - dx, first, out_width);
  for (int32_t y = 0; y < out_height; ++y, out += static_cast<int64_t>(out_width) * 3) {
    const uint8_t* row = image + static_cast<int64_t>(clamp_index(y + dy, height)) * width * 3;
    for (int32_t x = 0; x < first; ++x) std::memcpy(out + 3 * x, row, 3);
    std::memcpy(out + int64_t{3} * first, row + int64_t{3} * (first + dx), static_cast<size_t>(last - first) * 3);
    for (int32_t x = last; x < out_width; ++x) std::memcpy(out + 3 * x, row + int64_t{3} * (width - 1), 3);
  }
}

}  // namespace

void change_color(const RaggedView<const uint8_t>& images, const float* changes, uint8_t* out, const Execution& execution) {
  const auto in = layout(images);
  parallel_for(images.items, execution.threads, [&](int64_t item) {
    const float* fields = changes + item * kColorFields;
    const ColorStep step(fields);
    const bool rgb = step.shifts_rgb(), hsv = ColorStep::shifts_hsv(fields), contrast = step.changes_contrast();
    const int64_t pixels = static_cast<int64_t>(in.height(item)) * in.width(item);
    const uint8_t* from = in.item(item);
    uint8_t* to = out + in.offsets[item];
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

void resample(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
              const Window* out_windows, const float* changes, const Execution& execution) {
  const auto in = layout(images);
  const auto result = layout(out);
  parallel_for(images.items, execution.threads, [&](int64_t item) {
    const float* fields = changes + item * kResampleFields;
    const Window from = windows[item], to = out_windows[item];
    const int32_t height = in.height(item), width = in.width(item);
    const int32_t out_height = result.height(item), out_width = result.width(item);
    uint8_t* target = result.item(item);
    if (const auto factor = whole(fields[0], 0, kMaxFactor); factor > 0) {
      const ResampleAxis x(from.full_width, factor, from.x0, width, to.x0), y(from.full_height, factor, from.y0, height, to.y0);
      sample_image(in.item(item), width, x, y, out_height, out_width, target);
    } else if (fields[1] != 0.0f) {
      sharpen_item(in.item(item), height, width, from, target, out_height, out_width, to, fields[1], fields[2]);
    } else {
      copy_item(in.item(item), height, width, from, target, out_height, out_width, to);
    }
  });
}

}  // namespace fpg::cpu
