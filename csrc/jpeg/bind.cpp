#include "common/python/bindings.h"
#include "jpeg/jpeg.h"

namespace fpg::python {
namespace {

void jpeg_round_trip(const Ragged& images, Address quality, Address planes, Address plane_offsets, const Target& target) {
  const py::gil_scoped_release release;
  fpg::jpeg_round_trip({images.view<uint8_t>(target.device), view<const int32_t, 1>(quality, {images.items}, target.device),
                        pointer<uint8_t>(planes), pointer<const int64_t>(plane_offsets)},
                       target.execution);
}

}  // namespace

FPG_BINDINGS(jpeg) {
  module.def("jpeg_round_trip", &jpeg_round_trip, py::kw_only(), py::arg("images"), py::arg("quality"), py::arg("planes"),
             py::arg("plane_offsets"), py::arg("target"), "In place; see csrc/jpeg/jpeg.h.");
}

}  // namespace fpg::python
