// Magnitude refinement of guidance (FPG, ACM MM 2024).
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/tensor_view.h"

namespace fpg {

// Per sample, the number of elements of g (s - b) that are > 0 less the number of those < 0.
struct MagnitudeVoteArguments {
  TensorView<const float, 4> gradient, source, background;  // [B, C, H, W], C >= 1
  TensorView<int64_t, 1> votes;                             // [B]

  Device device() const { return source.device; }
  bool validate(const Execution& execution) const;
};

void magnitude_vote(const MagnitudeVoteArguments& arguments, const Execution& execution = {});

// v = +1 if the vote is positive, else -1; m'' = clip(m (1 + eps v), 0, 1);
// out = clip(s m'' + b (1 - m'') + (f - (s m + b (1 - m))), 0, 1).
struct MagnitudeStepArguments {
  TensorView<const float, 4> source, background, fake;  // [B, C, H, W], C >= 1
  TensorView<const float, 4> mask;                      // [B, 1, H, W]
  TensorView<const int64_t, 1> votes;                   // [B]
  float eps = 0.0f;
  TensorView<float, 4> out;  // [B, C, H, W]

  Device device() const { return source.device; }
  bool validate(const Execution& execution) const;
};

void magnitude_step(const MagnitudeStepArguments& arguments, const Execution& execution = {});

namespace cuda {
void magnitude_vote(const MagnitudeVoteArguments& arguments, const Execution& execution);
void magnitude_step(const MagnitudeStepArguments& arguments, const Execution& execution);
}  // namespace cuda

}  // namespace fpg
