// Blending a source into a background with a soft mask (SBI, CVPR 2022), and the magnitude step of guidance (FPG, ACM MM 2024).
#pragma once

#include <cstdint>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

// out = m s + (1 - m) b, truncated to uint8, m clipped to [0, 1] (NaN is 0). All of one size per item; `out` has the layout of
// `background` and may be its memory.
void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,
           const RaggedView<const float>& masks, uint8_t* out, const Execution& execution = {});

// f = m s + (1 - m) b on float32 [B, C, H, W] with m [B, 1, H, W].
void reblend(const TensorView<const float, 4>& source, const TensorView<const float, 4>& background,
             const TensorView<const float, 4>& mask, const TensorView<float, 4>& out, const Execution& execution = {});

// Its gradients with respect to s, b and m from the gradient g of f: m g, (1 - m) g and the sum over channels of g (s - b).
struct ReblendGradients {
  TensorView<float, 4> source;
  TensorView<float, 4> background;
  TensorView<float, 4> mask;
};
void reblend_backward(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                      const TensorView<const float, 4>& background, const TensorView<const float, 4>& mask,
                      const ReblendGradients& out, const Execution& execution = {});

// Per sample, the number of elements of g (s - b) that are > 0 less the number of those < 0.
void magnitude_vote(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                    const TensorView<const float, 4>& background, const TensorView<int64_t, 1>& votes,
                    const Execution& execution = {});

// v = +1 if the vote is positive, else -1; m'' = clip(m (1 + eps v), 0, 1);
// out = clip(s m'' + b (1 - m'') + (f - (s m + b (1 - m))), 0, 1).
struct MagnitudeStep {
  TensorView<const float, 4> source, background, fake;  // [B, C, H, W]
  TensorView<const float, 4> mask;                      // [B, 1, H, W]
  TensorView<const int64_t, 1> votes;                   // [B]
  float eps;
};
void magnitude_step(const MagnitudeStep& input, const TensorView<float, 4>& out, const Execution& execution = {});

}  // namespace fpg
