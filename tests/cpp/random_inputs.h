// Random input for the operations, in memory of exactly the right size, so that the sanitizers notice overruns.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "common/ragged.h"
#include "masks/masks.h"

namespace inputs {

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  int32_t integer(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(generator_); }
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(generator_); }
  uint32_t word() { return static_cast<uint32_t>(generator_()); }
  uint8_t byte() { return static_cast<uint8_t>(generator_() & 255); }
  bool chance(double probability) { return uniform(0, 1) < probability; }

 private:
  std::mt19937 generator_;
};

// A ragged batch that grows by items.
template <class T>
struct Images {
  int channels = 1;
  std::vector<int64_t> offsets{};
  std::vector<int32_t> sizes{};
  std::vector<T> data{};
  int32_t height = 0, width = 0;

  void add(int32_t h, int32_t w) {
    offsets.push_back(static_cast<int64_t>(data.size()));
    sizes.insert(sizes.end(), {h, w});
    data.resize(data.size() + static_cast<size_t>(h) * static_cast<size_t>(w) * static_cast<size_t>(channels), T(9));
    data.shrink_to_fit();
    height = std::max(height, h), width = std::max(width, w);
  }

  template <class U>
  fpg::RaggedView<U> view() {
    return {data.data(), offsets.data(), sizes.data(), static_cast<int64_t>(offsets.size()), channels, height, width, {}};
  }
};

inline void gaussian(float* weights, int32_t radius, double sigma) {
  double sum = 0;
  for (int32_t i = -radius; i <= radius; ++i) sum += std::exp(-0.5 * i * i / (sigma * sigma));
  for (int32_t i = 0; i <= radius; ++i) weights[i] = static_cast<float>(std::exp(-0.5 * i * i / (sigma * sigma)) / sum);
}

// For an image of height x width; landmarks may lie far outside.
inline fpg::MaskItem mask_item(Random& random, int32_t height, int32_t width) {
  fpg::MaskItem m{};
  m.scale_x = random.uniform(0.9, 1.1), m.scale_y = random.uniform(0.9, 1.1);
  m.shift_x = random.uniform(-20, 20), m.shift_y = random.uniform(-20, 20);
  const double spread = random.uniform(1, 300);
  for (float& v : m.landmarks) v = static_cast<float>(random.uniform(-spread, std::max(height, width) + spread));
  m.family = random.integer(0, 3);
  m.points = random.chance(0.5) ? 68 : 81;
  m.height = height, m.width = width;
  m.key_low = random.word(), m.key_high = random.word();
  m.erode_up = random.integer(0, 7), m.erode_down = random.integer(0, 6);
  m.erode_left = random.integer(0, 7), m.erode_right = random.integer(0, 6);
  m.small_height = random.integer(1, 90), m.small_width = random.integer(1, 90);
  m.radius1 = random.integer(0, fpg::kFeatherRadius), m.radius2 = random.integer(0, fpg::kFeatherRadius);
  gaussian(m.weights1, m.radius1, random.uniform(0.5, 9));
  gaussian(m.weights2, m.radius2, random.uniform(0.5, 40));
  m.ratio = 1.0f;
  return m;
}

}  // namespace inputs
