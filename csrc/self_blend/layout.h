// Scratch memory of a fused pair.
#pragma once

#include <algorithm>
#include <cstddef>

#include "jpeg/jpeg.h"
#include "self_blend/self_blend.h"

namespace fpg::cpu {

// Where things lie in a slot of scratch memory, large enough for every item.
struct SelfBlendLayout {
  size_t masks = 0;    // of the mask chain
  size_t colored = 0;  // the window, recoloured
  size_t changed = 0;  // the part of it that the warp reads, resampled
  size_t images = 0;   // forgery, background, source one after the other
  size_t planes = 0;   // of JPEG
  size_t mask = 0;     // the soft mask
  size_t bytes = 0;

  explicit SelfBlendLayout(const SelfBlendInput& in) {
    const auto pixels = [](const Crop& crop) { return static_cast<size_t>(crop.height()) * static_cast<size_t>(crop.width()); };
    size_t window = 0, warped = 0, coded = 0, coding = 0;
    for (int64_t i = 0; i < in.masks.count; ++i) {
      const SelfBlendItem& item = in.items[i];
      window = std::max(window, pixels(item.window));
      warped = std::max(warped, pixels(item.warped));
      coded = std::max(coded, pixels(item.coded));
      coding = std::max(coding, static_cast<size_t>(jpeg_scratch_bytes(item.coded.height(), item.coded.width())));
    }
    masks = take(mask_scratch_bytes(in.masks.limits, in.masks.elastic));
    colored = take(3 * window);
    changed = take(3 * warped);
    images = take(9 * coded);
    planes = take(coding);
    mask = take(4 * coded);
  }

 private:
  size_t take(size_t count) {
    const size_t start = bytes;
    bytes += (count + 63) / 64 * 64;
    return start;
  }
};

}  // namespace fpg::cpu
