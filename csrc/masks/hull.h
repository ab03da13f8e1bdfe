// Face masks: unions of convex hulls of truncated landmarks (METHOD 2.3; SBI, CVPR 2022). A hull contains every pixel that its
// outline touches: per row, from the first to the last pixel of the outline (8-connected lines) and of the area between the
// edges.
#pragma once

#include "masks/work.h"

namespace fpg {

// Which of dlib's 81 points belong to a hull: bit i of `low` is point i, of `high` point 64 + i.
struct HullPoints {
  uint64_t low;
  uint32_t high;

  FPG_HD bool has(int32_t i) const { return ((i < 64 ? low >> i : uint64_t{high} >> (i - 64)) & 1) != 0; }
};

FPG_HD uint64_t point_range(int first, int last) { return ~uint64_t{0} >> (63 - (last - first)) << first; }
FPG_HD uint64_t point(int i) { return uint64_t{1} << i; }

FPG_HD HullPoints hull_points(int32_t family, int32_t hull, int32_t points) {
  if (family == 0) return {~uint64_t{0}, points == 68 ? 0xFu : 0x1FFFFu};
  if (family == 1) {
    switch (hull) {
      case 0:
        return {point_range(0, 16) | point_range(48, 63), 0xFu};  // jaw and mouth
      case 1:
        return {point_range(27, 30) | point(33), 0};  // nose
      default:
        return {point_range(17, 26) | point(0) | point(27) | point(16) | point(33), 0};  // eyes
    }
  }
  switch (hull) {
    case 0:
      return {point_range(0, 8) | point(17), 0};  // right jaw
    case 1:
      return {point_range(8, 16) | point(26), 0};  // left jaw
    case 2:
      return {point_range(17, 19) | point(8), 0};  // right cheek
    case 3:
      return {point_range(24, 26) | point(8), 0};  // left cheek
    case 4:
      return {point_range(19, 24) | point(8), 0};  // nose ridge
    case 5:
      return {point_range(17, 21) | point_range(27, 35) | point(8), 0};  // right eye
    case 6:
      return {point_range(22, 26) | point_range(27, 35) | point(8), 0};  // left eye
    default:
      return {point_range(27, 35), 0};  // nose
  }
}

FPG_HD int32_t floor_half(int32_t v) { return v >= 0 ? v / 2 : -((1 - v) / 2); }

// Landmark i, truncated; for *extended* eyebrows (17..26) move away from the eye's arc below by half their distance, rounded
// down.
FPG_HD void hull_landmark(const MaskItem& m, int32_t i, int32_t* x, int32_t* y) {
  const auto coordinate = [&m](int32_t index, int axis) { return static_cast<int32_t>(m.landmarks[2 * index + axis]); };
  *x = coordinate(i, 0);
  *y = coordinate(i, 1);
  if (m.family != 3 || i < 17 || i > 26) return;
  for (int axis = 0; axis < 2; ++axis) {
    int32_t* value = axis == 0 ? x : y;
    int32_t arc;
    if (i == 17) {
      arc = floor_half(coordinate(36, axis) + floor_half(coordinate(36, axis) + coordinate(0, axis)));
    } else if (i == 26) {
      arc = floor_half(coordinate(45, axis) + floor_half(coordinate(16, axis) + coordinate(45, axis)));
    } else {
      arc = coordinate(i < 22 ? i + 18 : i + 20, axis);  // 36..39 and 42..45
    }
    *value += floor_half(*value - arc);
  }
}

// The hull's corners in order, by Andrew's monotone chain. One (slot, hull) each: y is the hull.
struct HullCorners {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const { return {0, work.state(slot).hulls, 0, 1}; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t hull, int32_t) const {
    const MaskItem& m = work.item(slot);
    const HullPoints chosen = hull_points(m.family, hull, m.points);
    int32_t xs[kMaskPoints], ys[kMaskPoints];
    int32_t count = 0;
    for (int32_t i = 0; i < kMaskPoints; ++i) {
      if (!chosen.has(i)) continue;
      int32_t x, y;
      hull_landmark(m, i, &x, &y);
      int32_t place = count++;
      for (; place > 0 && (xs[place - 1] > x || (xs[place - 1] == x && ys[place - 1] > y)); --place) {
        xs[place] = xs[place - 1];
        ys[place] = ys[place - 1];
      }
      xs[place] = x;
      ys[place] = y;
    }
    int32_t* out = work.at<int32_t>(slot, work.layout.corners) + hull * kHullCorners * 2;
    int32_t size = 0;
    for (int half = 0; half < 2; ++half) {  // lower, then upper chain
      const int32_t base = size;
      for (int32_t j = 0; j < count; ++j) {
        const int32_t i = half == 0 ? j : count - 1 - j;
        while (size - base >= 2) {
          const int64_t ax = out[2 * size - 2] - out[2 * size - 4], ay = out[2 * size - 1] - out[2 * size - 3];
          const int64_t bx = xs[i] - out[2 * size - 4], by = ys[i] - out[2 * size - 3];
          if (ax * by - ay * bx > 0) break;
          --size;
        }
        out[2 * size] = xs[i];
        out[2 * size + 1] = ys[i];
        ++size;
      }
      --size;  // the last point begins the other chain
    }
    work.state(slot).corner_count[hull] = most(size, 1);
  }
};

// Columns of the line between two points in row y, as Bresenham draws it from the left to the right end; `first` > `last` if
// none.
FPG_HD void line_columns(int64_t x0, int64_t y0, int64_t x1, int64_t y1, int64_t y, int64_t* first, int64_t* last) {
  if (x0 > x1) {
    int64_t swap = x0;
    x0 = x1, x1 = swap;
    swap = y0;
    y0 = y1, y1 = swap;
  }
  const int64_t dx = x1 - x0, dy = y1 > y0 ? y1 - y0 : y0 - y1;
  const int64_t j = y1 > y0 ? y - y0 : y0 - y;  // rows from the left end
  *first = 1;
  *last = 0;
  if (j < 0 || j > dy) return;
  if (dy > dx) {  // one pixel per row; a tie goes to the left end's side
    *first = *last = x0 + (2 * j * dx + dy - 1) / (2 * dy);
  } else if (dy == 0) {
    *first = x0;
    *last = x1;
  } else {  // those columns i whose row, i dy / dx rounded, is j
    const int64_t low = j == 0 ? 0 : (2 * j - 1) * dx / (2 * dy) + 1, high = (2 * j + 1) * dx / (2 * dy);
    *first = x0 + low;
    *last = x0 + (high < dx ? high : dx);
  }
}

// The column that filling between the edges reaches in row y, from the upper end's row up to the one above the lower end's: 16
// bits of fraction, halves to the right, as OpenCV's fillConvexPoly has it. It exceeds the outline where an edge passes halfway
// between pixels.
FPG_HD int64_t fill_column(int64_t x0, int64_t y0, int64_t x1, int64_t y1, int64_t y) {
  const int64_t top = y0 < y1 ? x0 : x1, bottom = y0 < y1 ? x1 : x0;
  const int64_t rows = y0 < y1 ? y1 - y0 : y0 - y1, j = y - (y0 < y1 ? y0 : y1);
  const int64_t step = ((bottom - top) * 131072 + rows) / (2 * rows);
  return (top * 65536 + j * step + 32768) >> 16;
}

// First and last column of a hull in row y; x is the hull.
struct HullSpans {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    return {work.state(slot).raster.y0, work.state(slot).raster.y1, 0, work.state(slot).hulls};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t hull) const {
    const int32_t* corners = work.at<const int32_t>(slot, work.layout.corners) + hull * kHullCorners * 2;
    const int32_t count = work.state(slot).corner_count[hull];
    int64_t first = INT32_MAX, last = INT32_MIN;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t j = i + 1 < count ? i + 1 : 0;
      const int32_t ya = corners[2 * i + 1], yb = corners[2 * j + 1];
      if (y < least(ya, yb) || y > most(ya, yb)) continue;
      int64_t a, b;
      line_columns(corners[2 * i], ya, corners[2 * j], yb, y, &a, &b);
      if (a > b) continue;
      first = a < first ? a : first;
      last = b > last ? b : last;
      if (y < most(ya, yb)) {
        const int64_t filled = fill_column(corners[2 * i], ya, corners[2 * j], yb, y);
        first = filled < first ? filled : first;
        last = filled > last ? filled : last;
      }
    }
    int32_t* span = work.at<int32_t>(slot, work.layout.spans) + (int64_t{y} * kMaskHulls + hull) * 2;
    span[0] = static_cast<int32_t>(first);
    span[1] = static_cast<int32_t>(last);
  }
};

// The union of the hulls as pixels {0, 1}, with a frame of zeros around the box.
struct HullRaster {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const Crop& box = work.state(slot).raster;
    return {box.y0 - 1, box.y1 + 1, box.x0 - 1, box.x1 + 1};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskState& s = work.state(slot);
    const int32_t* spans = work.at<const int32_t>(slot, work.layout.spans) + int64_t{y} * kMaskHulls * 2;
    uint8_t inside[N];
    for (int i = 0; i < N; ++i) inside[i] = 0;
    if (s.raster.has_row(y)) {
      for (int32_t hull = 0; hull < s.hulls; ++hull) {
        const int32_t first = most(spans[2 * hull], s.raster.x0), last = least(spans[2 * hull + 1], s.raster.x1 - 1);
        if (last < x || first >= x + N) continue;
        for (int i = 0; i < N; ++i) inside[i] |= static_cast<uint8_t>((x + i >= first) & (x + i <= last));
      }
    }
    uint8_t* out = work.raster(slot, y, x);
    for (int i = 0; i < N; ++i) out[i] = inside[i];
  }
};

}  // namespace fpg
