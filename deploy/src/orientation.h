// How stored pixels are rotated and mirrored to be upright: the twin of fpg/data/orientation.py, which documents the rules.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "image.h"

namespace fpg::runtime {

// Stored pixels, rotated and mirrored according to EXIF's orientation.
Image upright(const Image& image, int orientation);

// What a display matrix does, apart from scale and translation: EXIF's orientation, nullopt for an angle between quarter turns;
// and (a, b, c, d) such that the pixel (x, y) is displayed at (a x + c y, b x + d y).
struct Turn {
  std::optional<int> orientation = 1;
  std::array<double, 4> part = {1, 0, 0, 1};
};
Turn matrix_turn(const int32_t* matrix);

// The image transformed by `part`, on a black background large enough for all of it.
Image turned(const Image& image, const std::array<double, 4>& part);

// Its (height, width).
std::array<int, 2> turned_size(int height, int width, const std::array<double, 4>& part);

}  // namespace fpg::runtime
