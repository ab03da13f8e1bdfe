#include <pybind11/stl.h>

#include "common/python/bindings.h"
#include "masks/chain.h"
#include "masks/masks.h"

namespace fpg::python {
namespace {

size_t scratch_bytes(const std::array<int32_t, 6>& limits, float amplitude, const std::vector<float>& weights) {
  return mask_scratch_bytes(limits_of(limits), elastic_of(amplitude, weights));
}

void feather_masks(const Chain& chain, const Ragged& masks, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::feather_masks({chain.view(target), masks.view<const uint8_t>(target.device), out.view<float>(target.device)},
                     target.execution);
}

void soft_masks(const Chain& chain, const Ragged& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::soft_masks({chain.view(target), out.view<float>(target.device)}, target.execution);
}

}  // namespace

FPG_BINDINGS(masks) {
  module.attr("MASK_ITEM_BYTES") = sizeof(MaskItem);
  module.def("mask_scratch_bytes", &scratch_bytes, py::arg("limits"), py::arg("amplitude"), py::arg("weights"),
             "Bytes of one slot of scratch memory; see csrc/masks/masks.h.");
  py::class_<Chain>(module, "MaskChain", py::module_local(), "The arguments that the mask operations share, memory as addresses.")
      .def(py::init<Address, int64_t, std::array<int32_t, 6>, float, std::vector<float>, Address, int64_t>(), py::arg("items"),
           py::arg("count"), py::arg("limits"), py::arg("amplitude"), py::arg("weights"), py::arg("scratch"), py::arg("slots"));
  module.def("feather_masks", &feather_masks, py::kw_only(), py::arg("chain"), py::arg("masks"), py::arg("out"),
             py::arg("target"), "See csrc/masks/masks.h.");
  module.def("soft_masks", &soft_masks, py::kw_only(), py::arg("chain"), py::arg("out"), py::arg("target"),
             "See csrc/masks/masks.h.");
}

}  // namespace fpg::python
