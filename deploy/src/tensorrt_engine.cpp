// TensorRT engines, and those of TensorRT for RTX: the C++ twin of fpg/engines/tensorrt.py. Compiled where
// cmake/FpgTensorRT.cmake finds the library.
//
// Batches go through buckets, one optimisation profile each: a batch is padded to the smallest bucket that holds it, larger ones
// are split. Each bucket has two sets of page-locked and device buffers at fixed addresses, and a CUDA graph for each (copy in,
// network, copy out), so that the host fills one set while the GPU works on the other.

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engines.h"

namespace fpg::runtime {
namespace {

#if defined(TRT_MAJOR_RTX)
constexpr const char* kBackend = "tensorrt-rtx";
#else
constexpr const char* kBackend = "tensorrt";
#endif

void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(code));
}

#define FPG_CUDA(call) check(call, #call)

// Keeps errors for our own messages instead of printing them.
class Logger final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR && text.size() < 4096) text += (text.empty() ? "" : "; ") + std::string(message);
  }
  std::string text;
};

class Stream {
 public:
  Stream() { FPG_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// Floats on the GPU, with a page-locked copy on the host.
class Buffer {
 public:
  explicit Buffer(size_t size) : bytes_(size * sizeof(float)) {
    FPG_CUDA(cudaMalloc(&device_, bytes_));
    if (cudaHostAlloc(&host_, bytes_, cudaHostAllocDefault) != cudaSuccess) {
      cudaFree(device_);
      throw std::runtime_error("no page-locked memory for " + std::to_string(bytes_) + " bytes");
    }
    std::memset(host_, 0, bytes_);
  }
  ~Buffer() {
    cudaFree(device_);
    cudaFreeHost(host_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  float* host() const { return static_cast<float*>(host_); }
  void* device() const { return device_; }
  void upload(cudaStream_t stream) const { FPG_CUDA(cudaMemcpyAsync(device_, host_, bytes_, cudaMemcpyHostToDevice, stream)); }
  void download(cudaStream_t stream) const { FPG_CUDA(cudaMemcpyAsync(host_, device_, bytes_, cudaMemcpyDeviceToHost, stream)); }

 private:
  size_t bytes_;
  void* device_ = nullptr;
  void* host_ = nullptr;
};

// Buffers of one bucket and the graph that goes through them.
class Slot {
 public:
  Slot(nvinfer1::IExecutionContext& context, size_t batch, size_t face, size_t map, cudaStream_t stream)
      : stream_(stream), images_(batch * face), logits_(batch * 2) {
    if (map > 0) maps_.emplace(batch * map);
    queue(context);  // once before capturing: finishes compilation and allocation
    FPG_CUDA(cudaStreamSynchronize(stream));
    cudaGraph_t graph = nullptr;
    FPG_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    try {
      queue(context);
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    FPG_CUDA(cudaStreamEndCapture(stream, &graph));
    const cudaError_t code = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "cudaGraphInstantiate");
    FPG_CUDA(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming));
  }
  ~Slot() {
    if (done_ != nullptr) cudaEventDestroy(done_);
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  // The rest of the bucket keeps its previous images, whose outputs are not read.
  void start(const float* images, size_t values) {
    std::copy_n(images, values, images_.host());
    FPG_CUDA(cudaGraphLaunch(graph_, stream_));
    FPG_CUDA(cudaEventRecord(done_, stream_));
  }

  void finish(float* logits, size_t logit_values, float* maps, size_t map_values) {
    FPG_CUDA(cudaEventSynchronize(done_));
    std::copy_n(logits_.host(), logit_values, logits);
    if (maps_) std::copy_n(maps_->host(), map_values, maps);
  }

 private:
  void queue(nvinfer1::IExecutionContext& context) {
    images_.upload(stream_);
    const bool set = context.setTensorAddress("images", images_.device()) &&
                     context.setTensorAddress("logits", logits_.device()) &&
                     (!maps_ || context.setTensorAddress("activation_map", maps_->device()));
    if (!set || !context.enqueueV3(stream_)) throw std::runtime_error("TensorRT could not queue the network");
    logits_.download(stream_);
    if (maps_) maps_->download(stream_);
  }

  cudaStream_t stream_;
  Buffer images_, logits_;
  std::optional<Buffer> maps_;  // if the model has one
  cudaGraphExec_t graph_ = nullptr;
  cudaEvent_t done_ = nullptr;
};

struct Bucket {
  std::unique_ptr<nvinfer1::IExecutionContext> context;
  std::array<std::unique_ptr<Slot>, 2> slots;
};

class TensorRtEngine final : public Engine {
 public:
  TensorRtEngine(EngineSpec spec, std::unique_ptr<Logger> logger, std::unique_ptr<nvinfer1::IRuntime> runtime,
                 std::unique_ptr<nvinfer1::ICudaEngine> engine)
      : Engine(std::move(spec)), logger_(std::move(logger)), runtime_(std::move(runtime)), engine_(std::move(engine)) {
    for (int i = 0; i < engine_->getNbOptimizationProfiles(); ++i) {
      sizes_[engine_->getProfileShape("images", i, nvinfer1::OptProfileSelector::kMAX).d[0]] = i;
    }
  }

  void run(const float* images, int64_t batch, float* logits, float* activation_map) override {
    const int64_t largest = sizes_.rbegin()->first;
    struct Started {
      Slot* slot;
      int64_t from;
      int64_t count;
    };
    std::deque<Started> running;
    const auto finish = [&] {
      const Started& s = running.front();
      s.slot->finish(logits + 2 * s.from, static_cast<size_t>(2 * s.count), activation_map + map() * s.from,
                     static_cast<size_t>(map() * s.count));
      running.pop_front();
    };
    size_t turn = 0;
    for (int64_t from = 0; from < batch; from += largest, ++turn) {
      const int64_t count = std::min(largest, batch - from);
      Slot& slot = *bucket(count).slots[turn % 2];
      if (running.size() == 2) finish();
      slot.start(images + face() * from, static_cast<size_t>(face() * count));
      running.push_back({&slot, from, count});
    }
    while (!running.empty()) finish();
  }

 private:
  int64_t face() const { return int64_t{3} * spec().image_size * spec().image_size; }
  int64_t map() const { return int64_t{spec().map_size[0]} * spec().map_size[1]; }

  // Made when it is first needed: activations take memory.
  Bucket& bucket(int64_t count) {
    const auto found = sizes_.lower_bound(count);
    const auto [size, profile] = found == sizes_.end() ? *sizes_.rbegin() : *found;
    Bucket& made = buckets_[size];
    if (made.context) return made;
    std::unique_ptr<nvinfer1::IExecutionContext> context(engine_->createExecutionContext());
    if (!context) throw std::runtime_error("TensorRT has no memory for batches of " + std::to_string(size));
    const nvinfer1::Dims4 shape(size, 3, spec().image_size, spec().image_size);
    if (!context->setOptimizationProfileAsync(profile, stream_.get()) || !context->setInputShape("images", shape)) {
      throw std::runtime_error("TensorRT refuses batches of " + std::to_string(size) + ": " + logger_->text);
    }
    for (auto& slot : made.slots) {
      slot = std::make_unique<Slot>(*context, static_cast<size_t>(size), static_cast<size_t>(face()), static_cast<size_t>(map()),
                                    stream_.get());
    }
    made.context = std::move(context);
    return made;
  }

  std::unique_ptr<Logger> logger_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  Stream stream_;
  std::map<int64_t, int> sizes_;  // largest batch of each profile
  std::map<int64_t, Bucket> buckets_;
};

// The name of the GPU. Throws InputError if the engine cannot run on it, or there is none: TensorRT 11 would crash.
std::string gpu_name(const std::string& model, const EngineSpec& spec) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess || count == 0) {
    const std::string why = code == cudaSuccess ? "no GPU" : cudaGetErrorString(code);
    throw InputError(model, "TensorRT engines run on NVIDIA GPUs: none can be used here (" + why + "); use an openvino model");
  }
  int device = 0;
  cudaDeviceProp properties{};
  FPG_CUDA(cudaGetDevice(&device));
  FPG_CUDA(cudaGetDeviceProperties(&properties, device));
  const std::string capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  if (!spec.compute_capability.empty() && spec.compute_capability != capability) {
    throw InputError(model, "was built for compute capability " + spec.compute_capability + ", " + properties.name + " has " +
                                capability + ": export again here");
  }
  return std::string(properties.name) + " (" + capability + ")";
}

}  // namespace

std::unique_ptr<Engine> load_tensorrt(const std::string& model, EngineSpec spec) {
  if (spec.backend != kBackend) {
    throw InputError(model, "is for " + spec.backend + ", this program was built with " + kBackend);
  }
  const std::string gpu = gpu_name(model, spec);
  std::ifstream file(model, std::ios::binary);
  const std::string plan((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto logger = std::make_unique<Logger>();
  std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(*logger));
  if (!runtime) throw InputError(model, "TensorRT cannot start: " + logger->text);
#if defined(TRT_MAJOR_RTX)
  const std::string version =
      std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) + "." + std::to_string(NV_TENSORRT_PATCH);
  if (!spec.package_version.empty() && (spec.package_version + ".").rfind(version + ".", 0) != 0) {
    throw InputError(
        model, "was built by " + spec.package + " " + spec.package_version + ", this program has " + version + ": export again");
  }
  uint64_t reasons = 0;
  if (runtime->getEngineValidity(plan.data(), static_cast<int64_t>(plan.size()), &reasons) ==
      nvinfer1::EngineValidity::kINVALID) {
    throw InputError(model, "cannot run on " + gpu + " (diagnostics " + std::to_string(reasons) + "; bit 2: compute capability)");
  }
#endif
  std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
  if (!engine) {
    throw InputError(model, "TensorRT " + std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) +
                                " cannot load it on " + gpu + " (built by " + spec.package + " " + spec.package_version +
                                "): export again on this machine. " + logger->text);
  }
  const nvinfer1::Dims shape = engine->getTensorShape("images");
  if (shape.nbDims != 4 || shape.d[1] != 3 || shape.d[2] != spec.image_size || shape.d[3] != spec.image_size ||
      engine->getNbOptimizationProfiles() < 1) {
    throw InputError(model, "does not take the images that its sidecar says");
  }
  return std::make_unique<TensorRtEngine>(std::move(spec), std::move(logger), std::move(runtime), std::move(engine));
}

}  // namespace fpg::runtime
