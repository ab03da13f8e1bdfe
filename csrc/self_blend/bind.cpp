#include <pybind11/stl.h>

#include "common/python/bindings.h"
#include "masks/chain.h"
#include "self_blend/self_blend.h"

namespace fpg::python {
namespace {

SelfBlendInput input(Address windows, int64_t bytes, Address items, const Chain& masks) {
  return {pointer<const uint8_t>(windows), bytes, pointer<const SelfBlendItem>(items), masks.view({})};
}

size_t scratch_bytes(Address windows, int64_t bytes, Address items, const Chain& masks) {
  return self_blend_scratch_bytes(input(windows, bytes, items, masks));
}

void self_blend(Address windows, int64_t bytes, Address items, const Chain& masks, const std::array<Address, 4>& out,
                int64_t side, Address scratch, int64_t slots, bool nearest, const Target& target) {
  const py::gil_scoped_release release;
  const auto images = [&](size_t which, int64_t channels) {
    return view<float, 4>(out[which], {masks.count, channels, side, side}, target.device);
  };
  fpg::self_blend({input(windows, bytes, items, masks), images(0, 3), images(1, 3), images(2, 3), images(3, 1),
                   pointer<void>(scratch), slots, nearest},
                  target.execution);
}

}  // namespace

FPG_BINDINGS(self_blend) {
  module.attr("SELF_BLEND_ITEM_BYTES") = sizeof(SelfBlendItem);
  module.def("self_blend_scratch_bytes", &scratch_bytes, py::kw_only(), py::arg("windows"), py::arg("bytes"), py::arg("items"),
             py::arg("masks"), "Bytes of one slot of scratch memory; see csrc/self_blend/self_blend.h.");
  module.def("self_blend", &self_blend, py::kw_only(), py::arg("windows"), py::arg("bytes"), py::arg("items"), py::arg("masks"),
             py::arg("out"), py::arg("side"), py::arg("scratch"), py::arg("slots"), py::arg("nearest"), py::arg("target"),
             "Fake, real, source, mask; see csrc/self_blend/self_blend.h.");
}

}  // namespace fpg::python
