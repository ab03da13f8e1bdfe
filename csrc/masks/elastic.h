// Affine and elastic change of a hard mask (METHOD 2.5; SBI, CVPR 2022): out(p) = mask(S^-1 (mirror(round(p + d(p))) - c - t) +
// c), every lookup nearest. The field d is noise on a grid of every second pixel, blurred and interpolated; grid point g lies at
// pixel 2 g + 1/2, so that every pixel has the weights 3/4 and 1/4 (see fpg/pairs/opencv.py, elastic_field).
#pragma once

#include <cmath>
#include <cstring>

#include "masks/rng.h"
#include "masks/work.h"

namespace fpg {

// N values of a symmetric kernel's sum, from the middle outwards; `tap(i)` points to the values i steps away.
template <int N, class Taps>
FPG_HD void symmetric_sum(const Taps& tap, const float* weights, int32_t radius, float (&sum)[N]) {
  const float* middle = tap(0);
  for (int l = 0; l < N; ++l) sum[l] = middle[l] * weights[0];
  for (int32_t i = 1; i <= radius; ++i) {
    const float* before = tap(-i);
    const float* after = tap(i);
    for (int l = 0; l < N; ++l) sum[l] = std::fma(after[l] + before[l], weights[i], sum[l]);
  }
}

// The same over rows. Away from borders, row i is `step` values after row i - 1; near a border, `row(i)` finds it, once for all
// N: inside the loop, the search would prevent vectorisation.
template <int N, int Radius, class Rows>
FPG_HD void symmetric_sum_of_rows(bool inside, const float* middle, int64_t step, const Rows& row, const float* weights,
                                  int32_t radius, float (&sum)[N]) {
  if (inside) {
    symmetric_sum<N>([=](int32_t i) { return middle + i * step; }, weights, radius, sum);
  } else if constexpr (N == 1) {
    symmetric_sum<N>(row, weights, radius, sum);
  } else {
    const float* rows[2 * Radius + 1];
    for (int32_t i = -radius; i <= radius; ++i) rows[radius + i] = row(i);
    symmetric_sum<N>([&](int32_t i) { return rows[radius + i]; }, weights, radius, sum);
  }
}

// Where position i - reach, beyond the border or not, is looked up: mirrored, taken back through the affine change, and clamped
// to the frame of zeros around the mask. The row table has the row stride in it, so that an address is the sum of two entries.
struct WarpTables {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const MaskItem& m = work.item(slot);
    return {0, 1, 0, most(m.height, m.width) + 2 * work.layout.reach};
  }

  FPG_HD static int32_t source(int32_t i, int32_t size, double scale, double shift, int32_t low, int32_t high) {
    const double center = size / 2.0 - 0.5;
    const double position = center + (mirror(i, size) - center - shift) / scale;
    const double nearest = std::floor(position + 0.5);
    return nearest < low ? low - 1 : nearest < high ? static_cast<int32_t>(nearest) : high;
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t, int32_t x) const {
    const MaskItem& m = work.item(slot);
    const Crop& box = work.state(slot).raster;
    const int32_t reach = work.layout.reach;
    int32_t* columns = work.at<int32_t>(slot, work.layout.columns);
    int32_t* rows = work.at<int32_t>(slot, work.layout.rows);
    for (int32_t i = x; i < x + N; ++i) {
      if (i < m.width + 2 * reach) columns[i] = source(i - reach, m.width, m.scale_x, m.shift_x, box.x0, box.x1) + 1;
      if (i < m.height + 2 * reach)
        rows[i] = (source(i - reach, m.height, m.scale_y, m.shift_y, box.y0, box.y1) + 1) * work.layout.raster_stride;
    }
  }
};

