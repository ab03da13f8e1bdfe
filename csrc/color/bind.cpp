#include "color/color.h"
#include "common/python/bindings.h"

namespace fpg::python {
namespace {

void change_color(const Ragged& images, Address changes, Address out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::change_color({images.view<const uint8_t>(target.device), pointer<const float>(changes), pointer<uint8_t>(out)},
                    target.execution);
}

}  // namespace

FPG_BINDINGS(color) {
  module.def("change_color", &change_color, py::kw_only(), py::arg("images"), py::arg("changes"), py::arg("out"),
             py::arg("target"), "See csrc/color/color.h.");
}

}  // namespace fpg::python
