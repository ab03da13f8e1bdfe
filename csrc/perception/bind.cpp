#include "common/python/bindings.h"
#include "perception/perception.h"

namespace fpg::python {
namespace {

void perception_statistics(Address maps, Address masks, int64_t batch, int64_t height, int64_t width, Address threshold,
                           Address dominant, Address masked, Address remaining, Address sum, Address positive,
                           const Target& target) {
  const py::gil_scoped_release release;
  const Device device = target.device;
  const std::array<int64_t, 3> images{batch, height, width};
  const std::array<int64_t, 1> items{batch};
  fpg::perception_statistics({view<const float, 3>(maps, images, device), view<const float, 3>(masks, images, device),
                              view<float, 1>(threshold, items, device), view<int64_t, 1>(dominant, items, device),
                              view<int64_t, 1>(masked, items, device), view<uint8_t, 3>(remaining, images, device),
                              view<int64_t, 1>(sum, items, device), view<int64_t, 1>(positive, items, device)},
                             target.execution);
}

}  // namespace

FPG_BINDINGS(perception) {
  module.def("perception_statistics", &perception_statistics, py::kw_only(), py::arg("maps"), py::arg("masks"), py::arg("batch"),
             py::arg("height"), py::arg("width"), py::arg("threshold"), py::arg("dominant"), py::arg("masked"),
             py::arg("remaining"), py::arg("sum"), py::arg("positive"), py::arg("target"), "See csrc/perception/perception.h.");
}

}  // namespace fpg::python
