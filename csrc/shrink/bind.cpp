#include <pybind11/stl.h>

#include "common/python/bindings.h"
#include "shrink/shrink.h"

namespace fpg::python {
namespace {

void shrink(Address image, int64_t row_bytes, std::array<int32_t, 2> size, Address out, int64_t out_row_bytes,
            std::array<int32_t, 2> out_size) {
  const py::gil_scoped_release release;
  fpg::shrink({pointer<const uint8_t>(image), row_bytes, size[0], size[1], pointer<uint8_t>(out), out_row_bytes, out_size[0],
               out_size[1]});
}

}  // namespace

FPG_BINDINGS(shrink) {
  module.def("shrink", &shrink, py::kw_only(), py::arg("image"), py::arg("row_bytes"), py::arg("size"), py::arg("out"),
             py::arg("out_row_bytes"), py::arg("out_size"), "One image of (height, width); see csrc/shrink/shrink.h.");
}

}  // namespace fpg::python
