// Validates the views of the JPEG round trip once and picks the device.
#include <string>

#include "backends_jpeg.h"
#include "fpg/error.h"

namespace fpg {

void jpeg_round_trip(const JpegInput& in, const JpegScratch& scratch, const Execution& execution) {
  if (in.images.channels != 3) throw InvalidArgument("images: expected 3 channels, got " + std::to_string(in.images.channels));
  if (in.quality.shape[0] != in.images.items)
    throw InvalidArgument("quality: expected [" + std::to_string(in.images.items) + "], got [" +
                          std::to_string(in.quality.shape[0]) + "]");
  if (in.quality.device != in.images.device) throw InvalidArgument("quality: expected the device of the images");
  if (execution.threads < 1) throw InvalidArgument("threads: expected at least 1, got " + std::to_string(execution.threads));
  if (in.images.items == 0) return;
  if (in.images.data == nullptr || in.images.offsets == nullptr || in.images.sizes == nullptr || in.quality.data == nullptr ||
      scratch.planes == nullptr || scratch.offsets == nullptr)
    throw InvalidArgument("jpeg_round_trip: expected data, got a null pointer");
  if (in.images.device.type == DeviceType::cpu)
    cpu::jpeg_round_trip(in, scratch, execution);
  else
    cuda::jpeg_round_trip(in, scratch, execution);
}

}  // namespace fpg
