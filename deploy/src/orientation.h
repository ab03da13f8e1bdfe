// How stored pixels are turned and mirrored to be upright: the twin of fpg/data/orientation.py, which says the rules.
#pragma once

#include <array>
#include <cstdint>
#include <istream>
#include <optional>

#include "image.h"

namespace fpg::runtime {

// The orientation (1 to 8) that a TIFF structure states (a TIFF file, or an EXIF block with or without its prefix); else 1.
int exif_orientation(std::istream& data);
int exif_orientation(const uint8_t* data, size_t size);

// Stored pixels, turned and mirrored as EXIF's number says.
Image upright(const Image& image, int orientation);

// What a display matrix does, but for scale and place: EXIF's number, or nothing for an angle between quarter turns; and
// (a, b, c, d) for which the pixel (x, y) is shown at (a x + c y, b x + d y).
struct Turn {
  std::optional<int> orientation = 1;
  std::array<double, 4> part = {1, 0, 0, 1};
};
Turn matrix_turn(const int32_t* matrix);

// The image shown through `part`, on a black ground that holds all of it.
Image turned(const Image& image, const std::array<double, 4>& part);

// Its (height, width).
std::array<int, 2> turned_size(int height, int width, const std::array<double, 4>& part);

}  // namespace fpg::runtime
