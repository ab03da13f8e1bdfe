// Magnitude refinement, per element. FPG (ACM MM 2024): which way the blend should move, and the move itself.
#pragma once

#include <cstdint>

#include "common/lanes.h"
#include "common/unit.h"

namespace fpg {

// A reduction (see perception/math.h) over all elements of an item: how many of g (s - b) are > 0 less how many are < 0.
struct MagnitudeVote {
  const float* gradient;
  const float* source;
  const float* background;
  int64_t* votes;

  using Accumulator = int64_t;

  FPG_HD Accumulator begin(int64_t) const { return 0; }

  FPG_HD static int32_t sign(float gradient_value, float difference) {
    const float growth = gradient_value * difference;
    return static_cast<int32_t>(growth > 0.0f) - static_cast<int32_t>(growth < 0.0f);
  }

  bool wide() const { return is_wide(gradient) && is_wide(source) && is_wide(background); }

  template <int N>
  FPG_HD void lanes(int64_t i, Accumulator& total) const {
    const auto g = load<N>(gradient + i);
    const auto s = load<N>(source + i);
    const auto b = load<N>(background + i);
    for (int l = 0; l < N; ++l) total += sign(g[l], s[l] - b[l]);
  }

  template <class Add>
  FPG_HD void commit(int64_t item, const Accumulator& total, const Add& add) const {
    add(votes + item, total);
  }
};

// The mask [B, pixels] moved by eps in the direction of the vote, the blend with it, and the residual that no blend explains.
// Images are [B, C, pixels]; `lanes` computes N neighbours of a plane, plane = item * channels + channel; `wide` says whether
// everything lies so that a GPU may take kWideFloats at once.
struct MagnitudeUpdate {
  const float* source;
  const float* background;
  const float* fake;
  const float* mask;
  const int64_t* votes;
  float* out;
  float eps;
  int64_t channels;

  bool wide() const { return is_wide(source) && is_wide(background) && is_wide(fake) && is_wide(mask) && is_wide(out); }

  template <int N>
  FPG_HD void lanes(int64_t plane, int64_t pixels, int64_t i) const {
    const int64_t item = plane / channels, at = plane * pixels + i;
    const float factor = 1.0f + (votes[item] > 0 ? eps : -eps);
    const auto m = load<N>(mask + item * pixels + i);
    const auto s = load<N>(source + at);
    const auto b = load<N>(background + at);
    const auto f = load<N>(fake + at);
    Lanes<float, N> o;
    for (int l = 0; l < N; ++l) {
      const float residual = f[l] - (s[l] * m[l] + b[l] * (1.0f - m[l]));
      const float moved = clamp_unit(m[l] * factor);
      o[l] = clamp_unit(s[l] * moved + b[l] * (1.0f - moved) + residual);
    }
    store<N>(out + at, o);
  }
};

}  // namespace fpg
