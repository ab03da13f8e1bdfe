#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/python/bindings.h"
#include "crop/crop.h"

namespace fpg::python {
namespace {

// `masks` may be None; then `masks_out` is ignored.
void crop_resize(const std::vector<Ragged>& images, const std::optional<Ragged>& masks, Address crops,
                 const std::vector<Address>& out, Address masks_out, int64_t side, const Target& target) {
  const py::gil_scoped_release release;
  if (images.size() != out.size() || images.size() > kMaxCropImages)
    throw InvalidArgument("images: expected at most " + std::to_string(kMaxCropImages) + " and as many outputs, got " +
                          std::to_string(images.size()) + " and " + std::to_string(out.size()));
  CropArguments arguments;
  arguments.count = static_cast<int>(images.size());
  arguments.crops = pointer<const Crop>(crops);
  for (size_t i = 0; i < images.size(); ++i) {
    arguments.images[i] = images[i].view<const uint8_t>(target.device);
    arguments.out[i] = {pointer<float>(out[i]), {images[i].items, 3, side, side}, target.device};
  }
  if (masks) {
    arguments.masks = masks->view<const float>(target.device);
    arguments.masks_out = {pointer<float>(masks_out), {masks->items, 1, side, side}, target.device};
  }
  fpg::crop_resize(arguments, target.execution);
}

}  // namespace

FPG_BINDINGS(crop) {
  module.def("crop_resize", &crop_resize, py::kw_only(), py::arg("images"), py::arg("masks"), py::arg("crops"), py::arg("out"),
             py::arg("masks_out"), py::arg("side"), py::arg("target"), "See csrc/crop/crop.h.");
}

}  // namespace fpg::python
