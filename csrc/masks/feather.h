// Feathering (METHOD 2.6 and feather' of 4.2; SBI, CVPR 2022; FPG, ACM MM 2024): resize, blur, keep what the blur left untouched,
// blur again, resize back, each blur divided by its maximum.
//
// What is kept depends on the last bit of the first blur, so the order of operations is OpenCV's for float32: over columns from
// left to right, for kernels of at most 5 from the middle outwards; over rows from the middle outwards; each step a fused
// multiply-add. Rounding is monotone, so a pixel whose surroundings are all 1 has the largest value there is, exactly.
#pragma once

#include "masks/elastic.h"
#include "masks/work.h"

namespace fpg {

// Minimum over some rows above and below (`over_rows`, from the input to scratch memory), then over columns (from there on).
// Pixels beyond the border are ignored: the edge pixel always belongs to the neighbourhood.
struct MaskErode {
  MaskWork work;
  bool over_rows;

  FPG_HD Crop range(int64_t slot) const { return work.state(slot).hard; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskItem& m = work.item(slot);
    uint8_t value[N];
    for (int i = 0; i < N; ++i) value[i] = 255;
    if (over_rows) {
      for (int32_t j = y - m.erode_up; j <= y + m.erode_down; ++j) {
        const uint8_t* in = work.input(slot, clamp(j, 0, m.height - 1)) + x;
        for (int i = 0; i < N; ++i) value[i] = in[i] < value[i] ? in[i] : value[i];
      }
    } else {
      const uint8_t* in = work.raster(slot, y, 0);
      if (x - m.erode_left >= 0 && x + N + m.erode_right <= m.width) {
        for (int32_t j = x - m.erode_left; j <= x + m.erode_right; ++j)
          for (int i = 0; i < N; ++i) value[i] = in[j + i] < value[i] ? in[j + i] : value[i];
      } else {
        for (int i = 0; i < N; ++i) {
          for (int32_t j = x + i - m.erode_left; j <= x + i + m.erode_right; ++j) {
            const uint8_t v = in[clamp(j, 0, m.width - 1)];
            value[i] = v < value[i] ? v : value[i];
          }
        }
      }
    }
    uint8_t* out = over_rows ? work.raster(slot, y, x) : work.hard(slot, y) + x;
    for (int i = 0; i < N; ++i) out[i] = value[i];
  }
};

// Positions and weights of both changes of size, per column.
struct FeatherTables {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const { return {0, 1, 0, most(work.item(slot).small_width, work.state(slot).out_width)}; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t, int32_t x) const {
    const MaskItem& m = work.item(slot);
    const int32_t out_width = work.state(slot).out_width;
    for (int32_t i = x; i < x + N; ++i) {
      if (i < m.small_width) {
        const MaskTap tap(i, m.width, m.small_width);
        work.at<int32_t>(slot, work.layout.down_index)[i] = tap.index;
        work.at<float>(slot, work.layout.down_fraction)[i] = tap.fraction;
      }
      if (i < out_width) {
        const MaskTap tap(i + m.x0, m.small_width, m.width);
        work.at<int32_t>(slot, work.layout.up_index)[i] = tap.index;
        work.at<float>(slot, work.layout.up_fraction)[i] = tap.fraction;
      }
    }
  }
};

// The mask at the small size, with the columns that the blur sees beyond the border and beyond the box.
struct FeatherDown {
  MaskWork work;
  bool from_input;

