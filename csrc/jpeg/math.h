// Baseline JPEG without entropy coding (ITU-T T.81): RGB -> YCbCr (JFIF), 4:2:0, 8 x 8 DCT, quantisation, and back with
// triangle-filter chroma upsampling. Arithmetic and rounding are those of the Independent JPEG Group's accurate integer path, so
// that the result is what a file written and read by its descendants holds: 16-bit fixed-point colour, 13-bit fixed-point DCT
// (Loeffler, Ligtenberg and Moschytz, ICASSP 1989: 12 multiplications), coefficients rounded half away from zero.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/host_device.h"

namespace fpg {

// ITU-T T.81, tables K.1 and K.2, row by row.
struct JpegTables {
  FPG_HD static int base(int chroma, int k) {
    constexpr uint8_t luma_table[64] = {16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,  //
                                        14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,  //
                                        18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,  //
                                        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};
    constexpr uint8_t chroma_table[64] = {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,  //
                                          24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,  //
                                          99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,  //
                                          99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};
    return chroma ? chroma_table[k] : luma_table[k];
  }

  // Quality 1..100 to a divisor in 1..255.
  FPG_HD static int divisor(int chroma, int k, int quality) {
    const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    const int value = (base(chroma, k) * scale + 50) / 100;
    return value < 1 ? 1 : (value > 255 ? 255 : value);
  }
};

FPG_HD int32_t jpeg_descale(int32_t value, int bits) { return (value + (int32_t{1} << (bits - 1))) >> bits; }

FPG_HD uint8_t jpeg_clamp(int32_t value) { return static_cast<uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value)); }

constexpr int kJpegBits = 13;
constexpr int kJpegPass = 2;

// cos and sin products of the transform, times 2^13.
constexpr int32_t kJpeg0298 = 2446, kJpeg0390 = 3196, kJpeg0541 = 4433, kJpeg0765 = 6270, kJpeg0899 = 7373, kJpeg1175 = 9633,
                  kJpeg1501 = 12299, kJpeg1847 = 15137, kJpeg1961 = 16069, kJpeg2053 = 16819, kJpeg2562 = 20995,
                  kJpeg3072 = 25172;

// One 8-point forward transform of the 8 values at v[0], v[stride], ...; `even` and `odd` are the numbers of bits to drop.
FPG_HD void jpeg_forward8(int32_t* v, int stride, bool first) {
  const int32_t s07 = v[0] + v[7 * stride], d07 = v[0] - v[7 * stride];
  const int32_t s16 = v[stride] + v[6 * stride], d16 = v[stride] - v[6 * stride];
  const int32_t s25 = v[2 * stride] + v[5 * stride], d25 = v[2 * stride] - v[5 * stride];
  const int32_t s34 = v[3 * stride] + v[4 * stride], d34 = v[3 * stride] - v[4 * stride];

  const int32_t e0 = s07 + s34, e3 = s07 - s34, e1 = s16 + s25, e2 = s16 - s25;
  const int shift = first ? kJpegBits - kJpegPass : kJpegBits + kJpegPass;
  v[0] = first ? (e0 + e1) * (1 << kJpegPass) : jpeg_descale(e0 + e1, kJpegPass);
  v[4 * stride] = first ? (e0 - e1) * (1 << kJpegPass) : jpeg_descale(e0 - e1, kJpegPass);
  const int32_t rotated = (e2 + e3) * kJpeg0541;
  v[2 * stride] = jpeg_descale(rotated + e3 * kJpeg0765, shift);
  v[6 * stride] = jpeg_descale(rotated - e2 * kJpeg1847, shift);

  const int32_t z5 = (d34 + d16 + d25 + d07) * kJpeg1175;
  const int32_t z1 = -(d34 + d07) * kJpeg0899, z2 = -(d25 + d16) * kJpeg2562;
  const int32_t z3 = z5 - (d34 + d16) * kJpeg1961, z4 = z5 - (d25 + d07) * kJpeg0390;
  v[7 * stride] = jpeg_descale(d34 * kJpeg0298 + z1 + z3, shift);
  v[5 * stride] = jpeg_descale(d25 * kJpeg2053 + z2 + z4, shift);
  v[3 * stride] = jpeg_descale(d16 * kJpeg3072 + z2 + z3, shift);
  v[stride] = jpeg_descale(d07 * kJpeg1501 + z1 + z4, shift);
}

