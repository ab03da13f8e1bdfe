// Blending with a soft mask, per element. SBI (CVPR 2022): f = m s + (1 - m) b. FPG (ACM MM 2024), magnitude refinement.
#pragma once

#include <cstdint>

#include "math/host_device.h"
#include "math/lanes.h"

namespace fpg {

FPG_HD float blend_value(float mask, float source, float background) { return mask * source + (1.0f - mask) * background; }

// The mask as a weight: clipped to [0, 1], NaN is 0. It keeps the blend of two levels inside 0..255.
FPG_HD float blend_weight(float mask) {
  const float above = mask > 0.0f ? mask : 0.0f;
  return above < 1.0f ? above : 1.0f;
}

// Truncates.
FPG_HD uint8_t blend_level(float weight, uint8_t source, uint8_t background) {
  return static_cast<uint8_t>(
      static_cast<int32_t>(blend_value(weight, static_cast<float>(source), static_cast<float>(background))));
}

FPG_HD float clamp_unit(float value) {
  const float above = value < 0.0f ? 0.0f : value;  // NaN stays
  return above > 1.0f ? 1.0f : above;
}

// Images are [B, C, pixels], masks [B, pixels]. `lanes` computes N neighbours of a plane, plane = item * channels + channel;
// `wide` says whether everything lies so that a GPU may take kWideFloats at once.
struct Reblend {
  const float* source;
  const float* background;
  const float* mask;
  float* out;
  int64_t channels;

  bool wide() const { return is_wide(source) && is_wide(background) && is_wide(mask) && is_wide(out); }

  template <int N>
  FPG_HD void lanes(int64_t plane, int64_t pixels, int64_t i) const {
    const auto m = load<N>(mask + plane / channels * pixels + i);
    const auto s = load<N>(source + plane * pixels + i);
    const auto b = load<N>(background + plane * pixels + i);
    Lanes<float, N> f;
    for (int l = 0; l < N; ++l) f[l] = blend_value(m[l], s[l], b[l]);
    store<N>(out + plane * pixels + i, f);
  }
};

// Per item: all channels of a pixel, because the mask's gradient is their sum (in the order of the channels).
struct ReblendBackward {
  const float* gradient;
  const float* source;
  const float* background;
  const float* mask;
  float* source_gradient;
  float* background_gradient;
  float* mask_gradient;
  int64_t channels;

  bool wide() const {
    return is_wide(gradient) && is_wide(source) && is_wide(background) && is_wide(mask) && is_wide(source_gradient) &&
           is_wide(background_gradient) && is_wide(mask_gradient);
  }

  template <int N>
  FPG_HD void lanes(int64_t item, int64_t pixels, int64_t i) const {
    const auto m = load<N>(mask + item * pixels + i);
    Lanes<float, N> sum{};
    for (int64_t channel = 0; channel < channels; ++channel) {
      const int64_t at = (item * channels + channel) * pixels + i;
      const auto g = load<N>(gradient + at);
      const auto s = load<N>(source + at);
      const auto b = load<N>(background + at);
      Lanes<float, N> to_source, to_background;
      for (int l = 0; l < N; ++l) {
        sum[l] += g[l] * (s[l] - b[l]);
        to_source[l] = m[l] * g[l];
        to_background[l] = (1.0f - m[l]) * g[l];
      }
      store<N>(source_gradient + at, to_source);
      store<N>(background_gradient + at, to_background);
    }
    store<N>(mask_gradient + item * pixels + i, sum);
  }
};

// A reduction (see math/perception.h) over all elements of an item: how many of g (s - b) are > 0 less how many are < 0.
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

// The mask moved by eps in the direction of the vote, the blend with it, and the residual that no blend explains.
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
