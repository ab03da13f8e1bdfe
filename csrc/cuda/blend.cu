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

  __device__ void operator()(int64_t item, int32_t y, int32_t x) const {
    const int64_t pixel = static_cast<int64_t>(y) * background.width(item) + x;
    const float weight = blend_weight(masks.item(item)[pixel]);
    const uint8_t* s = source.item(item) + 3 * pixel;
    const uint8_t* b = background.item(item) + 3 * pixel;
    uint8_t* target = out + background.offsets[item] + 3 * pixel;
    for (int c = 0; c < 3; ++c) target[c] = blend_level(weight, s[c], b[c]);
  }
};

cudaStream_t stream_of(const Execution& execution) { return static_cast<cudaStream_t>(execution.stream); }

}  // namespace

void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,
           const RaggedView<const float>& masks, uint8_t* out, const Execution& execution) {
  const DeviceGuard guard(source.device.index);
  launch_pixels(Blend{layout(source), layout(background), layout(masks), out}, background, stream_of(execution), "blend");
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
