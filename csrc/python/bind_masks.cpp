#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind_masks.h"
#include "bindings.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void face_masks(const Chain& chain, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::face_masks(chain.view(target), out.view<uint8_t>(target.device), target.execution);
}

void warp_masks(const Chain& chain, const Ragged& masks, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::warp_masks(chain.view(target), masks.view<const uint8_t>(target.device), out.view<uint8_t>(target.device),
                  target.execution);
}

void feather_masks(const Chain& chain, const Ragged& masks, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::feather_masks(chain.view(target), masks.view<const uint8_t>(target.device), out.view<float>(target.device),
                     target.execution);
}

void soft_masks(const Chain& chain, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::soft_masks(chain.view(target), out.view<float>(target.device), target.execution);
}

}  // namespace

void bind_masks(py::module_& module) {
  module.attr("MASK_ITEM_BYTES") = sizeof(MaskItem);
  module.def(
      "mask_scratch_bytes",
      [](const std::array<int32_t, 6>& limits, float amplitude, const std::vector<float>& weights) {
        return mask_scratch_bytes(limits_of(limits), elastic_of(amplitude, weights));
      },
      py::arg("limits"), py::arg("amplitude"), py::arg("weights"), "Bytes of one slot of scratch memory; see fpg/masks.h.");
  py::class_<Chain>(module, "MaskChain", "The arguments that the mask operations share (see fpg/masks.h), memory as addresses.")
      .def(py::init<std::uintptr_t, int64_t, std::array<int32_t, 6>, float, std::vector<float>, std::uintptr_t, int64_t>(),
           py::arg("items"), py::arg("count"), py::arg("limits"), py::arg("amplitude"), py::arg("weights"), py::arg("scratch"),
           py::arg("slots"));
  const auto chain = py::arg("chain"), out = py::arg("out"), target = py::arg("target"), masks = py::arg("masks");
  module.def("face_masks", &face_masks, py::kw_only(), chain, out, target, "See fpg/masks.h.");
  module.def("warp_masks", &warp_masks, py::kw_only(), chain, masks, out, target, "See fpg/masks.h.");
  module.def("feather_masks", &feather_masks, py::kw_only(), chain, masks, out, target, "See fpg/masks.h.");
  module.def("soft_masks", &soft_masks, py::kw_only(), chain, out, target, "See fpg/masks.h.");
}

}  // namespace fpg::python
