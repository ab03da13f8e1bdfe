#include "backends_image.h"
#include "check_ragged.h"

namespace fpg {

void warp(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
          const Window* out_windows, const double* affine, const Execution& execution) {
  if (!check_windowed(images, windows, out, out_windows, "affine", affine, execution)) return;
  if (images.device.type == DeviceType::cpu)
    cpu::warp(images, windows, out, out_windows, affine, execution);
  else
    cuda::warp(images, windows, out, out_windows, affine, execution);
}

}  // namespace fpg