  FPG_HD Crop range(int64_t slot) const {
    const MaskState& s = work.state(slot);
    const int32_t r = work.item(slot).radius1;
    return {s.small.y0, s.small.y1, s.blurred.x0 - r, s.blurred.x1 + r};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskItem& m = work.item(slot);
    const Crop& box = work.state(slot).small;
    const MaskTap tap(y, m.height, m.small_height);
    const int32_t below = least(tap.index + 1, m.height - 1);
    const uint8_t* a = from_input ? work.input(slot, tap.index) : work.hard(slot, tap.index);
    const uint8_t* b = from_input ? work.input(slot, below) : work.hard(slot, below);
    const int32_t* index = work.at<const int32_t>(slot, work.layout.down_index);
    const float* fraction = work.at<const float>(slot, work.layout.down_fraction);
    float value[N];
    if (x >= box.x0 && x + N <= box.x1) {
      index += x;
      fraction += x;
      float top_left[N], top_right[N], bottom_left[N], bottom_right[N];
      for (int i = 0; i < N; ++i) {
        const int32_t left = index[i], right = least(left + 1, m.width - 1);
        top_left[i] = a[left];
        top_right[i] = a[right];
        bottom_left[i] = b[left];
        bottom_right[i] = b[right];
      }
      for (int i = 0; i < N; ++i) {
        const float f = fraction[i];
        const float top = top_left[i] * (1.0f - f) + top_right[i] * f, bottom = bottom_left[i] * (1.0f - f) + bottom_right[i] * f;
        value[i] = top * (1.0f - tap.fraction) + bottom * tap.fraction;
      }
    } else
      for (int i = 0; i < N; ++i) {
        const int32_t column = mirror(x + i, m.small_width);
        if (!box.has_column(column)) {
          value[i] = 0.0f;
          continue;
        }
        const int32_t left = index[column], right = least(left + 1, m.width - 1);
        const float f = fraction[column];
        const float top = a[left] * (1.0f - f) + a[right] * f, bottom = b[left] * (1.0f - f) + b[right] * f;
        value[i] = top * (1.0f - tap.fraction) + bottom * tap.fraction;
      }
    float* out = work.small_row(slot, work.layout.a, y) + x;
    for (int i = 0; i < N; ++i) out[i] = value[i];
  }
};

// Blur over columns, first (pass 0) or second (pass 1), from buffer a to b or from b to a.
struct FeatherColumns {
  MaskWork work;
  int pass;

  FPG_HD Crop range(int64_t slot) const {
    const MaskState& s = work.state(slot);
    return pass == 0 ? Crop{s.small.y0, s.small.y1, s.blurred.x0, s.blurred.x1}
                     : Crop{s.kept.y0, s.kept.y1, s.soft.x0, s.soft.x1};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskItem& m = work.item(slot);
    const int32_t r = pass == 0 ? m.radius1 : m.radius2;
    const float* weights = pass == 0 ? m.weights1 : m.weights2;
    const float* in = work.small_row(slot, pass == 0 ? work.layout.a : work.layout.b, y) + x;
    float sum[N];
    if (r <= 2) {
      symmetric_sum<N>([&](int32_t i) { return in + i; }, weights, r, sum);
    } else {
      for (int l = 0; l < N; ++l) sum[l] = in[l - r] * weights[r];
      for (int32_t i = 1 - r; i <= r; ++i) {
        const float weight = weights[i < 0 ? -i : i];
        for (int l = 0; l < N; ++l) sum[l] = std::fma(in[i + l], weight, sum[l]);
      }
    }
    float* out = work.small_row(slot, pass == 0 ? work.layout.b : work.layout.a, y) + x;
    for (int l = 0; l < N; ++l) out[l] = sum[l];
  }
};

// Blur over rows, back to the other buffer.
struct FeatherRows {
  MaskWork work;
  int pass;

  FPG_HD Crop range(int64_t slot) const {
    const MaskState& s = work.state(slot);
    return pass == 0 ? s.blurred : s.soft;
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskItem& m = work.item(slot);
    const MaskState& s = work.state(slot);
    const size_t from = pass == 0 ? work.layout.b : work.layout.a, to = pass == 0 ? work.layout.a : work.layout.b;
    const Crop box = pass == 0 ? s.small : s.kept;  // its rows
    const int32_t r = pass == 0 ? m.radius1 : m.radius2;
    const int32_t height = m.small_height;
    const float* zeros = work.zeros(slot);
    const float* middle = work.small_row(slot, from, y) + x;
    const int64_t stride = work.layout.small_stride;
    float sum[N];
    symmetric_sum_of_rows<N, kFeatherRadius>(
        y - r >= box.y0 && y + r < box.y1, middle, stride,
        [=](int32_t i) {
          const int32_t row = mirror(y + i, height);
          return box.has_row(row) ? middle + (row - y) * stride : zeros;
        },
        pass == 0 ? m.weights1 : m.weights2, r, sum);
    float* out = work.small_row(slot, to, y) + x;
    for (int l = 0; l < N; ++l) out[l] = sum[l];
  }
};

// Largest value of a blur, as float bits, which order as non-negative floats do. Each thread or row hands its largest to `take`.
struct FeatherLargest {
  MaskWork work;
  int pass;

