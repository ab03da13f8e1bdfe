#include <pybind11/pybind11.h>

#include "bindings.h"
#include "fpg/jpeg.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void jpeg_round_trip(const Ragged& images, std::uintptr_t quality, std::uintptr_t planes, std::uintptr_t plane_offsets,
                     const Target& target) {
  const py::gil_scoped_release release;
  fpg::jpeg_round_trip({images.view<uint8_t>(target.device), view<const int32_t, 1>(quality, {images.items}, target.device)},
                       {reinterpret_cast<uint8_t*>(planes), reinterpret_cast<const int64_t*>(plane_offsets)}, target.execution);
}

}  // namespace

void bind_jpeg(py::module_& module) {
  module.def("jpeg_round_trip", &jpeg_round_trip, py::kw_only(), py::arg("images"), py::arg("quality"), py::arg("planes"),
             py::arg("plane_offsets"), py::arg("target"), "In place; see fpg/jpeg.h.");
}

}  // namespace fpg::python
