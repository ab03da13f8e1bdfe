// A borrowed, dense, row-major array: a pointer, its shape and where it lives. Owns nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fpg {

enum class DeviceType { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;  // of the GPU; 0 for the CPU

  bool operator==(const Device& other) const { return type == other.type && index == other.index; }
  bool operator!=(const Device& other) const { return !(*this == other); }
};

template <class T, size_t Rank>
struct TensorView {
  T* data = nullptr;
  std::array<int64_t, Rank> shape{};
  Device device{};

  int64_t size() const {
    int64_t product = 1;
    for (int64_t extent : shape) product *= extent;
    return product;
  }
};

}  // namespace fpg
