#include <pybind11/stl.h>

#include "bindings.h"
#include "fpg/warp.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void warp(const Ragged& images, std::uintptr_t windows, const Ragged& out, std::uintptr_t out_windows, std::uintptr_t affine,
          const Target& target) {
  const py::gil_scoped_release release;
  fpg::warp(images.view<const uint8_t>(target.device), pointer<const Window>(windows), out.view<uint8_t>(target.device),
            pointer<const Window>(out_windows), pointer<const double>(affine), target.execution);
}

}  // namespace

void bind_warp(py::module_& module) {
  module.def("warp", &warp, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("affine"), py::arg("target"), "See fpg/warp.h.");
}

}  // namespace fpg::python
