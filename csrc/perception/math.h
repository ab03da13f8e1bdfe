// Perception statistics, per element. FPG (ACM MM 2024), shape refinement:
//   threshold = mean of c over {c > 0},   D = {c > threshold} and {m > 0},   remaining = {m > 0} minus D.
// The CPU loop and the CUDA launch run these functors. A reduction has an Accumulator, `begin` (its start for one
// item of the batch), `lanes<N>(i, accumulator)` for N flat elements from i on, and `commit`, which hands each total to `add`;
// `wide` says whether everything lies so that a GPU may take kWideFloats at once.
// Comparisons are written such that they are false for NaN.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/host_device.h"
#include "common/lanes.h"

namespace fpg {

// Fixed point: a 64-bit integer in steps of 2^-36. Adding 2^16 to a double in [0, 1] leaves steps of 2^-36 in the last
// place (52 - 36 = 16), so the addition rounds to nearest, ties to even, and the bits above those of 2^16 are the number.
constexpr double kFixedPointAnchor = 65536.0;
constexpr int64_t kFixedPointAnchorBits = 0x40F0000000000000;
constexpr double kFixedPointOne = 68719476736.0;  // 2^36

// A sum of fewer elements than this fits 63 bits, and a count fits 32.
constexpr int64_t kPerceptionMaxPixels = int64_t{1} << 27;

// The positive part, at most 1, as float bits: NaN and negative values give 0. Bits of non-negative floats order as the
// numbers do. Masks instead of conditions keep branches out of the loop: compilers then vectorise it.
FPG_HD int32_t positive_part_bits(float value) {
  constexpr int32_t one = 0x3F800000;
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits &= -static_cast<int32_t>(value > 0.0f);
  return bits < one ? bits : one;
}

// `bits` are those of a float in [0, 1].
FPG_HD int64_t to_fixed_point(int32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  const double anchored = static_cast<double>(value) + kFixedPointAnchor;
  int64_t result;
  memcpy(&result, &anchored, sizeof result);
  return result - kFixedPointAnchorBits;
}

// First pass: sum and number of the positive elements of each map.
struct PerceptionSum {
  const float* maps;  // [B, pixels]
  int64_t* sum;       // [B]
  int64_t* positive;  // [B]

  struct Accumulator {
    int64_t sum = 0;
    int32_t positive = 0;
  };

  FPG_HD Accumulator begin(int64_t) const { return {}; }

  bool wide() const { return is_wide(maps); }

  template <int N>
  FPG_HD void lanes(int64_t i, Accumulator& a) const {
    const auto c = load<N>(maps + i);
    for (int l = 0; l < N; ++l) {
      a.sum += to_fixed_point(positive_part_bits(c[l]));
      a.positive += static_cast<int32_t>(c[l] > 0.0f);
    }
  }

  template <class Add>
  FPG_HD void commit(int64_t item, const Accumulator& a, const Add& add) const {
    add(sum + item, a.sum);
    add(positive + item, static_cast<int64_t>(a.positive));
  }
};

// Between the passes, per item: the mean, rounded once to float32.
struct PerceptionThreshold {
  const int64_t* sum;       // [B]
  const int64_t* positive;  // [B]
  float* threshold;         // [B]

  FPG_HD void operator()(int64_t item) const {
    const int64_t n = positive[item];
    const double mean = static_cast<double>(sum[item]) / (static_cast<double>(n > 0 ? n : 1) * kFixedPointOne);
    threshold[item] = static_cast<float>(mean);
  }
};

// Second pass: what is dominant, what remains, and the counts.
struct PerceptionSplit {
  const float* maps;       // [B, pixels]
  const float* masks;      // [B, pixels]
  const float* threshold;  // [B]
  uint8_t* remaining;      // [B, pixels]
  int64_t* dominant;       // [B]
  int64_t* masked;         // [B]

  struct Accumulator {
    float threshold = 0.0f;
    int32_t masked = 0;
    int32_t dominant = 0;
  };

  FPG_HD Accumulator begin(int64_t item) const { return {threshold[item], 0, 0}; }

  bool wide() const { return is_wide(maps) && is_wide(masks) && is_wide(remaining); }

  template <int N>
  FPG_HD void lanes(int64_t i, Accumulator& a) const {
    const auto c = load<N>(maps + i);
    const auto m = load<N>(masks + i);
    Lanes<uint8_t, N> left;
    for (int l = 0; l < N; ++l) {
      const auto inside = static_cast<int32_t>(m[l] > 0.0f);
      const auto above = static_cast<int32_t>(c[l] > a.threshold);
      a.masked += inside;
      a.dominant += inside & above;
      left[l] = static_cast<uint8_t>(inside & (above ^ 1));
    }
    store<N>(remaining + i, left);
  }

  template <class Add>
  FPG_HD void commit(int64_t item, const Accumulator& a, const Add& add) const {
    add(masked + item, static_cast<int64_t>(a.masked));
    add(dominant + item, static_cast<int64_t>(a.dominant));
  }
};

}  // namespace fpg
