#include "bindings.h"

namespace py = pybind11;

namespace fpg::python {

void bind_shared(py::module_& module) {
  py::class_<Ragged>(module, "Ragged", "A ragged batch as addresses (see fpg/ragged.h).")
      .def(py::init<std::uintptr_t, std::uintptr_t, std::uintptr_t, int64_t, int, int32_t, int32_t>(), py::arg("data"),
           py::arg("offsets"), py::arg("sizes"), py::arg("items"), py::arg("channels"), py::arg("max_height"),
           py::arg("max_width"));
  py::class_<Target>(module, "Target", "Device, stream and threads of a call; cuda_device -1 is the CPU.")
      .def(py::init([](int cuda_device, std::uintptr_t stream, int threads) {
             const bool cpu = cuda_device < 0;
             return Target{{cpu ? DeviceType::cpu : DeviceType::cuda, cpu ? 0 : cuda_device},
                           {threads, reinterpret_cast<void*>(stream)}};
           }),
           py::arg("cuda_device"), py::arg("stream"), py::arg("threads"));
}

}  // namespace fpg::python
