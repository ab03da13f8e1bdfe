// Blending a source into a background with a soft mask (SBI, CVPR 2022).
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"

namespace fpg {

// out = m s + (1 - m) b as uint8, m clipped to [0, 1] (NaN is 0). All of one size per item. The released method truncates, which
// darkens; `nearest` rounds, halves up.
struct BlendArguments {
  RaggedView<const uint8_t> source, background;  // 3 channels
  RaggedView<const float> masks;                 // 1 channel
  uint8_t* out = nullptr;                        // laid out as `background`; may be its memory
  bool nearest = false;

  Device device() const { return source.device; }
  bool validate(const Execution& execution) const;
};

void blend(const BlendArguments& arguments, const Execution& execution = {});

namespace cuda {
void blend(const BlendArguments& arguments, const Execution& execution);
}

}  // namespace fpg
