#include "backends_image.h"
#include "check_ragged.h"

namespace fpg {

void warp(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
          const Window* out_windows, const double* affine, const Execution& execution) {
  if (images.items < 0) throw InvalidArgument("images: expected a number of items, got " + std::to_string(images.items));
  check_ragged("images", images, images.items, 3, images.device);
  check_ragged("out", out, images.items, 3, images.device);
  check_threads(execution);
  if (out.items == 0 || out.max_height == 0 || out.max_width == 0) return;
  check_pointer("images", images.data);
  check_pointer("windows", windows);
  check_pointer("out_windows", out_windows);
  check_pointer("affine", affine);
  if (images.device.type == DeviceType::cpu)
    cpu::warp(images, windows, out, out_windows, affine, execution);
  else
    cuda::warp(images, windows, out, out_windows, affine, execution);
}

}  // namespace fpg
