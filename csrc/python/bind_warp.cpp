#include <pybind11/stl.h>

#include "bind_image.h"
#include "fpg/warp.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void warp(const RaggedTuple& images, std::uintptr_t windows, const RaggedTuple& out, std::uintptr_t out_windows,
          std::uintptr_t affine, int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  fpg::warp(ragged<const uint8_t>(images, where), pointer<const Window>(windows), ragged<uint8_t>(out, where),
            pointer<const Window>(out_windows), pointer<const double>(affine), execution(threads, stream));
}

}  // namespace

void bind_warp(py::module_& module) {
  module.def("warp", &warp, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("affine"), py::arg("cuda_device") = -1, py::arg("stream") = 0, py::arg("threads") = 1, "See fpg/warp.h.");
}

}  // namespace fpg::python
