#include "common/python/bindings.h"
#include "resample/resample.h"

namespace fpg::python {
namespace {

void resample(const Ragged& images, Address windows, const Ragged& out, Address out_windows, Address changes,
              const Target& target) {
  const py::gil_scoped_release release;
  fpg::resample({images.view<const uint8_t>(target.device), pointer<const Window>(windows), out.view<uint8_t>(target.device),
                 pointer<const Window>(out_windows), pointer<const float>(changes)},
                target.execution);
}

}  // namespace

FPG_BINDINGS(resample) {
  module.def("resample", &resample, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("changes"), py::arg("target"), "See csrc/resample/resample.h.");
}

}  // namespace fpg::python
