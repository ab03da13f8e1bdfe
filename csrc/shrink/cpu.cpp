#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/cpu/hot.h"
#include "common/dispatch.h"
#include "shrink/math.h"
#include "shrink/shrink.h"

namespace fpg {
namespace cpu {
namespace {

constexpr int kRows = 4;   // are averaged together: their pixels have the same shares
constexpr int kLanes = 4;  // a pixel in a register: its channels, and one value that nobody reads

using Pixel = float __attribute__((vector_size(sizeof(float) * kLanes)));

FPG_HOT void to_floats(const uint8_t* __restrict row, int64_t count, float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(row[i]);
}

// Means along kRows rows of `stride` floats: out[r][x] for pixel x of row r.
FPG_HOT void mean_rows(const float* rows, int64_t stride, const Coverage& columns, Pixel* out) {
  const size_t width = columns.start.size() - 1;
  const Share* shares = columns.shares.data();
  for (size_t x = 0; x < width; ++x) {
    Pixel sums[kRows] = {};
    for (size_t k = columns.start[x]; k < columns.start[x + 1]; ++k) {
      const float* pixel = rows + int64_t{3} * shares[k].source;
      for (int r = 0; r < kRows; ++r) {
        Pixel value;
        std::memcpy(&value, pixel + r * stride, sizeof value);
        sums[r] += value * shares[k].weight;
      }
    }
    for (int r = 0; r < kRows; ++r) out[static_cast<size_t>(r) * width + x] = sums[r];
  }
}

FPG_HOT void add_row(const float* __restrict row, float weight, int64_t count, float* __restrict sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
}

FPG_HOT void add_levels(const uint8_t* __restrict row, int64_t count, uint32_t* __restrict sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += row[i];
}

FPG_HOT void round_row(const float* __restrict values, int64_t count, uint8_t* __restrict levels) {
  for (int64_t i = 0; i < count; ++i) levels[i] = static_cast<uint8_t>(std::nearbyint(std::min(values[i], 255.0F)));
}

void shrink_by_shares(const ShrinkArguments& in) {
  const Coverage rows(in.height, in.out_height), columns(in.width, in.out_width);
  const auto width = static_cast<size_t>(in.out_width);
  const int64_t values = int64_t{3} * in.width, stride = values + 1;  // the last pixel is read with one value more
  std::vector<float> floats(static_cast<size_t>(kRows * stride)), sums(kLanes * width);
  std::vector<Pixel> means(kRows * width);
  std::vector<uint8_t> levels(kLanes * width);
  int32_t held = -kRows;  // first of the rows in `means`
  for (int32_t y = 0; y < in.out_height; ++y) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    for (size_t k = rows.start[static_cast<size_t>(y)]; k < rows.start[static_cast<size_t>(y) + 1]; ++k) {
      const int32_t source = rows.shares[k].source;
      if (source >= held + kRows) {
        held = source;
        for (int32_t r = 0; r < std::min(kRows, in.height - held); ++r)
          to_floats(in.image + (held + r) * in.row_bytes, values, floats.data() + r * stride);
        mean_rows(floats.data(), stride, columns, means.data());
      }
      const Pixel* mean = means.data() + static_cast<size_t>(source - held) * width;
      add_row(reinterpret_cast<const float*>(mean), rows.shares[k].weight, static_cast<int64_t>(kLanes * width), sums.data());
    }
    round_row(sums.data(), static_cast<int64_t>(sums.size()), levels.data());
    uint8_t* out = in.out + y * in.out_row_bytes;
    for (size_t x = 0; x < width; ++x) std::copy_n(levels.data() + kLanes * x, 3, out + 3 * x);
  }
}

// Every pixel is the mean of `down` x `across` pixels.
void shrink_by_blocks(const ShrinkArguments& in, int32_t down, int32_t across) {
  const float share = 1.0F / (static_cast<float>(down) * static_cast<float>(across));
  const bool quarters = down == 2 && across == 2;
  const int64_t values = int64_t{3} * in.width;
  std::vector<uint32_t> sums(static_cast<size_t>(values));
  std::vector<float> means(3 * static_cast<size_t>(in.out_width));
  for (int32_t y = 0; y < in.out_height; ++y) {
    std::fill(sums.begin(), sums.end(), 0U);
    for (int32_t r = 0; r < down; ++r) add_levels(in.image + (int64_t{y} * down + r) * in.row_bytes, values, sums.data());
    for (int32_t x = 0; x < in.out_width; ++x) {
      const uint32_t* block = sums.data() + int64_t{3} * across * x;
      for (int c = 0; c < 3; ++c) {
        uint32_t sum = 0;
        for (int32_t i = 0; i < across; ++i) sum += block[3 * i + c];
        means[static_cast<size_t>(3 * x + c)] = quarters ? static_cast<float>((sum + 2) >> 2) : static_cast<float>(sum) * share;
      }
    }
    round_row(means.data(), static_cast<int64_t>(means.size()), in.out + y * in.out_row_bytes);
  }
}

void run(const ShrinkArguments& in, const Execution&) {
  const int32_t down = whole_scale(in.height, in.out_height), across = whole_scale(in.width, in.out_width);
  if (down > 0 && across > 0) return shrink_by_blocks(in, down, across);
  shrink_by_shares(in);
}

}  // namespace
}  // namespace cpu

bool ShrinkArguments::validate(const Execution&) const {
  expect(height >= 1 && width >= 1 && height <= kMaxSide && width <= kMaxSide,
         "image: expected 1 to " + std::to_string(kMaxSide) + " pixels a side, got " + text(height, width));
  expect(out_height >= 1 && out_width >= 1 && out_height <= height && out_width <= width,
         "out: expected 1 x 1 to " + text(height, width) + ", got " + text(out_height, out_width));
  const int64_t blocks = int64_t{height / out_height + 1} * (width / out_width + 1);
  expect(blocks <= UINT32_MAX / 255,
         "out: expected at most " + std::to_string(UINT32_MAX / 255) + " pixels in one, got " + std::to_string(blocks));
  check_pointer("image", image);
  check_pointer("out", out);
  expect(row_bytes >= int64_t{3} * width && out_row_bytes >= int64_t{3} * out_width,
         "row_bytes: expected at least " + std::to_string(int64_t{3} * width) + " and " + std::to_string(int64_t{3} * out_width) +
             ", got " + std::to_string(row_bytes) + " and " + std::to_string(out_row_bytes));
  return true;
}

// On the CPU alone, on one thread: an image is a fraction of a millisecond.
void shrink(const ShrinkArguments& arguments, const Execution& execution) { dispatch(arguments, execution, cpu::run, nullptr); }

}  // namespace fpg
