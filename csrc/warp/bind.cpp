#include "common/python/bindings.h"
#include "warp/warp.h"

namespace fpg::python {
namespace {

void warp(const Ragged& images, Address windows, const Ragged& out, Address out_windows, Address affine, const Target& target) {
  const py::gil_scoped_release release;
  fpg::warp({images.view<const uint8_t>(target.device), pointer<const Window>(windows), out.view<uint8_t>(target.device),
             pointer<const Window>(out_windows), pointer<const double>(affine)},
            target.execution);
}

}  // namespace

FPG_BINDINGS(warp) {
  module.def("warp", &warp, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("affine"), py::arg("target"), "See csrc/warp/warp.h.");
}

}  // namespace fpg::python
