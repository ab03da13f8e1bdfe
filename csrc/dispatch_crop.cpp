#include "backends_image.h"
#include "check_ragged.h"

namespace fpg {

void crop_resize(const CropInput& in, const CropOutput& out, const Execution& execution) {
  if (in.count < 1 || in.count > kMaxCropImages)
    throw InvalidArgument("images: expected 1 to " + std::to_string(kMaxCropImages) + ", got " + std::to_string(in.count));
  const RaggedView<const uint8_t>& first = in.images[0];
  const auto shape = out.images[0].shape;
  const int64_t side = shape[3];
  if (first.items < 0 || side < 1 || shape[2] != side)
    throw InvalidArgument("out: expected [B, 3, S, S] with S >= 1, got " + text(shape));
  for (int i = 0; i < in.count; ++i) {
    check_ragged("images", in.images[static_cast<size_t>(i)], first.items, 3, first.device);
    check_tensor("out", out.images[static_cast<size_t>(i)], {first.items, 3, side, side}, first.device);
  }
  const bool masked = in.masks.items > 0;
  if (masked) {
    check_ragged("masks", in.masks, first.items, 1, first.device);
    check_tensor("out", out.masks, {first.items, 1, side, side}, first.device);
  }
  check_threads(execution);
  if (first.items == 0) return;
  check_pointer("crops", in.crops);
  check_pointer("images", first.data);
  if (first.device.type == DeviceType::cpu)
    cpu::crop_resize(in, out, execution);
  else
    cuda::crop_resize(in, out, execution);
}

}  // namespace fpg
