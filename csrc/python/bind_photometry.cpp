#include <pybind11/stl.h>

#include "bindings.h"
#include "fpg/photometry.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void change_color(const Ragged& images, std::uintptr_t changes, std::uintptr_t out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::change_color(images.view<const uint8_t>(target.device), pointer<const float>(changes), pointer<uint8_t>(out),
                    target.execution);
}

void resample(const Ragged& images, std::uintptr_t windows, const Ragged& out, std::uintptr_t out_windows, std::uintptr_t changes,
              const Target& target) {
  const py::gil_scoped_release release;
  fpg::resample(images.view<const uint8_t>(target.device), pointer<const Window>(windows), out.view<uint8_t>(target.device),
                pointer<const Window>(out_windows), pointer<const float>(changes), target.execution);
}

}  // namespace

void bind_photometry(py::module_& module) {
  module.def("change_color", &change_color, py::kw_only(), py::arg("images"), py::arg("changes"), py::arg("out"),
             py::arg("target"), "See fpg/photometry.h.");
  module.def("resample", &resample, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("changes"), py::arg("target"), "See fpg/photometry.h.");
}

}  // namespace fpg::python
