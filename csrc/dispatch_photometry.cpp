#include "backends_image.h"
#include "check_ragged.h"

namespace fpg {

void change_color(const RaggedView<const uint8_t>& images, const float* changes, uint8_t* out, const Execution& execution) {
  if (images.items < 0) throw InvalidArgument("images: expected a number of items, got " + std::to_string(images.items));
  check_ragged("images", images, images.items, 3, images.device);
  check_threads(execution);
  if (images.items == 0 || images.max_height == 0 || images.max_width == 0) return;
  check_pointer("changes", changes);
  check_pointer("out", out);
  if (images.device.type == DeviceType::cpu)
    cpu::change_color(images, changes, out, execution);
  else
    cuda::change_color(images, changes, out, execution);
}

void resample(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
              const Window* out_windows, const float* changes, const Execution& execution) {
  if (!check_windowed(images, windows, out, out_windows, "changes", changes, execution)) return;
  if (images.device.type == DeviceType::cpu)
    cpu::resample(images, windows, out, out_windows, changes, execution);
  else
    cuda::resample(images, windows, out, out_windows, changes, execution);
}

}  // namespace fpg
