// Common parts of all bindings: views of borrowed memory, ragged batches, where and how to run.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <tuple>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/tensor_view.h"

namespace fpg::python {

namespace py = pybind11;

// A view of memory that the caller keeps alive and has checked (fpg/ops/checks.py).
using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

template <class T, size_t Rank>
TensorView<T, Rank> view(Address address, std::array<int64_t, Rank> shape, Device device) {
  return {pointer<T>(address), shape, device};
}

// A dense array of four dimensions: its address and shape.
using Dense = std::tuple<Address, std::tuple<int64_t, int64_t, int64_t, int64_t>>;

template <class T>
TensorView<T, 4> tensor(const Dense& dense, Device device) {
  const auto& [b, c, h, w] = std::get<1>(dense);
  return view<T, 4>(std::get<0>(dense), {b, c, h, w}, device);
}

// fpg.ops.ragged.RaggedBatch as addresses.
struct Ragged {
  Address data, offsets, sizes;
  int64_t items;
  int channels;
  int32_t max_height, max_width;

  template <class T>
  RaggedView<T> view(Device device) const {
    return {pointer<T>(data),
            pointer<const int64_t>(offsets),
            pointer<const int32_t>(sizes),
            items,
            channels,
            max_height,
            max_width,
            device};
  }
};

// Device (cuda_device -1 is the CPU), stream and threads of a call.
struct Target {
  Device device;
  Execution execution;
};

// `FPG_BINDINGS(name) { module.def(...); }` in a bind.cpp adds to the module. They run in the order of their names: a class comes
// before the functions that take it (MaskChain of masks before self_blend), so that signatures have its Python name.
class Bindings {
 public:
  using Bind = void (*)(py::module_& module);

  Bindings(const char* name, Bind bind);
  static void run(py::module_& module);
};

#define FPG_BINDINGS(name)                                    \
  static void bind_##name(py::module_& module);               \
  static const Bindings name##_bindings(#name, &bind_##name); \
  static void bind_##name(py::module_& module)

}  // namespace fpg::python
