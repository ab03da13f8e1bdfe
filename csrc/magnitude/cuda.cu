#include "common/cuda/launch_ragged.h"
#include "magnitude/magnitude.h"
#include "magnitude/math.h"

namespace fpg::cuda {

void magnitude_vote(const MagnitudeVoteArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.source.device.index);
  const auto& shape = a.source.shape;
  check(cudaMemsetAsync(a.votes.data, 0, static_cast<size_t>(shape[0]) * sizeof(int64_t), stream_of(execution)),
        "magnitude_vote: memset");
  launch_reduction(MagnitudeVote{a.gradient.data, a.source.data, a.background.data, a.votes.data}, shape[0],
                   shape[1] * shape[2] * shape[3], stream_of(execution), "magnitude_vote");
}

void magnitude_step(const MagnitudeStepArguments& a, const Execution& execution) {
  const DeviceGuard guard(a.source.device.index);
  const auto& shape = a.source.shape;
  launch_planes(
      MagnitudeUpdate{a.source.data, a.background.data, a.fake.data, a.mask.data, a.votes.data, a.out.data, a.eps, shape[1]},
      shape[0] * shape[1], shape[2] * shape[3], stream_of(execution), "magnitude_step");
}

}  // namespace fpg::cuda
