// N neighbours in memory at an address that is a multiple of their size, read or written at once: four floats are one 16-byte
// access of a GPU thread. On a CPU the loops over neighbours are what is vectorised.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/host_device.h"

namespace fpg {

template <class T, int N>
struct alignas(sizeof(T) * N) Lanes {
  T value[N];

  FPG_HD T& operator[](int i) { return value[i]; }
  FPG_HD const T& operator[](int i) const { return value[i]; }
};

template <int N, class T>
FPG_HD Lanes<T, N> load(const T* from) {
  return *reinterpret_cast<const Lanes<T, N>*>(from);
}

template <int N, class T>
FPG_HD void store(T* to, const Lanes<T, N>& lanes) {
  *reinterpret_cast<Lanes<T, N>*>(to) = lanes;
}

constexpr int kWideBytes = 16;
constexpr int kWideFloats = 4;

inline bool is_wide(const void* address) { return reinterpret_cast<uintptr_t>(address) % kWideBytes == 0; }

// Pixels of 3 bytes fall into groups of 16, whose 48 bytes start at a multiple of 16.
constexpr int kGroupPixels = 16;

// The bytes of N RGB pixels: a group's in 16-byte accesses, a single pixel's one by one.
template <int N>
struct RgbLanes {
  uint8_t bytes[3 * N];

  FPG_HD explicit RgbLanes(const uint8_t* from) {
    if constexpr (N % kGroupPixels == 0) {
      for (int part = 0; part < 3 * N / kWideBytes; ++part) {
        const auto wide = load<kWideBytes>(from + part * kWideBytes);
        for (int i = 0; i < kWideBytes; ++i) bytes[part * kWideBytes + i] = wide[i];
      }
    } else {
      for (int i = 0; i < 3 * N; ++i) bytes[i] = from[i];
    }
  }

  FPG_HD void store_to(uint8_t* to) const {
    if constexpr (N % kGroupPixels == 0) {
      for (int part = 0; part < 3 * N / kWideBytes; ++part) {
        Lanes<uint8_t, kWideBytes> wide;
        for (int i = 0; i < kWideBytes; ++i) wide[i] = bytes[part * kWideBytes + i];
        store<kWideBytes>(to + part * kWideBytes, wide);
      }
    } else {
      for (int i = 0; i < 3 * N; ++i) to[i] = bytes[i];
    }
  }
};

// The pixels of an image at `address`: groups, and those before the first and after the last that are taken one by one. None are
// grouped where `wide` is false.
struct PixelGroups {
  int64_t head, groups, singles;

  FPG_HD PixelGroups(uintptr_t address, int64_t pixels, bool wide) {
    const auto before = static_cast<int64_t>((16 - address % 16) * 11 % 16);  // 11 x 3 is 1 modulo 16
    head = wide && before < pixels ? before : pixels;
    groups = (pixels - head) / kGroupPixels;
    singles = pixels - groups * kGroupPixels;
  }

  // First pixel of a group, and where a single one is.
  FPG_HD int64_t group(int64_t i) const { return head + i * kGroupPixels; }
  FPG_HD int64_t single(int64_t i) const { return i < head ? i : i + groups * kGroupPixels; }
};

}  // namespace fpg
