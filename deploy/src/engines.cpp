#include "engines.h"

#include <filesystem>

namespace fpg::runtime {

std::unique_ptr<Engine> load_engine(const std::string& model, int threads) {
  const std::string suffix = std::filesystem::path(model).extension().string();
  if (suffix != ".xml" && suffix != ".engine") {
    throw InputError(
        model, "expected an engine (.xml, .engine); export weights and ONNX models with fpg-export --to openvino or tensorrt");
  }
  EngineSpec spec = read_spec(model);
  const bool fits = suffix == ".xml" ? spec.backend == "openvino" : spec.backend == "tensorrt" || spec.backend == "tensorrt-rtx";
  const std::string name = std::filesystem::path(model).filename().string();
  if (!fits || spec.model_file != name) {
    throw InputError(model, "its sidecar describes " + spec.model_file + " for " + spec.backend + ", expected " + name + " for " +
                                (suffix == ".xml" ? "openvino" : "tensorrt"));
  }
  if (spec.network != "forgery-detector") throw InputError(model, "is a " + spec.network + ", expected a forgery-detector");
  verify_files(spec, model);
  if (suffix == ".xml") return load_openvino(model, std::move(spec), threads);
#if defined(FPG_RUNTIME_TENSORRT)
  return load_tensorrt(model, std::move(spec));
#else
  throw InputError(model, "this program was built without TensorRT: configure it with TensorRT_ROOT, or use an openvino model");
#endif
}

}  // namespace fpg::runtime