// One 8-point inverse transform in place.
FPG_HD void jpeg_inverse8(int32_t* v, int stride, int shift) {
  const int32_t rotated = (v[2 * stride] + v[6 * stride]) * kJpeg0541;
  const int32_t e2 = rotated - v[6 * stride] * kJpeg1847, e3 = rotated + v[2 * stride] * kJpeg0765;
  const int32_t e0 = (v[0] + v[4 * stride]) * (1 << kJpegBits), e1 = (v[0] - v[4 * stride]) * (1 << kJpegBits);
  const int32_t t10 = e0 + e3, t13 = e0 - e3, t11 = e1 + e2, t12 = e1 - e2;

  const int32_t o7 = v[7 * stride], o5 = v[5 * stride], o3 = v[3 * stride], o1 = v[stride];
  const int32_t z5 = (o7 + o3 + o5 + o1) * kJpeg1175;
  const int32_t z1 = -(o7 + o1) * kJpeg0899, z2 = -(o5 + o3) * kJpeg2562;
  const int32_t z3 = z5 - (o7 + o3) * kJpeg1961, z4 = z5 - (o5 + o1) * kJpeg0390;
  const int32_t b0 = o7 * kJpeg0298 + z1 + z3, b1 = o5 * kJpeg2053 + z2 + z4;
  const int32_t b2 = o3 * kJpeg3072 + z2 + z3, b3 = o1 * kJpeg1501 + z1 + z4;

  v[0] = jpeg_descale(t10 + b3, shift);
  v[7 * stride] = jpeg_descale(t10 - b3, shift);
  v[stride] = jpeg_descale(t11 + b2, shift);
  v[6 * stride] = jpeg_descale(t11 - b2, shift);
  v[2 * stride] = jpeg_descale(t12 + b1, shift);
  v[5 * stride] = jpeg_descale(t12 - b1, shift);
  v[3 * stride] = jpeg_descale(t13 + b0, shift);
  v[4 * stride] = jpeg_descale(t13 - b0, shift);
}

// The quantisation tables of an item, by its quality: luma, then chroma.
struct JpegQuantisation {
  int32_t divisors[128];
  float reciprocals[128];  // of 8 times the divisors

  FPG_HD void set(int k, int quality) {
    divisors[k] = JpegTables::divisor(k >= 64, k % 64, quality);
    reciprocals[k] = 1.0f / static_cast<float>(divisors[k] * 8);
  }
};

// Quantises samples minus 128 and reconstructs them (minus 128), for N blocks at once: v[k * N + lane] is sample k of a
// block. The loops over lanes are what a CPU vectorises.
template <int N>
FPG_HD void jpeg_blocks(int32_t* v, const int32_t* divisors, const float* reciprocals) {
  for (int y = 0; y < 8; ++y)
    for (int lane = 0; lane < N; ++lane) jpeg_forward8(v + y * 8 * N + lane, N, true);
  for (int x = 0; x < 8; ++x)
    for (int lane = 0; lane < N; ++lane) jpeg_forward8(v + x * N + lane, 8 * N, false);
  for (int k = 0; k < 64; ++k) {
    // The transform scales by 8: divide by 8 q, rounding half away from zero. The quotient is at least 1/2 / (8 q) from a whole
    // number, and values stay below 2^15: the error of its float arithmetic is less.
    const int32_t divisor = divisors[k], half = divisor * 4;
    const float reciprocal = reciprocals[k];
    for (int lane = 0; lane < N; ++lane) {
      const int32_t value = v[k * N + lane];
      const int32_t magnitude = (value < 0 ? -value : value) + half;
      const auto level = static_cast<int32_t>((static_cast<float>(magnitude) + 0.5f) * reciprocal);
      v[k * N + lane] = (value < 0 ? -level : level) * divisor;
    }
  }
  for (int x = 0; x < 8; ++x)
    for (int lane = 0; lane < N; ++lane) jpeg_inverse8(v + x * N + lane, 8 * N, kJpegBits - kJpegPass);
  for (int y = 0; y < 8; ++y)
    for (int lane = 0; lane < N; ++lane) jpeg_inverse8(v + y * 8 * N + lane, N, kJpegBits + kJpegPass + 3);
}

// Where the three planes of an image lie in its scratch: luma of 16-aligned size, chroma of half that.
struct JpegPlanes {
  int32_t rows, columns;  // in coding units of 16 x 16
  FPG_HD JpegPlanes(int32_t height, int32_t width) : rows((height + 15) / 16), columns((width + 15) / 16) {}
  FPG_HD int32_t luma_stride() const { return columns * 16; }
  FPG_HD int32_t chroma_stride() const { return columns * 8; }
  FPG_HD int64_t chroma(int which) const { return (int64_t{4} + which) * 64 * rows * columns; }
};

