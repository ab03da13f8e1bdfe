#include "blend/blend.h"
#include "common/python/bindings.h"

namespace fpg::python {
namespace {

void blend(const Ragged& source, const Ragged& background, const Ragged& masks, Address out, bool nearest, const Target& target) {
  const py::gil_scoped_release release;
  fpg::blend({source.view<const uint8_t>(target.device), background.view<const uint8_t>(target.device),
              masks.view<const float>(target.device), pointer<uint8_t>(out), nearest},
             target.execution);
}

}  // namespace

FPG_BINDINGS(blend) {
  module.def("blend", &blend, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("masks"), py::arg("out"),
             py::arg("nearest"), py::arg("target"), "See csrc/blend/blend.h.");
}

}  // namespace fpg::python