// Noise in (-1, 1) for x (low half of a word) and y (high half); which word is fpg/common/philox.py's noise_field.
struct ElasticNoise {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const MaskItem& m = work.item(slot);
    const Crop& field = work.state(slot).field;
    const int32_t r = work.elastic.radius, height = (m.height + 1) / 2, width = (m.width + 1) / 2;
    const int32_t last = least(width, field.x1 + r);
    return {most(0, field.y0 - r), least(height, field.y1 + r), most(0, field.x0 - r) / 32 * 32, (last + 31) / 32 * 32};
  }

  FPG_HD static float uniform(uint32_t half) { return (static_cast<float>(static_cast<int32_t>(half)) + 0.5f) * 0x1p-15f - 1.0f; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskItem& m = work.item(slot);
    float* out_x = work.grid_row(slot, work.layout.a, 0, y) + x;
    float* out_y = work.grid_row(slot, work.layout.a, 1, y) + x;
    if constexpr (N % 32 == 0) {  // x is a multiple of 32
      for (int32_t block = 0; block < N; block += 32) {
        uint32_t c[4][8];
        for (int i = 0; i < 8; ++i) {
          c[0][i] = static_cast<uint32_t>((x + block) / 4 + i);
          c[1][i] = static_cast<uint32_t>(y);
          c[2][i] = c[3][i] = 0;
        }
        philox4x32(c[0], c[1], c[2], c[3], m.key_low, m.key_high);
        for (int word = 0; word < 4; ++word) {
          for (int i = 0; i < 8; ++i) out_x[block + 8 * word + i] = uniform(c[word][i] & 0xFFFFu);
          for (int i = 0; i < 8; ++i) out_y[block + 8 * word + i] = uniform(c[word][i] >> 16);
        }
      }
    } else {
      for (int32_t i = 0; i < N; ++i) {
        uint32_t c[4][1] = {{static_cast<uint32_t>((x + i) / 32 * 8 + (x + i) % 8)}, {static_cast<uint32_t>(y)}, {0}, {0}};
        philox4x32(c[0], c[1], c[2], c[3], m.key_low, m.key_high);
        const uint32_t word = c[(x + i) % 32 / 8][0];
        out_x[i] = uniform(word & 0xFFFFu);
        out_y[i] = uniform(word >> 16);
      }
    }
  }
};

// Gaussian over rows.
struct ElasticRows {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const Crop& field = work.state(slot).field;
    const int32_t width = (work.item(slot).width + 1) / 2, r = work.elastic.radius;
    return {field.y0, field.y1, most(0, field.x0 - r), least(width, field.x1 + r)};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const int32_t height = (work.item(slot).height + 1) / 2, r = work.elastic.radius;
    const int64_t stride = work.layout.grid_stride;
    for (int plane = 0; plane < 2; ++plane) {
      const float* in = work.grid_row(slot, work.layout.a, plane, 0) + x;
      float sum[N];
      symmetric_sum_of_rows<N, kElasticRadius>(
          y >= r && y + r < height, in + y * stride, stride,
          [=](int32_t i) { return in + mirror_repeated(y + i, height) * stride; }, work.elastic.weights, r, sum);
      float* out = work.grid_row(slot, work.layout.b, plane, y) + x;
      for (int l = 0; l < N; ++l) out[l] = sum[l];
    }
  }
};

// Columns beyond the border, mirrored, for the next pass: first those on the left, then those on the right.
struct ElasticBorder {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const {
    const Crop& field = work.state(slot).field;
    return {field.y0, field.y1, 0, 2 * work.elastic.radius};
  }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const Crop& field = work.state(slot).field;
    const int32_t width = (work.item(slot).width + 1) / 2, r = work.elastic.radius;
    for (int32_t i = x; i < x + N; ++i) {
      const int32_t column = i < r ? -1 - i : width + i - r;
      if (column < most(0, field.x0) - r || column >= least(width, field.x1) + r) continue;
      for (int plane = 0; plane < 2; ++plane) {
        float* row = work.grid_row(slot, work.layout.b, plane, y);
        row[column] = row[mirror_repeated(column, width)];
      }
    }
  }
};

