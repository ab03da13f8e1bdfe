// Checks that dispatch/*.cpp of the image operations share.
#pragma once

#include <string>

#include "fpg/error.h"
#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

constexpr int32_t kMaxSide = 1 << 24;  // coordinates and their products with small factors stay far inside 32 bits

inline std::string text(const Device& device) {
  return device.type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

template <size_t Rank>
std::string text(const std::array<int64_t, Rank>& shape) {
  std::string result = "[";
  for (size_t i = 0; i < Rank; ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + "]";
}

inline void check_threads(const Execution& execution) {
  if (execution.threads < 1) throw InvalidArgument("threads: expected at least 1, got " + std::to_string(execution.threads));
}

inline void check_pointer(const char* name, const void* data) {
  if (data == nullptr) throw InvalidArgument(std::string(name) + ": expected data, got a null pointer");
}

// `items`, `channels` and the device as expected, and nothing missing where there are items.
template <class T>
void check_ragged(const char* name, const RaggedView<T>& view, int64_t items, int channels, const Device& device) {
  const std::string prefix = std::string(name) + ": expected ";
  if (view.items != items) throw InvalidArgument(prefix + std::to_string(items) + " items, got " + std::to_string(view.items));
  if (view.channels != channels)
    throw InvalidArgument(prefix + std::to_string(channels) + " channels, got " + std::to_string(view.channels));
  if (view.max_height < 0 || view.max_width < 0)
    throw InvalidArgument(prefix + "non-negative sizes, got " + std::to_string(view.max_height) + " x " +
                          std::to_string(view.max_width));
  if (view.device != device) throw InvalidArgument(prefix + "device " + text(device) + ", got " + text(view.device));
  if (items == 0 || view.max_height == 0 || view.max_width == 0) return;
  check_pointer(name, view.data);
  check_pointer(name, view.offsets);
  check_pointer(name, view.sizes);
}

// An operation that looks at neighbours: batches of RGB images, both with their windows, and its parameters. False if nothing is
// to be computed. Windows are read, and refused where no image is so small, on the CPU alone.
inline bool check_windowed(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
                           const Window* out_windows, const char* name, const void* parameters, const Execution& execution) {
  if (images.items < 0) throw InvalidArgument("images: expected a number of items, got " + std::to_string(images.items));
  check_ragged("images", images, images.items, 3, images.device);
  check_ragged("out", out, images.items, 3, images.device);
  check_threads(execution);
  if (out.items == 0 || out.max_height == 0 || out.max_width == 0) return false;
  check_pointer("images", images.data);
  check_pointer("windows", windows);
  check_pointer("out_windows", out_windows);
  check_pointer(name, parameters);
  if (images.device.type != DeviceType::cpu) return true;
  for (const Window* list : {windows, out_windows})
    for (int64_t i = 0; i < images.items; ++i)
      if (list[i].full_height < 1 || list[i].full_width < 1 || list[i].full_height > kMaxSide || list[i].full_width > kMaxSide ||
          list[i].y0 < -kMaxSide || list[i].y0 > kMaxSide || list[i].x0 < -kMaxSide || list[i].x0 > kMaxSide)
        throw InvalidArgument("windows: expected full images of 1 to " + std::to_string(kMaxSide) +
                              " pixels a side and a place about as far away, got " + std::to_string(list[i].y0) + ", " +
                              std::to_string(list[i].x0) + ", " + std::to_string(list[i].full_height) + ", " +
                              std::to_string(list[i].full_width) + " for item " + std::to_string(i));
  return true;
}

template <class T, size_t Rank>
void check_tensor(const char* name, const TensorView<T, Rank>& view, const std::array<int64_t, Rank>& shape,
                  const Device& device) {
  if (view.shape != shape) throw InvalidArgument(std::string(name) + ": expected " + text(shape) + ", got " + text(view.shape));
  if (view.device != device)
    throw InvalidArgument(std::string(name) + ": expected device " + text(device) + ", got " + text(view.device));
  if (view.size() > 0) check_pointer(name, view.data);
}

}  // namespace fpg
