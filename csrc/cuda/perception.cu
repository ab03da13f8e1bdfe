#include "backends.h"
#include "cuda/launch.h"
#include "math/perception.h"

namespace fpg::cuda {

void perception_statistics(const PerceptionInput& in, const PerceptionOutput& out, const Execution& execution) {
  const int64_t items = in.maps.shape[0];
  const int64_t pixels = in.maps.shape[1] * in.maps.shape[2];
  const auto stream = static_cast<cudaStream_t>(execution.stream);
  const DeviceGuard guard(in.maps.device.index);

  for (int64_t* totals : {out.sum.data, out.positive.data, out.dominant.data, out.masked.data})
    check(cudaMemsetAsync(totals, 0, static_cast<size_t>(items) * sizeof(int64_t), stream), "perception_statistics: memset");
  launch_reduction(PerceptionSum{in.maps.data, out.sum.data, out.positive.data}, items, pixels, stream,
                   "perception_statistics: sum");
  launch_each(PerceptionThreshold{out.sum.data, out.positive.data, out.threshold.data}, items, stream,
              "perception_statistics: threshold");
  launch_reduction(
      PerceptionSplit{in.maps.data, in.masks.data, out.threshold.data, out.remaining.data, out.dominant.data, out.masked.data},
      items, pixels, stream, "perception_statistics: split");
}

}  // namespace fpg::cuda