// First stage: RGB -> YCbCr, chroma subsampled; writes the planes. Beyond the image its last column repeats; below it the last
// row does, in chroma the last row after subsampling.
struct JpegColor {
  const uint8_t* images;
  const int64_t* offsets;
  const int32_t* sizes;
  uint8_t* planes;
  const int64_t* plane_offsets;

  // Chroma columns [column, column + N) of chroma row `row`, and the luma samples that belong to them.
  template <int N>
  FPG_HD void lanes(int64_t item, int32_t row, int32_t column) const {
    const int32_t height = sizes[2 * item], width = sizes[2 * item + 1];
    const JpegPlanes layout(height, width);
    uint8_t* out = planes + plane_offsets[item];
    const int32_t last = (height - 1) / 2, source = row < last ? row : last;
    int32_t blue[N] = {}, red[N] = {};  // sums of 4
    for (int half = 0; half < 2; ++half) {
      const int32_t y = 2 * source + half < height ? 2 * source + half : height - 1;
      const uint8_t* line = images + offsets[item] + int64_t{3} * y * width;
      const uint8_t* pixels = line + int64_t{6} * column;
      uint8_t copied[6 * N];
      if (2 * (column + N) > width) {
        for (int32_t x = 0; x < 2 * N; ++x)
          for (int c = 0; c < 3; ++c)
            copied[3 * x + c] = line[3 * int64_t{2 * column + x < width ? 2 * column + x : width - 1} + c];
        pixels = copied;
      }
      int32_t r[2 * N], g[2 * N], b[2 * N];
      uint8_t luma[2 * N];
      int32_t blue_part[2 * N], red_part[2 * N];
      for (int i = 0; i < 2 * N; ++i) {
        r[i] = pixels[3 * i];
        g[i] = pixels[3 * i + 1];
        b[i] = pixels[3 * i + 2];
      }
      for (int i = 0; i < 2 * N; ++i) luma[i] = static_cast<uint8_t>((19595 * r[i] + 38470 * g[i] + 7471 * b[i] + 32768) >> 16);
      for (int i = 0; i < 2 * N; ++i) {
        blue_part[i] = (-11059 * r[i] - 21709 * g[i] + 32768 * b[i] + (128 << 16) + 32767) >> 16;
        red_part[i] = (32768 * r[i] - 27439 * g[i] - 5329 * b[i] + (128 << 16) + 32767) >> 16;
      }
      for (int i = 0; i < N; ++i) {
        blue[i] += blue_part[2 * i] + blue_part[2 * i + 1];
        red[i] += red_part[2 * i] + red_part[2 * i + 1];
      }
      for (int32_t target = 0; target < 2; ++target) {  // below the image both luma rows are the last one
        if (row == source ? target != half : half == 0) continue;
        uint8_t* to = out + (int64_t{2} * row + target) * layout.luma_stride() + 2 * column;
        for (int i = 0; i < 2 * N; ++i) to[i] = luma[i];
      }
    }
    uint8_t* blue_out = out + layout.chroma(0) + static_cast<int64_t>(row) * layout.chroma_stride() + column;
    uint8_t* red_out = out + layout.chroma(1) + static_cast<int64_t>(row) * layout.chroma_stride() + column;
    for (int i = 0; i < N; ++i) {
      const int32_t bias = 1 + ((column + i) & 1);  // alternating
      blue_out[i] = static_cast<uint8_t>((blue[i] + bias) >> 2);
      red_out[i] = static_cast<uint8_t>((red[i] + bias) >> 2);
    }
  }
};

// Second stage, in place: transform, quantisation and back.
struct JpegCode {
  const int32_t* sizes;
  uint8_t* planes;
  const int64_t* plane_offsets;

