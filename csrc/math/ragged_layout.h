// Where the pixels of a ragged batch lie, as functors see it.
#pragma once

#include <cstdint>

#include "fpg/ragged.h"
#include "math/host_device.h"

namespace fpg {

template <class T>
struct RaggedLayout {
  T* data;
  const int64_t* offsets;
  const int32_t* sizes;

  FPG_HD int32_t height(int64_t item) const { return sizes[2 * item]; }
  FPG_HD int32_t width(int64_t item) const { return sizes[2 * item + 1]; }
  FPG_HD T* item(int64_t index) const { return data + offsets[index]; }
  FPG_HD T* row(int64_t item_index, int64_t y, int64_t channels) const {
    return item(item_index) + y * width(item_index) * channels;
  }
};

template <class T>
RaggedLayout<T> layout(const RaggedView<T>& view) {
  return {view.data, view.offsets, view.sizes};
}

}  // namespace fpg