// Gaussian over columns, in pixels; one point beyond the border the edge repeats.
struct ElasticColumns {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const { return work.state(slot).field; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const int32_t width = (work.item(slot).width + 1) / 2;
    if constexpr (N > 1) {
      if (x < 0 || x + N > width) {
        for (int32_t i = 0; i < N; ++i) lanes<1>(slot, y, x + i);
        return;
      }
    }
    const int32_t column = clamp(x, 0, width - 1);
    for (int plane = 0; plane < 2; ++plane) {
      const float* in = work.grid_row(slot, work.layout.b, plane, y) + column;
      float sum[N];
      symmetric_sum<N>([&](int32_t i) { return in + i; }, work.elastic.weights, work.elastic.radius, sum);
      float* out = work.grid_row(slot, work.layout.a, plane, y) + x;
      for (int l = 0; l < N; ++l) out[l] = sum[l] * work.elastic.amplitude;
    }
  }
};

// Nearest integer, ties to even, for |v| < 2^22: adding 1.5 x 2^23 leaves it in the last bits.
FPG_HD int32_t nearest_integer(float v) {
  const float anchored = v + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &anchored, sizeof bits);
  return bits - 0x4B400000;
}

// The warped mask.
struct WarpLookup {
  MaskWork work;

  FPG_HD Crop range(int64_t slot) const { return work.state(slot).hard; }

  template <int N>
  FPG_HD void lanes(int64_t slot, int32_t y, int32_t x) const {
    const MaskState& s = work.state(slot);
    const MaskItem& m = work.items[s.item];
    const int32_t reach = work.layout.reach;
    const int32_t* columns = work.at<const int32_t>(slot, work.layout.columns) + reach;
    const int32_t* rows = work.at<const int32_t>(slot, work.layout.rows) + reach;
    const uint8_t* mask = work.at<const uint8_t>(slot, work.layout.raster);
    const int32_t last = (m.height + 1) / 2 - 1, k = y / 2;
    const int32_t near = least(k, last), far = clamp(y % 2 != 0 ? k + 1 : k - 1, 0, last);

    float dx[N], dy[N];
    for (int plane = 0; plane < 2; ++plane) {
      const float* a = work.grid_row(slot, work.layout.a, plane, near);
      const float* b = work.grid_row(slot, work.layout.a, plane, far);
      float* d = plane == 0 ? dx : dy;
      if constexpr (N % 2 == 0) {  // x is even
        constexpr int kPairs = N / 2;
        const int32_t g = x / 2 - 1;
        float v[kPairs + 2];
        for (int i = 0; i < kPairs + 2; ++i) v[i] = 0.75f * a[g + i] + 0.25f * b[g + i];
        for (int i = 0; i < kPairs; ++i) {
          d[2 * i] = 0.75f * v[i + 1] + 0.25f * v[i];
          d[2 * i + 1] = 0.75f * v[i + 1] + 0.25f * v[i + 2];
        }
      } else {
        for (int i = 0; i < N; ++i) {
          const int32_t g = (x + i) / 2, h = (x + i) % 2 != 0 ? g + 1 : g - 1;
          d[i] = 0.75f * (0.75f * a[g] + 0.25f * b[g]) + 0.25f * (0.75f * a[h] + 0.25f * b[h]);
        }
      }
    }
    int32_t qx[N], qy[N];
    for (int i = 0; i < N; ++i) {
      qx[i] = clamp(nearest_integer(static_cast<float>(x + i) + dx[i]), -reach, m.width + reach - 1);
      qy[i] = clamp(nearest_integer(static_cast<float>(y) + dy[i]), -reach, m.height + reach - 1);
    }
    uint8_t found[N];
    for (int i = 0; i < N; ++i) found[i] = mask[rows[qy[i]] + columns[qx[i]]];
    uint8_t* out = work.hard(slot, y) + x;
    for (int i = 0; i < N; ++i) out[i] = found[i];
  }
};

}  // namespace fpg
