#include <pybind11/stl.h>

#include "bind_masks.h"
#include "bindings.h"
#include "fpg/self_blend.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

SelfBlendInput input(std::uintptr_t windows, int64_t bytes, std::uintptr_t items, const Chain& masks) {
  return {pointer<const uint8_t>(windows), bytes, pointer<const SelfBlendItem>(items), masks.view({})};
}

void self_blend(std::uintptr_t windows, int64_t bytes, std::uintptr_t items, const Chain& masks,
                const std::array<std::uintptr_t, 4>& out, int64_t side, std::uintptr_t scratch, int64_t slots,
                const Target& target) {
  const py::gil_scoped_release release;
  const auto images = [&](size_t which, int64_t channels) {
    return view<float, 4>(out[which], {masks.count, channels, side, side}, target.device);
  };
  fpg::self_blend(input(windows, bytes, items, masks), {images(0, 3), images(1, 3), images(2, 3), images(3, 1)},
                  {pointer<void>(scratch), slots}, target.execution);
}

}  // namespace

void bind_self_blend(py::module_& module) {
  module.attr("SELF_BLEND_ITEM_BYTES") = sizeof(SelfBlendItem);
  const auto windows = py::arg("windows"), bytes = py::arg("bytes"), items = py::arg("items"), masks = py::arg("masks");
  module.def(
      "self_blend_scratch_bytes",
      [](std::uintptr_t pixels, int64_t size, std::uintptr_t records, const Chain& chain) {
        return self_blend_scratch_bytes(input(pixels, size, records, chain));
      },
      py::kw_only(), windows, bytes, items, masks, "Bytes of one slot of scratch memory; see fpg/self_blend.h.");
  module.def("self_blend", &self_blend, py::kw_only(), windows, bytes, items, masks, py::arg("out"), py::arg("side"),
             py::arg("scratch"), py::arg("slots"), py::arg("target"), "See fpg/self_blend.h.");
}

}  // namespace fpg::python
