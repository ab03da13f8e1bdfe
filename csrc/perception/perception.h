// How a detector perceives a batch of forgeries: FPG (ACM MM 2024), shape refinement.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/tensor_view.h"

namespace fpg {

// With c a map and m a mask, threshold = mean of c over {c > 0} (0 when that is empty) and
// D = {c > threshold} and {m > 0}. A map element that is NaN is not positive and not above the threshold; a mask
// element that is NaN is not positive. Map elements above 1 count as 1 in the mean.
//
// Counts are integers and the sum behind the threshold is a 64-bit integer in steps of 2^-36 (rounded to nearest,
// ties to even), so the result does not depend on the order of summation: every device and number of threads agree
// exactly.
struct PerceptionArguments {
  TensorView<const float, 3> maps;   // [B, H, W] in [0, 1], H * W < 2^27
  TensorView<const float, 3> masks;  // [B, H, W]
  TensorView<float, 1> threshold;    // [B], as all that follows an output
  TensorView<int64_t, 1> dominant;   // [B] |D|
  TensorView<int64_t, 1> masked;     // [B] |{m > 0}|
  TensorView<uint8_t, 3> remaining;  // [B, H, W] 1 in {m > 0} minus D, else 0
  TensorView<int64_t, 1> sum;        // [B] sum of c over {c > 0}, in steps of 2^-36
  TensorView<int64_t, 1> positive;   // [B] |{c > 0}|

  Device device() const { return maps.device; }
  bool validate(const Execution& execution) const;
};

void perception_statistics(const PerceptionArguments& arguments, const Execution& execution = {});

namespace cuda {
void perception_statistics(const PerceptionArguments& arguments, const Execution& execution);
}

}  // namespace fpg
