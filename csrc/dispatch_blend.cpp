#include "backends_image.h"
#include "check_ragged.h"

namespace fpg {
namespace {

// source [B, C, H, W], C >= 1; what has its shape; and the mask [B, 1, H, W].
std::array<int64_t, 4> check_image(const TensorView<const float, 4>& source) {
  const auto& shape = source.shape;
  if (shape[0] < 0 || shape[1] < 1 || shape[2] < 0 || shape[3] < 0)
    throw InvalidArgument("source: expected [B, C, H, W] with C >= 1, got " + text(shape));
  check_tensor("source", source, shape, source.device);
  return {shape[0], 1, shape[2], shape[3]};
}

}  // namespace

void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,
           const RaggedView<const float>& masks, uint8_t* out, const Execution& execution) {
  if (source.items < 0) throw InvalidArgument("source: expected a number of items, got " + std::to_string(source.items));
  check_ragged("source", source, source.items, 3, source.device);
  check_ragged("background", background, source.items, 3, source.device);
  check_ragged("masks", masks, source.items, 1, source.device);
  check_threads(execution);
  if (source.items == 0 || source.max_height == 0 || source.max_width == 0) return;
  check_pointer("out", out);
  if (source.device.type == DeviceType::cpu)
    cpu::blend(source, background, masks, out, execution);
  else
    cuda::blend(source, background, masks, out, execution);
}

void reblend(const TensorView<const float, 4>& source, const TensorView<const float, 4>& background,
             const TensorView<const float, 4>& mask, const TensorView<float, 4>& out, const Execution& execution) {
  const auto mask_shape = check_image(source);
  check_tensor("background", background, source.shape, source.device);
  check_tensor("mask", mask, mask_shape, source.device);
  check_tensor("out", out, source.shape, source.device);
  check_threads(execution);
  if (source.size() == 0) return;
  if (source.device.type == DeviceType::cpu)
    cpu::reblend(source, background, mask, out, execution);
  else
    cuda::reblend(source, background, mask, out, execution);
}

void reblend_backward(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                      const TensorView<const float, 4>& background, const TensorView<const float, 4>& mask,
                      const ReblendGradients& out, const Execution& execution) {
  const auto mask_shape = check_image(source);
  check_tensor("gradient", gradient, source.shape, source.device);
  check_tensor("background", background, source.shape, source.device);
  check_tensor("mask", mask, mask_shape, source.device);
  check_tensor("source gradient", out.source, source.shape, source.device);
  check_tensor("background gradient", out.background, source.shape, source.device);
  check_tensor("mask gradient", out.mask, mask_shape, source.device);
  check_threads(execution);
  if (source.size() == 0) return;
  if (source.device.type == DeviceType::cpu)
    cpu::reblend_backward(gradient, source, background, mask, out, execution);
  else
    cuda::reblend_backward(gradient, source, background, mask, out, execution);
}

void magnitude_vote(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                    const TensorView<const float, 4>& background, const TensorView<int64_t, 1>& votes,
                    const Execution& execution) {
  check_image(source);
  check_tensor("gradient", gradient, source.shape, source.device);
  check_tensor("background", background, source.shape, source.device);
  check_tensor("votes", votes, {source.shape[0]}, source.device);
  check_threads(execution);
  if (source.shape[0] == 0) return;
  if (source.device.type == DeviceType::cpu)
    cpu::magnitude_vote(gradient, source, background, votes, execution);
  else
    cuda::magnitude_vote(gradient, source, background, votes, execution);
}

void magnitude_step(const MagnitudeStep& in, const TensorView<float, 4>& out, const Execution& execution) {
  const auto mask_shape = check_image(in.source);
  check_tensor("background", in.background, in.source.shape, in.source.device);
  check_tensor("fake", in.fake, in.source.shape, in.source.device);
  check_tensor("mask", in.mask, mask_shape, in.source.device);
  check_tensor("votes", in.votes, {in.source.shape[0]}, in.source.device);
  check_tensor("out", out, in.source.shape, in.source.device);
  check_threads(execution);
  if (in.source.size() == 0) return;
  if (in.source.device.type == DeviceType::cpu)
    cpu::magnitude_step(in, out, execution);
  else
    cuda::magnitude_step(in, out, execution);
}

}  // namespace fpg
