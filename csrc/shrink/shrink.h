// An image made smaller by area: every pixel of the result is the mean of what it covers.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/tensor_view.h"

namespace fpg {

// Of one RGB image whose rows lie `row_bytes` apart, as are those of the result: both may be parts of larger images. The
// arithmetic is that of OpenCV's INTER_AREA: means in float32, along the row first, rounded to nearest (ties to even); where both
// sides are divided by whole numbers, exact sums, and of 2 x 2 pixels ties up.
struct ShrinkArguments {
  const uint8_t* image = nullptr;
  int64_t row_bytes = 0;
  int32_t height = 0, width = 0;
  uint8_t* out = nullptr;
  int64_t out_row_bytes = 0;
  int32_t out_height = 0, out_width = 0;  // 1 to `height`, 1 to `width`

  Device device() const { return {}; }
  bool validate(const Execution& execution) const;
};

void shrink(const ShrinkArguments& arguments, const Execution& execution = {});

}  // namespace fpg
