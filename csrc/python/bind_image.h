// What the bindings of the image operations share.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <tuple>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg::python {

inline Device device(int cuda_device) {
  return {cuda_device < 0 ? DeviceType::cpu : DeviceType::cuda, cuda_device < 0 ? 0 : cuda_device};
}

inline Execution execution(int threads, std::uintptr_t stream) { return {threads, reinterpret_cast<void*>(stream)}; }

template <class T>
T* pointer(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// (data, offsets, sizes, items, channels, largest height, largest width), the first three as addresses.
using RaggedTuple = std::tuple<std::uintptr_t, std::uintptr_t, std::uintptr_t, int64_t, int, int32_t, int32_t>;

template <class T>
RaggedView<T> ragged(const RaggedTuple& t, Device where) {
  return {pointer<T>(std::get<0>(t)), pointer<const int64_t>(std::get<1>(t)), pointer<const int32_t>(std::get<2>(t)), std::get<3>(t),
          std::get<4>(t),             std::get<5>(t),                         std::get<6>(t),                         where};
}

// An address and the shape.
using TensorTuple = std::tuple<std::uintptr_t, std::array<int64_t, 4>>;

template <class T>
TensorView<T, 4> tensor(const TensorTuple& t, Device where) {
  return {pointer<T>(std::get<0>(t)), std::get<1>(t), where};
}

void bind_photometry(pybind11::module_& module);
void bind_warp(pybind11::module_& module);
void bind_blend(pybind11::module_& module);
void bind_crop(pybind11::module_& module);

}  // namespace fpg::python
