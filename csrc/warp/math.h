// The affine warp along one axis: bilinear taps.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/bilinear.h"

namespace fpg {

// One axis of p' = scale p + shift, inverted; black outside.
struct AffineAxis {
  int32_t in_start, in_count, out_start;
  double inverse, offset;

  FPG_HD AffineAxis(double scale, double shift, int32_t in_first, int32_t in_size, int32_t out_first)
      : in_start(in_first), in_count(in_size), out_start(out_first), inverse(1.0 / scale), offset(-shift / scale) {}

  FPG_HD int32_t inside(int32_t index) const { return index >= 0 && index < in_count ? index : -1; }

  FPG_HD Tap operator()(int32_t d) const {
    double position = (out_start + d) * inverse + offset - in_start;
    // The limits keep the conversion to an integer defined for any parameters.
    position = position > -4.0 ? (position < in_count + 4.0 ? position : in_count + 4.0) : -4.0;
    const double below = floor(position);
    const Tap tap = make_tap(static_cast<int32_t>(below), position - below);
    return {inside(tap.first), inside(tap.second), tap.weight};
  }
};

}  // namespace fpg
