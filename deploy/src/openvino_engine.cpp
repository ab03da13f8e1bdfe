#include <algorithm>
#include <filesystem>

#include "engines.h"
#include "openvino_core.h"

namespace fpg::runtime {
namespace {

class OpenVinoEngine final : public Engine {
 public:
  OpenVinoEngine(EngineSpec spec, ov::CompiledModel model)
      : Engine(std::move(spec)), model_(std::move(model)), request_(model_.create_infer_request()) {}

  void run(const float* images, int64_t batch, float* logits, float* activation_map) override {
    const auto n = static_cast<size_t>(batch), side = static_cast<size_t>(spec().image_size);
    // The request does not write to its input.
    request_.set_tensor("images", ov::Tensor(ov::element::f32, {n, 3, side, side}, const_cast<float*>(images)));
    request_.infer();
    copy("logits", 2 * n, logits);
    if (spec().map_size[0] > 0)
      copy("activation_map", n * static_cast<size_t>(spec().map_size[0]) * static_cast<size_t>(spec().map_size[1]),
           activation_map);
  }

 private:
  void copy(const char* name, size_t size, float* to) {
    const ov::Tensor tensor = request_.get_tensor(name);
    if (tensor.get_size() != size) throw std::runtime_error(std::string(name) + " has another size than the sidecar says");
    std::copy_n(tensor.data<const float>(), size, to);
  }

  ov::CompiledModel model_;
  ov::InferRequest request_;
};

}  // namespace

std::unique_ptr<Engine> load_openvino(const std::string& model, EngineSpec spec, int threads) {
  const std::string weights = std::filesystem::path(model).stem().string() + ".bin";
  const bool hashed = std::any_of(spec.files.begin(), spec.files.end(), [&](const auto& file) { return file.first == weights; });
  if (!hashed) throw InputError(model, "its sidecar has no hash of " + weights);
  // Without the hint, the plugin computes in 16 bits on processors that can, so that results would depend on the machine.
  ov::AnyMap options = {{ov::hint::inference_precision.name(), ov::element::f32},
                        {ov::hint::performance_mode.name(), ov::hint::PerformanceMode::LATENCY}};
  if (threads > 0) options[ov::inference_num_threads.name()] = threads;
  try {
    const std::shared_ptr<ov::Model> network = openvino_core().read_model(model);
    const ov::PartialShape shape = network->input("images").get_partial_shape();
    const ov::PartialShape expected = {-1, 3, spec.image_size, spec.image_size};
    if (shape != expected) {
      throw InputError(model,
                       "takes images of " + shape.to_string() + ", its sidecar says side " + std::to_string(spec.image_size));
    }
    std::vector<std::pair<const char*, ov::PartialShape>> outputs = {{"logits", {-1, 2}}};
    if (spec.map_size[0] > 0) outputs.push_back({"activation_map", {-1, spec.map_size[0], spec.map_size[1]}});
    for (const auto& [name, wanted] : outputs) {
      const ov::PartialShape found = network->output(name).get_partial_shape();
      if (!found.compatible(wanted)) {
        throw InputError(
            model, std::string("answers with ") + name + " of " + found.to_string() + ", its sidecar says " + wanted.to_string(),
            codes::invalid);
      }
    }
    return std::make_unique<OpenVinoEngine>(std::move(spec), openvino_core().compile_model(network, "CPU", options));
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(model, std::string("OpenVINO cannot load it: ") + error.what());
  }
}

}  // namespace fpg::runtime