  FPG_HD Crop range(int64_t slot) const { return pass == 0 ? work.state(slot).blurred : work.state(slot).soft; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x, uint32_t (&largest)[N]) const {
    const float* in = work.small_row(slot, pass == 0 ? work.layout.a : work.layout.b, y) + x;
    for (int i = 0; i < N; ++i) {
      uint32_t bits;
      memcpy(&bits, in + i, sizeof bits);
      largest[i] = bits > largest[i] ? bits : largest[i];
    }
  }
};

FPG_HD float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Keeps, as 1, what the first blur left at its maximum (blurred / maximum < 1 becomes 0, and nothing exceeds 1).
struct FeatherKeep {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const MaskState& s = work.state(slot);
    const int32_t r = work.item(slot).radius2;
    return {s.kept.y0, s.kept.y1, s.soft.x0 - r, s.soft.x1 + r};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskState& s = work.state(slot);
    const int32_t width = work.items[s.item].small_width;
    const float largest = float_of_bits(s.largest[0]);
    const float* in = work.small_row(slot, work.layout.a, y);
    float* out = work.small_row(slot, work.layout.b, y) + x;
    if (x >= s.kept.x0 && x + N <= s.kept.x1) {
      for (int i = 0; i < N; ++i) out[i] = in[x + i] >= largest && largest > 0.0f ? 1.0f : 0.0f;
      return;
    }
    for (int i = 0; i < N; ++i) {
      const int32_t column = mirror(x + i, width);
      out[i] = s.kept.has_column(column) && in[column] >= largest && largest > 0.0f ? 1.0f : 0.0f;
    }
  }
};

// Divides the second blur by its maximum, in place, and puts a column of zeros on either side for the resize.
struct FeatherScale {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const Crop& soft = work.state(slot).soft;
    return {soft.y0, soft.y1, most(0, soft.x0 - 1), least(work.item(slot).small_width, soft.x1 + 1)};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskState& s = work.state(slot);
    const int32_t x0 = s.soft.x0, x1 = s.soft.x1;
    const float largest = float_of_bits(s.largest[1]);
    const float divisor = largest > 0.0f ? largest : 1.0f;
    float* row = work.small_row(slot, work.layout.b, y);
    for (int32_t i = x; i < x + N; ++i) row[i] = i >= x0 && i < x1 ? row[i] / divisor : 0.0f;
  }
};

// Back to the full size: along columns for the rows there are, into buffer a, then along rows into the output, times the ratio.
struct FeatherUpColumns {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const MaskState& s = work.state(slot);
    return {s.soft.y0, s.soft.y1, s.out.x0, s.out.x1};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const int32_t last = work.item(slot).small_width - 1;
    const int32_t* index = work.at<const int32_t>(slot, work.layout.up_index) + x;
    const float* fraction = work.at<const float>(slot, work.layout.up_fraction) + x;
    const float* in = work.small_row(slot, work.layout.b, y);
    float left[N], right[N];
    for (int i = 0; i < N; ++i) {
      left[i] = in[index[i]];
      right[i] = in[least(index[i] + 1, last)];
    }
    float* out = work.up_row(slot, work.layout.a, y) + x;
    for (int i = 0; i < N; ++i) out[i] = left[i] * (1.0f - fraction[i]) + right[i] * fraction[i];
  }
};

struct FeatherUpRows {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const { return work.state(slot).out; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskState& s = work.state(slot);
    const MaskItem& m = work.items[s.item];
    const MaskTap tap(y + m.y0, m.small_height, m.height);
    const int32_t below = least(tap.index + 1, m.small_height - 1);
    const float* a = s.soft.has_row(tap.index) ? work.up_row(slot, work.layout.a, tap.index) : work.zeros(slot);
    const float* b = s.soft.has_row(below) ? work.up_row(slot, work.layout.a, below) : work.zeros(slot);
    float* out = work.out.data + work.out.offsets[s.item] + int64_t{y} * s.out_width;
    for (int i = x; i < x + N; ++i) out[i] = (a[i] * (1.0f - tap.fraction) + b[i] * tap.fraction) * m.ratio;
  }
};

}  // namespace fpg
