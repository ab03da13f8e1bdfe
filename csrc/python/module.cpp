// fpg._C: borrows raw pointers, releases the GIL. std::invalid_argument arrives as ValueError and std::runtime_error as
// RuntimeError (pybind11's own translation). Shapes and dtypes are checked by fpg/ops before anything comes here.
#include <pybind11/pybind11.h>

#include <array>
#include <sstream>

#include "bindings.h"
#include "fpg/error.h"
#include "fpg/ops.h"

namespace py = pybind11;

namespace {

using fpg::python::view;

void perception_statistics(std::uintptr_t maps, std::uintptr_t masks, int64_t batch, int64_t height, int64_t width,
                           std::uintptr_t threshold, std::uintptr_t dominant, std::uintptr_t masked, std::uintptr_t remaining,
                           std::uintptr_t sum, std::uintptr_t positive, const fpg::python::Target& target) {
  const py::gil_scoped_release release;
  const fpg::Device device = target.device;
  const std::array<int64_t, 3> images{batch, height, width};
  const std::array<int64_t, 1> items{batch};
  fpg::perception_statistics({view<const float, 3>(maps, images, device), view<const float, 3>(masks, images, device)},
                             {view<float, 1>(threshold, items, device), view<int64_t, 1>(dominant, items, device),
                              view<int64_t, 1>(masked, items, device), view<uint8_t, 3>(remaining, images, device),
                              view<int64_t, 1>(sum, items, device), view<int64_t, 1>(positive, items, device)},
                             target.execution);
}

py::dict build_info() {
  const fpg::BuildInfo info = fpg::build_info();
  py::list architectures;
  std::istringstream names(info.cuda_architectures);
  for (std::string name; std::getline(names, name, ',');) architectures.append(name);
  py::dict result;
  result["version"] = info.version;
  result["compiler"] = info.compiler;
  result["build_type"] = info.build_type;
  result["cuda"] = info.cuda;
  result["cuda_version"] = info.cuda_version;
  result["cuda_architectures"] = architectures;
  return result;
}

}  // namespace

PYBIND11_MODULE(_C, module) {
  // Raised, here and in fpg/ops/backend.py, whenever a name or argument of this module changes: a build that a newer checkout
  // does not fit is refused by name.
  module.attr("INTERFACE") = 2;
  module.doc() = "fpg's kernels; call them through fpg.ops, which checks what comes in.";
  module.def("build_info", &build_info, "What was built: version, compiler, build_type, cuda, cuda_version, cuda_architectures.");
  module.def("cuda_device_count", [] { return fpg::cuda_status().devices; }, "Number of usable GPUs; 0 without a driver.");
  module.def(
      "cuda_status",
      [] {
        const fpg::CudaStatus status = fpg::cuda_status();
        return py::make_tuple(status.devices, status.reason);
      },
      "(number of usable GPUs, the reason when there is none).");
  fpg::python::bind_shared(module);
  fpg::python::bind_jpeg(module);
  fpg::python::bind_masks(module);
  module.def("perception_statistics", &perception_statistics, py::kw_only(), py::arg("maps"), py::arg("masks"), py::arg("batch"),
             py::arg("height"), py::arg("width"), py::arg("threshold"), py::arg("dominant"), py::arg("masked"),
             py::arg("remaining"), py::arg("sum"), py::arg("positive"), py::arg("target"),
             "Arguments are addresses of dense arrays (see fpg/ops.h).");
  fpg::python::bind_photometry(module);
  fpg::python::bind_warp(module);
  fpg::python::bind_blend(module);
  fpg::python::bind_crop(module);
  fpg::python::bind_self_blend(module);
}
