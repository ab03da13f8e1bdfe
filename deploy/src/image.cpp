#include "image.h"

#include <algorithm>
#include <cmath>

namespace fpg::runtime {
namespace {

struct Share {
  int source;
  float weight;
};

// Which source pixels each of `size` pixels covers, and by how much; `start[i]` to `start[i + 1]` are those of pixel i.
struct Coverage {
  std::vector<Share> shares;
  std::vector<size_t> start;
};

Coverage coverage(int source, int size) {
  const double scale = static_cast<double>(source) / size;
  Coverage result;
  for (int i = 0; i < size; ++i) {
    result.start.push_back(result.shares.size());
    const double low = i * scale, high = low + scale, cell = std::min(scale, source - low);
    const int last = std::min(static_cast<int>(std::floor(high)), source - 1);
    const int first = std::min(static_cast<int>(std::ceil(low)), last);
    if (first - low > 1e-3) result.shares.push_back({first - 1, static_cast<float>((first - low) / cell)});
    for (int s = first; s < last; ++s) result.shares.push_back({s, static_cast<float>(1.0 / cell)});
    if (high - last > 1e-3) {
      result.shares.push_back({last, static_cast<float>(std::min(std::min(high - last, 1.0), cell) / cell)});
    }
  }
  result.start.push_back(result.shares.size());
  return result;
}

constexpr int kUnit = 2048;

// Between which two source pixels each of `size` pixels lies, and how much of the second it takes, in units of 1 / kUnit.
struct Between {
  int first;
  int second;
  int share;
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

// Means of whole blocks, whose sums are exact. OpenCV rounds the mean of 2 x 2 pixels up at a half, other means to even.
Image means(const ImageView& image, int height, int width) {
  const int down = image.height / height, across = image.width / width;
  const bool quarters = down == 2 && across == 2;
  const float share = 1.0F / static_cast<float>(down * across);
  Image result(height, width);
  std::vector<int> sums(3 * static_cast<size_t>(width));
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), 0);
    for (int row = y * down; row < (y + 1) * down; ++row) {
      const uint8_t* from = image.row(row);
      for (int x = 0; x < width; ++x) {
        int* sum = sums.data() + 3 * static_cast<size_t>(x);
        for (int i = 0; i < across; ++i, from += 3) {
          sum[0] += from[0];
          sum[1] += from[1];
          sum[2] += from[2];
        }
      }
    }
    std::transform(sums.begin(), sums.end(), result.row(y), [&](int sum) {
      return quarters ? static_cast<uint8_t>((sum + 2) >> 2) : to_byte(static_cast<float>(sum) * share);
    });
  }
  return result;
}

Image copy_of(const ImageView& image) {
  Image result(image.height, image.width);
  for (int y = 0; y < image.height; ++y) std::copy_n(image.row(y), 3 * static_cast<size_t>(image.width), result.row(y));
  return result;
}

}  // namespace

Image resize_area(const ImageView& image, int height, int width) {
  if (image.height == height && image.width == width) return copy_of(image);
  if (image.height % height == 0 && image.width % width == 0) return means(image, height, width);
  const Coverage rows = coverage(image.height, height), columns = coverage(image.width, width);
  Image result(height, width);
  const size_t values = 3 * static_cast<size_t>(width);
  std::vector<float> line(values), sum(values);
  for (int y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (size_t k = rows.start[static_cast<size_t>(y)]; k < rows.start[static_cast<size_t>(y) + 1]; ++k) {
      const uint8_t* source = image.row(rows.shares[k].source);
      const float weight = rows.shares[k].weight;
      for (int x = 0; x < width; ++x) {
        float r = 0, g = 0, b = 0;
        for (size_t j = columns.start[static_cast<size_t>(x)]; j < columns.start[static_cast<size_t>(x) + 1]; ++j) {
          const uint8_t* pixel = source + 3 * columns.shares[j].source;
          r += columns.shares[j].weight * static_cast<float>(pixel[0]);
          g += columns.shares[j].weight * static_cast<float>(pixel[1]);
          b += columns.shares[j].weight * static_cast<float>(pixel[2]);
        }
        float* out = sum.data() + 3 * static_cast<size_t>(x);
        out[0] += weight * r;
        out[1] += weight * g;
        out[2] += weight * b;
      }
    }
    std::transform(sum.begin(), sum.end(), result.row(y), to_byte);
  }
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
        const int top = upper[left] * (kUnit - column.share) + upper[right] * column.share;
        const int bottom = lower[left] * (kUnit - column.share) + lower[right] * column.share;
        // OpenCV's 8-bit arithmetic: 11 bits for each weight, 4 and 16 bits dropped on the way.
        *out = static_cast<uint8_t>(((((kUnit - row.share) * (top >> 4)) >> 16) + ((row.share * (bottom >> 4)) >> 16) + 2) >> 2);
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
