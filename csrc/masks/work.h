// Common parts of the stages of the mask chain: scratch memory, the state of an item, the boxes to compute, borders.
//
// A stage is a functor: `range(slot)` says which rows and columns it computes for the item in a slot, and `lanes<N>(slot, y, x)`
// computes N neighbours of a row. The CPU runs one item after the other in the slot of its thread, on boxes around the mask and
// in wide lanes; a GPU runs all items at once, each in its own slot, on whole images and one lane per thread. The arithmetic of a
// pixel is the same. Every image in scratch memory counts as zero outside its box.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/host_device.h"
#include "common/rectangles.h"
#include "masks/masks.h"

namespace fpg {

constexpr int kMaskHulls = 8;
constexpr int kHullCorners = kMaskPoints + 1;

FPG_HD int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
FPG_HD int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
FPG_HD int32_t clamp(int32_t i, int32_t low, int32_t high) { return most(low, least(i, high)); }

FPG_HD int32_t positive_modulo(int32_t i, int32_t n) {
  const int32_t rest = i % n;
  return rest < 0 ? rest + n : rest;
}

// Border mirrored without the edge pixel (OpenCV's reflect-101): ... 2 1 | 0 1 2 ...
FPG_HD int32_t mirror(int32_t i, int32_t n) {
  if (i >= 0 && i < n) return i;
  if (n == 1) return 0;
  const int32_t rest = positive_modulo(i, 2 * n - 2);
  return rest < n ? rest : 2 * n - 2 - rest;
}

// Border mirrored with the edge pixel repeated (SciPy's "reflect"): ... 1 0 | 0 1 2 ...
FPG_HD int32_t mirror_repeated(int32_t i, int32_t n) {
  if (i >= 0 && i < n) return i;
  const int32_t rest = positive_modulo(i, 2 * n);
  return rest < n ? rest : 2 * n - 1 - rest;
}

// Linear interpolation when `from` samples become `to`: pixel i looks at `index` and the one after it, with the weights
// 1 - fraction and fraction. Pixel centres; beyond the outermost sample it repeats. OpenCV's INTER_LINEAR.
struct MaskTap {
  int32_t index;
  float fraction;

  FPG_HD MaskTap(int32_t i, int32_t from, int32_t to) {
    const double scale = static_cast<double>(from) / to;
    const auto position = static_cast<float>((i + 0.5) * scale - 0.5);
    index = static_cast<int32_t>(position);
    index -= static_cast<int32_t>(position < static_cast<float>(index));  // floor
    fraction = position - static_cast<float>(index);
    if (index < 0 || index >= from - 1) {
      index = index < 0 ? 0 : from - 1;
      fraction = 0.0f;
    }
  }
};

// Per slot. Boxes are in pixels of what they are named after.
struct MaskState {
  int64_t item;
  int32_t hulls;
  int32_t corner_count[kMaskHulls];
  int32_t out_height, out_width;
  Crop raster;          // of the hard mask before the warp, full image
  Crop hard;            // of the warped mask, full image
  Crop field;           // of the elastic field, grid; may reach one point beyond it, where the edge repeats
  Crop small;           // of the mask at the size of the feathering
  Crop blurred;         // of the first blur
  Crop kept;            // of what the first blur left untouched
  Crop soft;            // of the second blur
  Crop out;             // of the output
  uint32_t largest[2];  // of the two blurs, as float bits
};

// Where things lie in a slot of scratch memory.
struct MaskLayout {
  int32_t raster_stride, hard_stride, grid_stride, grid_pad, small_stride, small_pad, up_stride, reach, span_rows;
  size_t state, corners, spans, raster, hard, columns, rows, down_index, down_fraction, up_index, up_fraction, zeros, a, b, plane;
  size_t bytes;

