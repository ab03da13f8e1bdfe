// Rectangles, each with a fixed order of its numbers; names and orders are those of fpg/common/rectangles.py. (Box, of real
// numbers, is in deploy/include/fpg_runtime/runtime.h: no kernel needs it.)
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace fpg {

// Pixels of an image, half open.
struct Crop {
  int32_t y0, y1, x0, x1;

  FPG_HD int32_t height() const { return y1 - y0; }
  FPG_HD int32_t width() const { return x1 - x0; }
  FPG_HD bool empty() const { return y0 >= y1 || x0 >= x1; }
  FPG_HD bool has_row(int32_t y) const { return y >= y0 && y < y1; }
  FPG_HD bool has_column(int32_t x) const { return x >= x0 && x < x1; }
};

// Where an image lies in the larger one that it was cut from, whose coordinates all position-dependent equations use.
struct Window {
  int32_t y0, x0;                   // its first pixel there
  int32_t full_height, full_width;  // of the larger one
};

}  // namespace fpg
