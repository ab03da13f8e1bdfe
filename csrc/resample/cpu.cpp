#include <algorithm>
#include <cstring>

#include "common/cpu/bilinear.h"
#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "resample/math.h"
#include "resample/resample.h"

namespace fpg {
namespace cpu {

// Gathers the pixels of the row that the small image consists of; the taps then refer to them.
template <>
void ColumnTile::set(const ResampleAxis& axis, int32_t x0, int32_t columns, int32_t) {
  count = columns;
  const int32_t start = axis.small_tap(x0).first;
  kept = axis.small_tap(x0 + columns - 1).second - start + 1;
  for (int i = 0; i < kept; ++i) keep[i] = 3 * axis.origin(start + i);
  for (int i = 0; i < columns; ++i) {
    const Tap tap = axis.small_tap(x0 + i);
    set_tap(i, {tap.first - start, tap.second - start, tap.weight});
  }
  find_near(3 * kept + 8);  // lerp_tile_row has that much room
}

namespace {

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

void run(const ResampleArguments& arguments, const Execution& execution) {
  const auto in = layout(arguments.images);
  const auto result = layout(arguments.out);
  parallel_for(arguments.images.items, execution.threads, [&](int64_t item) {
    const float* fields = arguments.changes + item * kResampleFields;
    const Window from = arguments.windows[item], to = arguments.out_windows[item];
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

}  // namespace
}  // namespace cpu

bool ResampleArguments::validate(const Execution&) const {
  if (!check_windowed(images, windows, out, out_windows)) return false;
  check_pointer("changes", changes);
  return true;
}

void resample(const ResampleArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::resample));
}

}  // namespace fpg