  MaskLayout(const MaskLimits& limits, const Elastic& elastic) {
    const auto up = [](int64_t value, int64_t step) { return (value + step - 1) / step * step; };
    const int64_t grid_height = (int64_t{limits.height} + 1) / 2, grid_width = (int64_t{limits.width} + 1) / 2;
    raster_stride = limits.width + 2;
    hard_stride = limits.width;
    span_rows = limits.height;
    reach = static_cast<int32_t>(elastic.amplitude) + 2;
    grid_pad = static_cast<int32_t>(up(elastic.radius + 1, 8));
    grid_stride = static_cast<int32_t>(up(grid_width, 32) + 2 * grid_pad);
    small_pad = kFeatherRadius;
    small_stride = static_cast<int32_t>(up(limits.small_width, 8) + 2 * small_pad);
    up_stride = static_cast<int32_t>(up(limits.out_width, 8));
    size_t end = 0;
    const auto place = [&](int64_t count, size_t size) {
      const size_t start = end;
      end = static_cast<size_t>(up(static_cast<int64_t>(end + static_cast<size_t>(count) * size), 64));
      return start;
    };
    state = place(1, sizeof(MaskState));
    corners = place(kMaskHulls * kHullCorners * 2, sizeof(int32_t));
    spans = place(int64_t{span_rows} * kMaskHulls * 2, sizeof(int32_t));
    raster = place(int64_t{raster_stride} * (limits.height + 2), 1);
    hard = place(int64_t{hard_stride} * limits.height, 1);
    columns = place(limits.width + 2 * reach, sizeof(int32_t));
    rows = place(limits.height + 2 * reach, sizeof(int32_t));
    down_index = place(limits.small_width, sizeof(int32_t));
    down_fraction = place(limits.small_width, sizeof(float));
    up_index = place(limits.out_width, sizeof(int32_t));
    up_fraction = place(limits.out_width, sizeof(float));
    const int64_t widest = small_stride > up_stride ? small_stride : up_stride;
    zeros = place(widest, sizeof(float));
    // two buffers that every blur alternates between: both components of the elastic field, then feathering
    const int64_t field = grid_height * grid_stride;
    const int64_t feather = limits.small_height * widest;
    plane = static_cast<size_t>(field);
    a = place(2 * field > feather ? 2 * field : feather, sizeof(float));
    b = place(2 * field > feather ? 2 * field : feather, sizeof(float));
    bytes = end;
  }
};

struct MaskWork {
  const MaskItem* items;
  unsigned char* scratch;
  MaskLayout layout;
  Elastic elastic;
  RaggedView<const uint8_t> in;
  RaggedView<float> out;

  template <class T>
  FPG_HD T* at(int64_t slot, size_t offset) const {
    return reinterpret_cast<T*>(scratch + static_cast<size_t>(slot) * layout.bytes + offset);
  }
  FPG_HD MaskState& state(int64_t slot) const { return *at<MaskState>(slot, layout.state); }
  FPG_HD const MaskItem& item(int64_t slot) const { return items[state(slot).item]; }

  // Pixel (y, x) = (-1..height, -1..width) of the hard mask before the warp.
  FPG_HD uint8_t* raster(int64_t slot, int32_t y, int32_t x) const {
    return at<uint8_t>(slot, layout.raster) + int64_t{y + 1} * layout.raster_stride + x + 1;
  }
  FPG_HD uint8_t* hard(int64_t slot, int32_t y) const { return at<uint8_t>(slot, layout.hard) + int64_t{y} * layout.hard_stride; }
  FPG_HD const uint8_t* input(int64_t slot, int32_t y) const {
    const int64_t item = state(slot).item;
    return in.data + in.offsets[item] + int64_t{y} * in.sizes[2 * item + 1];
  }
  // Rows of the two float buffers, as the elastic field (plane 0 x, 1 y) or as the feathering has them; index 0 is pixel 0.
  FPG_HD float* grid_row(int64_t slot, size_t buffer, int plane, int32_t y) const {
    return at<float>(slot, buffer) + static_cast<size_t>(plane) * layout.plane + int64_t{y} * layout.grid_stride +
           layout.grid_pad;
  }
  FPG_HD float* small_row(int64_t slot, size_t buffer, int32_t y) const {
    return at<float>(slot, buffer) + int64_t{y} * layout.small_stride + layout.small_pad;
  }
  FPG_HD float* up_row(int64_t slot, size_t buffer, int32_t y) const {
    return at<float>(slot, buffer) + int64_t{y} * layout.up_stride;
  }
  FPG_HD const float* zeros(int64_t slot) const { return at<float>(slot, layout.zeros); }
};

// Starts an item in a slot: every box covers everything.
struct MaskBegin {
  MaskWork work;

  FPG_HD void operator()(int64_t slot, int64_t item) const {
    const MaskItem& m = work.items[item];
    MaskState& s = work.state(slot);
    s.item = item;
    s.hulls = m.family == 0 ? 1 : m.family == 1 ? 3 : kMaskHulls;
    s.out_height = work.out.sizes[2 * item];
    s.out_width = work.out.sizes[2 * item + 1];
    s.raster = s.hard = {0, m.height, 0, m.width};
    s.field = {0, (m.height + 1) / 2, -1, (m.width + 1) / 2 + 1};
    s.small = s.blurred = s.kept = s.soft = {0, m.small_height, 0, m.small_width};
    s.out = {0, s.out_height, 0, s.out_width};
    s.largest[0] = s.largest[1] = 0;
  }
};

// The row that every row outside a box is read from.
struct MaskZeros {
  MaskWork work;

  FPG_HD Crop range(int64_t) const { return {0, 1, 0, most(work.layout.small_stride, work.layout.up_stride)}; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t, int32_t x) const {
    float* row = work.at<float>(slot, work.layout.zeros);
    for (int i = 0; i < N; ++i) row[x + i] = 0.0f;
  }
};

}  // namespace fpg
