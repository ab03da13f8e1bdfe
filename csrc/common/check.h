// Checks of arguments, for all operations. All throw InvalidArgument, which says what was expected and what was given.
#pragma once

#include <string>

#include "common/error.h"
#include "common/execution.h"
#include "common/ragged.h"
#include "common/rectangles.h"
#include "common/tensor_view.h"

namespace fpg {

constexpr int32_t kMaxSide = 1 << 24;  // coordinates and their products with small factors stay far inside 32 bits

inline void expect(bool fits, const std::string& message) {
  if (!fits) throw InvalidArgument(message);
}

inline std::string text(const Device& device) {
  return device.type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

template <size_t Rank>
std::string text(const std::array<int64_t, Rank>& shape) {
  std::string result = "[";
  for (size_t i = 0; i < Rank; ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + "]";
}

inline std::string text(int64_t height, int64_t width) { return std::to_string(height) + " x " + std::to_string(width); }

inline void check_pointer(const char* name, const void* data) {
  expect(data != nullptr, std::string(name) + ": expected data, got a null pointer");
}

inline void check_count(const char* name, int64_t count) {
  expect(count >= 0, std::string(name) + ": expected a count of at least 0, got " + std::to_string(count));
}

inline void check_device(const char* name, const Device& device, const Device& expected) {
  expect(device == expected, std::string(name) + ": expected device " + text(expected) + ", got " + text(device));
}

template <class T, size_t Rank>
void check_tensor(const char* name, const TensorView<T, Rank>& view, const std::array<int64_t, Rank>& shape,
                  const Device& device) {
  expect(view.shape == shape, std::string(name) + ": expected " + text(shape) + ", got " + text(view.shape));
  check_device(name, view.device, device);
  if (view.size() > 0) check_pointer(name, view.data);
}

// Checks `items`, `channels` and the device, and that no pointer is missing if there are items.
template <class T>
void check_ragged(const char* name, const RaggedView<T>& view, int64_t items, int channels, const Device& device) {
  const std::string expected = std::string(name) + ": expected ";
  check_count(name, items);
  expect(view.items == items, expected + std::to_string(items) + " items, got " + std::to_string(view.items));
  expect(view.channels == channels, expected + std::to_string(channels) + " channels, got " + std::to_string(view.channels));
  expect(view.max_height >= 0 && view.max_width >= 0,
         expected + "non-negative sizes, got " + text(view.max_height, view.max_width));
  check_device(name, view.device, device);
  if (view.empty()) return;
  check_pointer(name, view.data);
  check_pointer(name, view.offsets);
  check_pointer(name, view.sizes);
}

// Any number of RGB images, on any device.
template <class T>
void check_images(const char* name, const RaggedView<T>& images) {
  check_ragged(name, images, images.items, 3, images.device);
}

// Checks windows, whose content is read on the CPU only.
inline void check_windows(const char* name, const Window* windows, int64_t items, const Device& device) {
  check_pointer(name, windows);
  if (device.type != DeviceType::cpu) return;
  for (int64_t i = 0; i < items; ++i) {
    const Window& w = windows[i];
    const bool fits = w.full_height >= 1 && w.full_width >= 1 && w.full_height <= kMaxSide && w.full_width <= kMaxSide &&
                      w.y0 >= -kMaxSide && w.y0 <= kMaxSide && w.x0 >= -kMaxSide && w.x0 <= kMaxSide;
    expect(fits, std::string(name) + ": expected full images of 1 to " + std::to_string(kMaxSide) +
                     " pixels a side and a place about as far away, got " + std::to_string(w.y0) + ", " + std::to_string(w.x0) +
                     ", " + std::to_string(w.full_height) + ", " + std::to_string(w.full_width) + " for item " +
                     std::to_string(i));
  }
}

// For operations that read neighbouring pixels: checks two batches of RGB images with their windows. False if there is nothing to
// compute.
inline bool check_windowed(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
                           const Window* out_windows) {
  check_images("images", images);
  check_ragged("out", out, images.items, 3, images.device);
  if (out.empty()) return false;
  check_pointer("images", images.data);
  check_windows("windows", windows, images.items, images.device);
  check_windows("out_windows", out_windows, images.items, images.device);
  return true;
}

}  // namespace fpg
