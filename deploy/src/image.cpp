#include "image.h"

#include <algorithm>
#include <cmath>

#include "shrink/shrink.h"

namespace fpg::runtime {
namespace {

constexpr int kUnit = 2048;

// Which two source pixels each of `size` pixels lies between, and the weight of the second, in units of 1 / kUnit.
struct Between {
  int first;
  int second;
  int weight;
};

// Beyond the border the first or last pixel alone counts, or (`split`) it is both neighbours, each with its weight: OpenCV does
// the one along rows and the other down columns, and rounds apart.
std::vector<Between> between(int source, int size, bool split) {
  const double scale = static_cast<double>(source) / size;
  std::vector<Between> result;
  for (int i = 0; i < size; ++i) {
    const auto at = static_cast<float>((i + 0.5) * scale - 0.5);
    const int first = static_cast<int>(std::floor(at));
    const bool inside = split || (first >= 0 && first < source - 1);
    result.push_back({std::clamp(first, 0, source - 1), std::clamp(first + 1, 0, source - 1),
                      inside ? static_cast<int>(std::nearbyint((at - static_cast<float>(first)) * kUnit)) : 0});
  }
  return result;
}

uint8_t to_byte(float value) { return static_cast<uint8_t>(std::clamp(std::nearbyint(value), 0.0F, 255.0F)); }

}  // namespace

Image resize_area(const ImageView& image, int height, int width) {
  Image result(height, width);
  fpg::shrink({image.data, image.stride, image.height, image.width, result.data.data(), int64_t{3} * width, height, width});
  return result;
}

Image resize_linear(const ImageView& image, int height, int width) {
  const std::vector<Between> rows = between(image.height, height, true), columns = between(image.width, width, false);
  Image result(height, width);
  for (int y = 0; y < height; ++y) {
    const Between& row = rows[static_cast<size_t>(y)];
    const uint8_t *upper = image.row(row.first), *lower = image.row(row.second);
    uint8_t* out = result.row(y);
    for (int x = 0; x < width; ++x) {
      const Between& column = columns[static_cast<size_t>(x)];
      for (int c = 0; c < 3; ++c, ++out) {
        const int left = 3 * column.first + c, right = 3 * column.second + c;
        const int top = upper[left] * (kUnit - column.weight) + upper[right] * column.weight;
        const int bottom = lower[left] * (kUnit - column.weight) + lower[right] * column.weight;
        // OpenCV's 8-bit arithmetic: 11 bits per weight, with 4 and 16 bits dropped on the way.
        *out =
            static_cast<uint8_t>(((((kUnit - row.weight) * (top >> 4)) >> 16) + ((row.weight * (bottom >> 4)) >> 16) + 2) >> 2);
      }
    }
  }
  return result;
}

Image warp_affine(const ImageView& image, const std::array<double, 6>& matrix, int height, int width, Outside outside) {
  Image result(height, width);
  std::array<float, 6> m{};
  std::transform(matrix.begin(), matrix.end(), m.begin(), [](double value) { return static_cast<float>(value); });
  // OpenCV's arithmetic: places in single precision, the second product and sum rounded once.
  const auto place = [](float by, int x, float from) { return static_cast<float>(static_cast<double>(by) * x + from); };
  const auto there = [&](int at, int size) { return outside == Outside::kEdge || (at >= 0 && at < size) ? 1.0F : 0.0F; };
  for (int y = 0; y < height; ++y) {
    uint8_t* out = result.row(y);
    const float row_x = m[1] * static_cast<float>(y) + m[2], row_y = m[4] * static_cast<float>(y) + m[5];
    for (int x = 0; x < width; ++x, out += 3) {
      // Far outside every pixel is the border's; the limits keep the conversion to integers defined.
      const float sx = std::clamp(place(m[0], x, row_x), -2.0F, static_cast<float>(image.width) + 1);
      const float sy = std::clamp(place(m[3], x, row_y), -2.0F, static_cast<float>(image.height) + 1);
      const int x0 = static_cast<int>(std::floor(sx)), y0 = static_cast<int>(std::floor(sy));
      const float ax = sx - static_cast<float>(x0), ay = sy - static_cast<float>(y0);
      const int left = std::clamp(x0, 0, image.width - 1), right = std::clamp(x0 + 1, 0, image.width - 1);
      const uint8_t* upper = image.row(std::clamp(y0, 0, image.height - 1));
      const uint8_t* lower = image.row(std::clamp(y0 + 1, 0, image.height - 1));
      const float west = there(x0, image.width), east = there(x0 + 1, image.width);
      const float north = there(y0, image.height), south = there(y0 + 1, image.height);
      for (int c = 0; c < 3; ++c) {
        const float a = north * west * static_cast<float>(upper[3 * left + c]),
                    b = north * east * static_cast<float>(upper[3 * right + c]);
        const float d = south * west * static_cast<float>(lower[3 * left + c]),
                    e = south * east * static_cast<float>(lower[3 * right + c]);
        const float top = a + ax * (b - a), bottom = d + ax * (e - d);
        out[c] = to_byte(top + ay * (bottom - top));
      }
    }
  }
  return result;
}

Image rotated(const Image& image, int turns) {
  turns = ((turns % 4) + 4) % 4;
  if (turns == 0) return image;
  Image result(turns % 2 ? image.width : image.height, turns % 2 ? image.height : image.width);
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x) {
      const int sy = turns == 1 ? x : turns == 2 ? image.height - 1 - y : image.height - 1 - x;
      const int sx = turns == 1 ? image.width - 1 - y : turns == 2 ? image.width - 1 - x : y;
      std::copy_n(image.row(sy) + 3 * sx, 3, result.row(y) + 3 * x);
    }
  }
  return result;
}

}  // namespace fpg::runtime