  // The first `count` of N blocks that are adjacent, starting at `block_x`. N is 1 or 8; `transpose` makes 8 x 8 bytes, a row
  // of 8 samples of 8 blocks, into 8 blocks of 8 samples, and back.
  template <int N, class Transpose>
  FPG_HD void lanes(int64_t item, int plane, int32_t block_y, int32_t block_x, int count, const JpegQuantisation& table,
                    const Transpose& transpose) const {
    const JpegPlanes layout(sizes[2 * item], sizes[2 * item + 1]);
    const int32_t stride = plane == 0 ? layout.luma_stride() : layout.chroma_stride();
    uint8_t* samples = planes + plane_offsets[item] + (plane == 0 ? 0 : layout.chroma(plane - 1)) +
                       int64_t{8} * block_y * stride + int64_t{8} * block_x;
    int32_t v[64 * N];
    uint8_t rows[8 * N] = {}, columns[8 * N];
    for (int y = 0; y < 8; ++y) {
      memcpy(rows, samples + static_cast<int64_t>(y) * stride, static_cast<size_t>(8 * count));
      transpose(rows, columns);
      for (int i = 0; i < 8 * N; ++i) v[8 * N * y + i] = columns[i] - 128;
    }
    const int first = plane == 0 ? 0 : 64;
    jpeg_blocks<N>(v, table.divisors + first, table.reciprocals + first);
    for (int y = 0; y < 8; ++y) {
      for (int i = 0; i < 8 * N; ++i) columns[i] = jpeg_clamp(v[8 * N * y + i] + 128);
      transpose(columns, rows);
      memcpy(samples + static_cast<int64_t>(y) * stride, rows, static_cast<size_t>(8 * count));
    }
  }
};

// Third stage, per row: chroma upsampled with the triangle filter (3/4 of the nearer sample, 1/4 of the farther, both ways; up
// to two chroma columns are repeated instead), YCbCr -> RGB. x0 is even.
struct JpegDecode {
  uint8_t* images;
  const int64_t* offsets;
  const int32_t* sizes;
  const uint8_t* planes;
  const int64_t* plane_offsets;

  static constexpr int32_t kColumns = 32;  // chroma columns at a time

  // c - 128 at the pixels of columns [first, first + count), from the nearer and the farther row of chroma samples.
  FPG_HD static void upsample(const uint8_t* near, const uint8_t* far, int32_t first, int32_t count, int32_t last, int32_t* out) {
    int32_t sums[kColumns + 2];  // of the columns first - 1 .. first + count
    for (int32_t i = 0; i < count; ++i) sums[i + 1] = 3 * near[first + i] + far[first + i];
    sums[0] = first > 0 ? 3 * near[first - 1] + far[first - 1] : sums[1];
    sums[count + 1] = first + count <= last ? 3 * near[first + count] + far[first + count] : sums[count];
    const int32_t here = last > 1 ? 3 : 4, there = last > 1 ? 1 : 0;
    for (int32_t i = 0; i < count; ++i) {
      out[2 * i] = ((here * sums[i + 1] + there * sums[i] + 8) >> 4) - 128;
      out[2 * i + 1] = ((here * sums[i + 1] + there * sums[i + 2] + 7) >> 4) - 128;
    }
  }

  FPG_HD void operator()(int64_t item, int32_t y, int32_t x0, int32_t x1) const {
    const int32_t height = sizes[2 * item], width = sizes[2 * item + 1];
    const JpegPlanes layout(height, width);
    const int32_t last_row = (height + 1) / 2 - 1, last_column = (width + 1) / 2 - 1;
    const int32_t near = y / 2, other = y % 2 ? near + 1 : near - 1;
    const int32_t far = last_column > 1 ? (other < 0 ? 0 : (other > last_row ? last_row : other)) : near;
    const int64_t near_row = static_cast<int64_t>(near) * layout.chroma_stride();
    const int64_t far_row = static_cast<int64_t>(far) * layout.chroma_stride();
    const uint8_t* plane = planes + plane_offsets[item];
    const uint8_t* blue_plane = plane + layout.chroma(0);
    const uint8_t* red_plane = plane + layout.chroma(1);
    for (int32_t start = x0; start < x1; start += 2 * kColumns) {
      const int32_t pixels = x1 - start < 2 * kColumns ? x1 - start : 2 * kColumns;
      const int32_t first = start / 2, count = (pixels + 1) / 2;
      int32_t blue[2 * kColumns], red[2 * kColumns];
      upsample(blue_plane + near_row, blue_plane + far_row, first, count, last_column, blue);
      upsample(red_plane + near_row, red_plane + far_row, first, count, last_column, red);
      const uint8_t* luma = plane + static_cast<int64_t>(y) * layout.luma_stride() + start;
      uint8_t* out = images + offsets[item] + 3 * (static_cast<int64_t>(y) * width + start);
      for (int32_t i = 0; i < pixels; ++i) {
        const int32_t v = luma[i], cb = blue[i], cr = red[i];
        out[3 * i] = jpeg_clamp(v + ((91881 * cr + 32768) >> 16));
        out[3 * i + 1] = jpeg_clamp(v + ((-22554 * cb - 46802 * cr + 32768) >> 16));
        out[3 * i + 2] = jpeg_clamp(v + ((116130 * cb + 32768) >> 16));
      }
    }
  }
};

}  // namespace fpg
