#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bindings.h"
#include "fpg/error.h"
#include "fpg/masks.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

MaskLimits limits_of(const std::array<int32_t, 6>& v) { return {v[0], v[1], v[2], v[3], v[4], v[5]}; }

Elastic elastic_of(float amplitude, const std::vector<float>& weights) {
  if (weights.empty() || weights.size() > kElasticRadius + 1)
    throw InvalidArgument("elastic: expected 1 to " + std::to_string(kElasticRadius + 1) + " weights, got " +
                          std::to_string(weights.size()));
  Elastic elastic;
  elastic.amplitude = amplitude;
  elastic.radius = static_cast<int32_t>(weights.size()) - 1;
  std::copy(weights.begin(), weights.end(), elastic.weights);
  return elastic;
}

struct Chain {
  std::uintptr_t items;
  int64_t count;
  std::array<int32_t, 6> limits;
  float amplitude;
  std::vector<float> weights;
  std::uintptr_t scratch;
  int64_t slots;

  MaskChain view(const Target& target) const {
    MaskChain chain;
    chain.items = reinterpret_cast<const MaskItem*>(items);
    chain.count = count;
    chain.limits = limits_of(limits);
    chain.elastic = elastic_of(amplitude, weights);
    chain.scratch = reinterpret_cast<void*>(scratch);
    chain.scratch_slots = slots;
    chain.device = target.device;
    return chain;
  }
};

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
