#include "common/cuda/launch.h"
#include "perception/math.h"
#include "perception/perception.h"

namespace fpg::cuda {

void perception_statistics(const PerceptionArguments& a, const Execution& execution) {
  const int64_t items = a.maps.shape[0];
  const int64_t pixels = a.maps.shape[1] * a.maps.shape[2];
  const cudaStream_t stream = stream_of(execution);
  const DeviceGuard guard(a.maps.device.index);

  for (int64_t* totals : {a.sum.data, a.positive.data, a.dominant.data, a.masked.data})
    check(cudaMemsetAsync(totals, 0, static_cast<size_t>(items) * sizeof(int64_t), stream), "perception_statistics: memset");
  launch_reduction(PerceptionSum{a.maps.data, a.sum.data, a.positive.data}, items, pixels, stream, "perception_statistics: sum");
  launch_each(PerceptionThreshold{a.sum.data, a.positive.data, a.threshold.data}, items, stream,
              "perception_statistics: threshold");
  launch_reduction(PerceptionSplit{a.maps.data, a.masks.data, a.threshold.data, a.remaining.data, a.dominant.data, a.masked.data},
                   items, pixels, stream, "perception_statistics: split");
}

}  // namespace fpg::cuda
