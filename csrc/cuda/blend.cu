#include "math/blend.h"

#include "backends_image.h"
#include "cuda/launch_ragged.h"

namespace fpg::cuda {
namespace {

struct Blend {
  RaggedLayout<const uint8_t> source;
  RaggedLayout<const uint8_t> background;
  RaggedLayout<const float> masks;
  uint8_t* out;

  __device__ uintptr_t bytes(int64_t item) const { return reinterpret_cast<uintptr_t>(background.item(item)); }

  // Whether groups of all three images start at the same pixels.
  __device__ bool wide(int64_t item) const {
    const auto apart = [&](const uint8_t* other) { return (bytes(item) - reinterpret_cast<uintptr_t>(other)) % kWideBytes; };
    return apart(source.item(item)) == 0 && apart(out + background.offsets[item]) == 0;
  }

  template <int N>
  __device__ void lanes(int64_t item, int64_t pixel) const {
    const float* mask = masks.item(item) + pixel;
    const RgbLanes<N> s(source.item(item) + 3 * pixel);
    RgbLanes<N> b(background.item(item) + 3 * pixel);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float weight = blend_weight(mask[i]);
      for (int c = 0; c < 3; ++c) b.bytes[3 * i + c] = blend_level(weight, s.bytes[3 * i + c], b.bytes[3 * i + c]);
    }
    b.store_to(out + background.offsets[item] + 3 * pixel);
  }
};

cudaStream_t stream_of(const Execution& execution) { return static_cast<cudaStream_t>(execution.stream); }

}  // namespace

void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,
           const RaggedView<const float>& masks, uint8_t* out, const Execution& execution) {
  const DeviceGuard guard(source.device.index);
  launch_groups(Blend{layout(source), layout(background), layout(masks), out}, background, stream_of(execution), "blend");
}

void reblend(const TensorView<const float, 4>& source, const TensorView<const float, 4>& background,
             const TensorView<const float, 4>& mask, const TensorView<float, 4>& out, const Execution& execution) {
  const DeviceGuard guard(source.device.index);
  const auto& shape = source.shape;
  launch_planes(Reblend{source.data, background.data, mask.data, out.data, shape[1]}, shape[0] * shape[1], shape[2] * shape[3],
                stream_of(execution), "reblend");
}

void reblend_backward(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                      const TensorView<const float, 4>& background, const TensorView<const float, 4>& mask,
                      const ReblendGradients& out, const Execution& execution) {
  const DeviceGuard guard(source.device.index);
  const auto& shape = source.shape;
  launch_planes(ReblendBackward{gradient.data, source.data, background.data, mask.data, out.source.data, out.background.data,
                                out.mask.data, shape[1]},
                shape[0], shape[2] * shape[3], stream_of(execution), "reblend_backward");
}

void magnitude_vote(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                    const TensorView<const float, 4>& background, const TensorView<int64_t, 1>& votes,
                    const Execution& execution) {
  const DeviceGuard guard(source.device.index);
  const auto& shape = source.shape;
  check(cudaMemsetAsync(votes.data, 0, static_cast<size_t>(shape[0]) * sizeof(int64_t), stream_of(execution)),
        "magnitude_vote: memset");
  launch_reduction(MagnitudeVote{gradient.data, source.data, background.data, votes.data}, shape[0],
                   shape[1] * shape[2] * shape[3], stream_of(execution), "magnitude_vote");
}

void magnitude_step(const MagnitudeStep& in, const TensorView<float, 4>& out, const Execution& execution) {
  const DeviceGuard guard(in.source.device.index);
  const auto& shape = in.source.shape;
  launch_planes(
      MagnitudeUpdate{in.source.data, in.background.data, in.fake.data, in.mask.data, in.votes.data, out.data, in.eps, shape[1]},
      shape[0] * shape[1], shape[2] * shape[3], stream_of(execution), "magnitude_step");
}

}  // namespace fpg::cuda
