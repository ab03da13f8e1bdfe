// Which pixels a pixel of the smaller image covers, and by how much. Along one axis.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace fpg {

// Source pixels per pixel of the result, as OpenCV reckons it: where the division leaves no rest, it may still be next to a whole
// number.
inline double area_scale(int32_t source, int32_t size) { return 1.0 / (static_cast<double>(size) / source); }

// How many source pixels a pixel of the result has where that is a whole number, else 0.
inline int32_t whole_scale(int32_t source, int32_t size) {
  const double scale = area_scale(source, size), whole = std::nearbyint(scale);
  return std::abs(scale - whole) < std::numeric_limits<double>::epsilon() ? static_cast<int32_t>(whole) : 0;
}

// A source pixel's share in a mean.
struct Share {
  int32_t source;
  float weight;
};

// Pixel i of `size` is the sum over shares[start[i]] to shares[start[i + 1] - 1]; slivers below a thousandth of a pixel are left
// out.
struct Coverage {
  std::vector<Share> shares;
  std::vector<size_t> start;

  Coverage(int32_t source, int32_t size) {
    const double scale = area_scale(source, size);
    shares.reserve(static_cast<size_t>(source) + 2 * static_cast<size_t>(size));
    start.reserve(static_cast<size_t>(size) + 1);
    for (int32_t i = 0; i < size; ++i) {
      start.push_back(shares.size());
      const double low = i * scale, high = low + scale, cell = std::min(scale, source - low);
      const int32_t last = std::min(static_cast<int32_t>(std::floor(high)), source - 1);
      const int32_t first = std::min(static_cast<int32_t>(std::ceil(low)), last);
      if (first - low > 1e-3) shares.push_back({first - 1, static_cast<float>((first - low) / cell)});
      for (int32_t s = first; s < last; ++s) shares.push_back({s, static_cast<float>(1.0 / cell)});
      if (high - last > 1e-3) shares.push_back({last, static_cast<float>(std::min(std::min(high - last, 1.0), cell) / cell)});
    }
    start.push_back(shares.size());
  }
};

}  // namespace fpg
