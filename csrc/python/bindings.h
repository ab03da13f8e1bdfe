// What the bindings of every operation share: views of borrowed memory, ragged batches, where and how to run.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <tuple>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg::python {

template <class T, size_t Rank>
TensorView<T, Rank> view(std::uintptr_t address, std::array<int64_t, Rank> shape, Device device) {
  return {reinterpret_cast<T*>(address), shape, device};
}

// fpg.ops.ragged.RaggedBatch as addresses.
struct Ragged {
  std::uintptr_t data, offsets, sizes;
  int64_t items;
  int channels;
  int32_t max_height, max_width;

  template <class T>
  RaggedView<T> view(Device device) const {
    return {reinterpret_cast<T*>(data),
            reinterpret_cast<const int64_t*>(offsets),
            reinterpret_cast<const int32_t*>(sizes),
            items,
            channels,
            max_height,
            max_width,
            device};
  }
};

template <class T>
T* pointer(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// A dense array of four dimensions: its address and shape.
using Dense = std::tuple<std::uintptr_t, std::array<int64_t, 4>>;

template <class T>
TensorView<T, 4> tensor(const Dense& dense, Device device) {
  return view<T, 4>(std::get<0>(dense), std::get<1>(dense), device);
}

// Device (cuda_device -1 is the CPU), stream and threads of a call.
struct Target {
  Device device;
  Execution execution;
};

void bind_shared(pybind11::module_& module);
void bind_jpeg(pybind11::module_& module);
void bind_photometry(pybind11::module_& module);
void bind_warp(pybind11::module_& module);
void bind_blend(pybind11::module_& module);
void bind_crop(pybind11::module_& module);
void bind_masks(pybind11::module_& module);
void bind_self_blend(pybind11::module_& module);

}  // namespace fpg::python
