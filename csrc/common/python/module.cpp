// fpg._C: borrows raw pointers, releases the GIL. pybind11 translates std::invalid_argument to ValueError and
// std::runtime_error to RuntimeError. fpg/ops and fpg/pairs check shapes and dtypes before they call this module.
#include <pybind11/stl.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/python/bindings.h"

namespace fpg::python {
namespace {

std::map<std::string, Bindings::Bind>& registered() {
  static std::map<std::string, Bindings::Bind> all;
  return all;
}

std::vector<std::string> architectures(const BuildInfo& info) {
  std::vector<std::string> result;
  std::istringstream names(info.cuda_architectures);
  for (std::string name; std::getline(names, name, ',');) result.push_back(name);
  return result;
}

py::dict as_dict(const BuildInfo& info) {
  py::dict result;
  result["version"] = info.version;
  result["compiler"] = info.compiler;
  result["build_type"] = info.build_type;
  result["cuda"] = info.cuda;
  result["cuda_version"] = info.cuda_version;
  result["cuda_architectures"] = architectures(info);
  return result;
}

std::pair<int, std::string> status() {
  const CudaStatus status = cuda_status();
  return {status.devices, status.reason};
}

Target make_target(int cuda_device, Address stream, int threads) {
  const bool cpu = cuda_device < 0;
  return {{cpu ? DeviceType::cpu : DeviceType::cuda, cpu ? 0 : cuda_device}, {threads, pointer<void>(stream)}};
}

}  // namespace

Bindings::Bindings(const char* name, Bind bind) { registered()[name] = bind; }

void Bindings::run(py::module_& module) {
  for (const auto& [name, bind] : registered()) bind(module);
}

}  // namespace fpg::python

PYBIND11_MODULE(_C, module) {
  using namespace fpg::python;  // NOLINT
  using fpg::BuildInfo;
  module.doc() = "fpg's kernels; call them through fpg.ops and fpg.pairs, which check what comes in.";
  module.attr("INTERFACE") = FPG_INTERFACE;
  py::class_<BuildInfo>(module, "BuildInfo", py::module_local(), "What was built.")
      .def_readonly("version", &BuildInfo::version)
      .def_readonly("compiler", &BuildInfo::compiler)
      .def_readonly("build_type", &BuildInfo::build_type)
      .def_readonly("cuda", &BuildInfo::cuda)
      .def_readonly("cuda_version", &BuildInfo::cuda_version, "Of nvcc; empty without CUDA.")
      .def_property_readonly("cuda_architectures", &architectures)
      .def("as_dict", &as_dict, "All of it, by name.");
  module.def("build_info", &fpg::build_info, "What was built.");
  module.def("cuda_status", &status, "(number of usable GPUs, the reason when there is none).");
  py::class_<Ragged>(module, "Ragged", py::module_local(), "A ragged batch as addresses (see csrc/common/ragged.h).")
      .def(py::init<Address, Address, Address, int64_t, int, int32_t, int32_t>(), py::arg("data"), py::arg("offsets"),
           py::arg("sizes"), py::arg("items"), py::arg("channels"), py::arg("max_height"), py::arg("max_width"));
  py::class_<Target>(module, "Target", py::module_local(), "Device, stream and threads of a call; cuda_device -1 is the CPU.")
      .def(py::init(&make_target), py::arg("cuda_device"), py::arg("stream"), py::arg("threads"));
  Bindings::run(module);
}
