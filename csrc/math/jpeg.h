// Baseline JPEG without entropy coding (ITU-T T.81): RGB -> YCbCr (JFIF), 4:2:0, 8 x 8 DCT, quantisation, and back with
// triangle-filter chroma upsampling. Arithmetic and rounding are those of the Independent JPEG Group's accurate integer path, so
// that the result is what a file written and read by its descendants holds: 16-bit fixed-point colour, 13-bit fixed-point DCT
// (Loeffler, Ligtenberg and Moschytz, ICASSP 1989: 12 multiplications), coefficients rounded half away from zero.
#pragma once

#include <cstdint>

#include "math/host_device.h"

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

// One 8-point forward transform of the 8 values at v[0], v[stride], ...; `even` and `odd` are the bits to take off.
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

FPG_HD void jpeg_transpose(int32_t* block) {
  for (int y = 0; y < 8; ++y)
    for (int x = y + 1; x < 8; ++x) {
      const int32_t t = block[y * 8 + x];
      block[y * 8 + x] = block[x * 8 + y];
      block[x * 8 + y] = t;
    }
}

// Samples 0..255 to the samples that remain after quantisation. The loops over lanes are what a CPU vectorises; a transform along
// columns works on 8 lanes at once, so rows are transformed as the columns of the transpose.
FPG_HD void jpeg_block(int32_t* block, const int32_t* divisors) {
  for (int i = 0; i < 64; ++i) block[i] -= 128;
  jpeg_transpose(block);
  for (int lane = 0; lane < 8; ++lane) jpeg_forward8(block + lane, 8, true);
  jpeg_transpose(block);
  for (int lane = 0; lane < 8; ++lane) jpeg_forward8(block + lane, 8, false);
  for (int i = 0; i < 64; ++i) {
    // The transform scales by 8: divide by 8 q, rounding half away from zero. Values stay below 2^15, where a float quotient of
    // whole numbers is exact enough for its floor.
    const int32_t value = block[i], q = divisors[i] * 8;
    const int32_t magnitude = (value < 0 ? -value : value) + q / 2;
    const int32_t level = static_cast<int32_t>((static_cast<float>(magnitude) + 0.5f) / static_cast<float>(q));
    block[i] = (value < 0 ? -level : level) * divisors[i];
  }
  for (int lane = 0; lane < 8; ++lane) jpeg_inverse8(block + lane, 8, kJpegBits - kJpegPass);
  jpeg_transpose(block);
  for (int lane = 0; lane < 8; ++lane) jpeg_inverse8(block + lane, 8, kJpegBits + kJpegPass + 3);
  jpeg_transpose(block);
}

// Where the three planes of an image lie in its scratch: luma of 16-aligned size, chroma of half that.
struct JpegPlanes {
  int32_t rows, columns;  // in coding units of 16 x 16
  FPG_HD JpegPlanes(int32_t height, int32_t width) : rows((height + 15) / 16), columns((width + 15) / 16) {}
  FPG_HD int32_t luma_stride() const { return columns * 16; }
  FPG_HD int32_t chroma_stride() const { return columns * 8; }
  FPG_HD int64_t chroma(int which) const { return (int64_t{4} + which) * 64 * rows * columns; }
};

// First stage, per coding unit: colour, subsampling, transform, quantisation and back; writes the planes.
struct JpegCode {
  const uint8_t* images;
  const int64_t* offsets;
  const int32_t* sizes;
  const int32_t* quality;
  uint8_t* planes;
  const int64_t* plane_offsets;

  // Divisors of luma, then chroma, at an item's quality.
  FPG_HD void divisors(int64_t item, int32_t* out) const {
    for (int k = 0; k < 128; ++k) out[k] = JpegTables::divisor(k >= 64, k % 64, quality[item]);
  }

  FPG_HD void operator()(int64_t item, int32_t unit_y, int32_t unit_x, const int32_t* table) const {
    const int32_t height = sizes[2 * item], width = sizes[2 * item + 1];
    const JpegPlanes layout(height, width);
    const uint8_t* image = images + offsets[item];
    int32_t luma[256];
    int32_t blue[256];
    int32_t red[256];
    const int32_t x0 = unit_x * 16;
    const bool inside = x0 + 16 <= width;
    for (int y = 0; y < 16; ++y) {
      const int32_t row = unit_y * 16 + y;
      if (row >= height) {  // below the image its last row repeats, in chroma the last row after subsampling
        const int back = height % 2 == 0 ? 32 : 16;
        for (int i = 16 * y; i < 16 * y + 16; ++i) {
          luma[i] = luma[i - 16];
          blue[i] = blue[i - back];
          red[i] = red[i - back];
        }
        continue;
      }
      const uint8_t* line = image + int64_t{3} * row * width;
      uint8_t copied[48];
      const uint8_t* pixels = line + int64_t{3} * x0;
      if (!inside) {
        for (int x = 0; x < 16; ++x)
          for (int c = 0; c < 3; ++c) copied[3 * x + c] = line[3 * (x0 + x < width ? x0 + x : width - 1) + c];
        pixels = copied;
      }
      for (int x = 0; x < 16; ++x) {
        const int32_t r = pixels[3 * x], g = pixels[3 * x + 1], b = pixels[3 * x + 2];
        luma[16 * y + x] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
        blue[16 * y + x] = (-11059 * r - 21709 * g + 32768 * b + (128 << 16) + 32767) >> 16;
        red[16 * y + x] = (32768 * r - 27439 * g - 5329 * b + (128 << 16) + 32767) >> 16;
      }
    }
    int32_t block[64];
    uint8_t* out = planes + plane_offsets[item];
    for (int part = 0; part < 4; ++part) {
      const int top = part / 2 * 8, left = part % 2 * 8;
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) block[8 * y + x] = luma[16 * (top + y) + left + x];
      jpeg_block(block, table);
      store(block, out + (int64_t{16} * unit_y + top) * layout.luma_stride() + x0 + left, layout.luma_stride());
    }
    for (int which = 0; which < 2; ++which) {
      const int32_t* chroma = which ? red : blue;
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) {
          const int32_t* p = chroma + 32 * y + 2 * x;
          block[8 * y + x] = (p[0] + p[1] + p[16] + p[17] + 1 + (x & 1)) >> 2;  // alternating bias
        }
      jpeg_block(block, table + 64);
      store(block, out + layout.chroma(which) + int64_t{8} * unit_y * layout.chroma_stride() + int64_t{8} * unit_x,
            layout.chroma_stride());
    }
  }

  FPG_HD static void store(const int32_t* block, uint8_t* out, int32_t stride) {
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x) out[static_cast<int64_t>(y) * stride + x] = jpeg_clamp(block[8 * y + x] + 128);
  }
};

// Second stage, per row: chroma upsampled with the triangle filter (3/4 of the nearer sample, 1/4 of the farther, both ways; up
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
