// Colour changes of 8-bit RGB, per pixel: shift of R, G, B; shift in OpenCV's 8-bit HSV; contrast and brightness. SBI (CVPR
// 2022).
//
// Each step ends in integers 0..255. Everything is computed in 32-bit lanes without branches or tables, so that loops over planes
// are vectorised; the divisions for which OpenCV uses tables are exact here, too (no quotient lies halfway between two integers).
#pragma once

#include <cstdint>

#include "common/whole.h"

namespace fpg {

struct Rgb {
  int32_t r, g, b;
};

FPG_HD int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
FPG_HD int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }
FPG_HD int32_t clamp_level(int32_t value) { return smaller(larger(value, 0), 255); }

// 8-bit HSV as in OpenCV: hue in steps of 2 degrees (0..179), saturation and value 0..255; 12-bit fixed-point quotients.
struct Hsv {
  int32_t h, s, v;
};

// round(numerator / n) for n > 0; numerator / n has no fraction of 1/2. For n = 0 some number: what it is multiplied by is 0.
FPG_HD int32_t fixed_quotient(float numerator, int32_t n) {
  return static_cast<int32_t>(numerator / static_cast<float>(larger(n, 1)) + 0.5f);
}

// The hue may be negative, by at most 30, and then counts from 180.
FPG_HD Hsv rgb_to_hsv(Rgb p) {
  const int32_t v = larger(larger(p.r, p.g), p.b);
  const int32_t range = v - smaller(smaller(p.r, p.g), p.b);
  const int32_t s = (range * fixed_quotient(1044480.0f, v) + 2048) >> 12;           // 255 / v
  const int32_t g_or_b = v == p.g ? p.b - p.r + 2 * range : p.r - p.g + 4 * range;  // in sixths of the circle, times range
  const int32_t sixths = v == p.r ? p.g - p.b : g_or_b;
  return {(sixths * fixed_quotient(122880.0f, range) + 2048) >> 12, s, v};  // 30 / range
}

// A hue in -180..359 as one in 0..179: the wrong candidate is huge as an unsigned number.
FPG_HD int32_t wrap_hue(int32_t hue) {
  const auto from_zero = static_cast<uint32_t>(hue), raised = from_zero + 180u;
  const uint32_t positive = from_zero < raised ? from_zero : raised;
  const uint32_t lowered = positive - 180u;
  return static_cast<int32_t>(positive < lowered ? positive : lowered);
}

// v (1 - s c), where c, clipped to 0..1, is how far the channel is below its peak at full saturation.
FPG_HD int32_t hsv_channel(float c, float s, float v) {
  const float above = c > 0.0f ? c : 0.0f;
  return static_cast<int32_t>(v * (1.0f - s * (above < 1.0f ? above : 1.0f)) * 255.0f);
}

// Truncates, as OpenCV does for 8-bit images.
FPG_HD Rgb hsv_to_rgb(Hsv p) {
  const float turn = static_cast<float>(p.h) * (6.0f / 180.0f);  // in sectors, 0..6
  const float s = static_cast<float>(p.s) * (1.0f / 255.0f);
  const float v = static_cast<float>(p.v) * (1.0f / 255.0f);
  // Red rises in sector 1 and falls in sector 4, green in 3 and 0, blue in 5 and 2.
  const float red_up = turn - 1.0f, red_down = 1.0f - (turn - 4.0f);
  const float green_up = turn - 3.0f, green_down = 1.0f - turn;
  const float blue_up = turn - 5.0f, blue_down = 1.0f - (turn - 2.0f);
  return {hsv_channel(red_up < red_down ? red_up : red_down, s, v),
          hsv_channel(green_up > green_down ? green_up : green_down, s, v),
          hsv_channel(blue_up > blue_down ? blue_up : blue_down, s, v)};
}

// The drawn change of one item (see color/color.h). The HSV step is a choice per item, because even without a shift it changes
// colours.
struct ColorStep {
  int32_t red, green, blue;        // added
  int32_t hue, saturation, value;  // added; hue in 0..179
  float contrast, brightness;      // v -> contrast v + brightness

  FPG_HD explicit ColorStep(const float* fields)
      : red(whole(fields[0], -255, 255)),
        green(whole(fields[1], -255, 255)),
        blue(whole(fields[2], -255, 255)),
        hue(whole(fields[4], 0, 179)),
        saturation(whole(fields[5], -255, 255)),
        value(whole(fields[6], -255, 255)),
        contrast(fields[7]),
        brightness(fields[8]) {}

  FPG_HD bool shifts_rgb() const { return (red | green | blue) != 0; }
  FPG_HD static bool shifts_hsv(const float* fields) { return fields[3] != 0.0f; }
  FPG_HD bool changes_contrast() const { return contrast != 1.0f || brightness != 0.0f; }

  FPG_HD Rgb shift_rgb(Rgb p) const { return {clamp_level(p.r + red), clamp_level(p.g + green), clamp_level(p.b + blue)}; }

  FPG_HD Rgb shift_hsv(Rgb p) const {
    const Hsv hsv = rgb_to_hsv(p);
    return hsv_to_rgb({wrap_hue(hsv.h + hue), clamp_level(hsv.s + saturation), clamp_level(hsv.v + value)});
  }

  FPG_HD int32_t change_contrast(int32_t level) const {
    const float changed = static_cast<float>(level) * contrast + brightness;
    const float above = changed > 0.0f ? changed : 0.0f;
    return static_cast<int32_t>(above < 255.0f ? above : 255.0f);
  }
};

}  // namespace fpg
