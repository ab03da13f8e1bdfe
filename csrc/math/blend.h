// Blending with a soft mask, per element. SBI (CVPR 2022): f = m s + (1 - m) b. FPG (ACM MM 2024), magnitude refinement.
#pragma once

#include <cstdint>

#include "math/host_device.h"

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

// Images are [B, C, pixels], masks [B, pixels]. Elements are counted per plane, plane = item * channels + channel.
struct Reblend {
  const float* source;
  const float* background;
  const float* mask;
  float* out;
  int64_t channels;

  FPG_HD void operator()(int64_t plane, int64_t pixels, int64_t first, int64_t last) const {
    const float* m = mask + plane / channels * pixels;
    const float* s = source + plane * pixels;
    const float* b = background + plane * pixels;
    float* f = out + plane * pixels;
    for (int64_t i = first; i < last; ++i) f[i] = blend_value(m[i], s[i], b[i]);
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

  FPG_HD void operator()(int64_t item, int64_t pixels, int64_t first, int64_t last) const {
    const float* m = mask + item * pixels;
    float* sum = mask_gradient + item * pixels;
    for (int64_t i = first; i < last; ++i) sum[i] = 0.0f;
    for (int64_t channel = 0; channel < channels; ++channel) {
      const int64_t plane = (item * channels + channel) * pixels;
      for (int64_t i = first; i < last; ++i) {
        const float g = gradient[plane + i];
        sum[i] += g * (source[plane + i] - background[plane + i]);
        source_gradient[plane + i] = m[i] * g;
        background_gradient[plane + i] = (1.0f - m[i]) * g;
      }
    }
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

  FPG_HD void operator()(int64_t i, Accumulator& total) const { total += sign(gradient[i], source[i] - background[i]); }

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

  FPG_HD void operator()(int64_t plane, int64_t pixels, int64_t first, int64_t last) const {
    const int64_t item = plane / channels;
    const float factor = 1.0f + (votes[item] > 0 ? eps : -eps);
    const float* m = mask + item * pixels;
    const float* s = source + plane * pixels;
    const float* b = background + plane * pixels;
    const float* f = fake + plane * pixels;
    float* o = out + plane * pixels;
    for (int64_t i = first; i < last; ++i) {
      const float residual = f[i] - (s[i] * m[i] + b[i] * (1.0f - m[i]));
      const float moved = clamp_unit(m[i] * factor);
      o[i] = clamp_unit(s[i] * moved + b[i] * (1.0f - moved) + residual);
    }
  }
};

}  // namespace fpg
