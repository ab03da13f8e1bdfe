// Validates views once and picks the device.
#include <string>

#include "backends.h"
#include "fpg/error.h"
#include "math/perception.h"

namespace fpg {
namespace {

template <size_t Rank>
std::string text(const std::array<int64_t, Rank>& shape) {
  std::string result = "[";
  for (size_t i = 0; i < Rank; ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + "]";
}

std::string text(const Device& device) { return device.type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(device.index); }

template <class T, size_t Rank>
void check(const char* name, const TensorView<T, Rank>& view, const std::array<int64_t, Rank>& shape, const Device& device) {
  if (view.shape != shape) throw InvalidArgument(std::string(name) + ": expected " + text(shape) + ", got " + text(view.shape));
  if (view.device != device)
    throw InvalidArgument(std::string(name) + ": expected device " + text(device) + ", got " + text(view.device));
  if (view.data == nullptr && view.size() > 0) throw InvalidArgument(std::string(name) + ": expected data, got a null pointer");
}

}  // namespace

void perception_statistics(const PerceptionInput& in, const PerceptionOutput& out, const Execution& execution) {
  const auto shape = in.maps.shape;
  const Device device = in.maps.device;
  if (shape[0] < 0 || shape[1] < 0 || shape[2] < 0)
    throw InvalidArgument("maps: expected [B, H, W] of non-negative sizes, got " + text(shape));
  if (shape[1] > 0 && shape[2] >= (kPerceptionMaxPixels + shape[1] - 1) / shape[1])
    throw InvalidArgument("maps: expected H * W < 2^27, got " + text(shape));
  const std::array<int64_t, 1> batch{shape[0]};
  check("maps", in.maps, shape, device);
  check("masks", in.masks, shape, device);
  check("threshold", out.threshold, batch, device);
  check("dominant", out.dominant, batch, device);
  check("masked", out.masked, batch, device);
  check("remaining", out.remaining, shape, device);
  check("sum", out.sum, batch, device);
  check("positive", out.positive, batch, device);
  if (execution.threads < 1) throw InvalidArgument("threads: expected at least 1, got " + std::to_string(execution.threads));

  if (shape[0] == 0) return;
  if (device.type == DeviceType::cpu)
    cpu::perception_statistics(in, out, execution);
  else
    cuda::perception_statistics(in, out, execution);
}

}  // namespace fpg
