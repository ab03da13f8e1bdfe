// Validates the arguments of the mask chain once and picks the device.
#include <string>

#include "backends_masks.h"
#include "fpg/error.h"
#include "math/mask_work.h"

namespace fpg {
namespace {

void require(bool ok, const std::string& message) {
  if (!ok) throw InvalidArgument(message);
}

template <class T>
void check_view(const char* name, const RaggedView<T>& view, const MaskChain& chain, int32_t height, int32_t width) {
  const std::string start = std::string(name) + ": expected ";
  require(view.items == chain.count, start + std::to_string(chain.count) + " items, got " + std::to_string(view.items));
  require(view.channels == 1, start + "1 channel, got " + std::to_string(view.channels));
  require(view.device == chain.device, start + "the device of the items");
  require(view.data != nullptr && view.offsets != nullptr && view.sizes != nullptr, start + "data, got a null pointer");
  require(view.max_height <= height && view.max_width <= width,
          start + "sizes up to " + std::to_string(height) + " x " + std::to_string(width) + ", got " +
              std::to_string(view.max_height) + " x " + std::to_string(view.max_width));
}

void check_chain(const MaskChain& chain, const Execution& execution) {
  const MaskLimits& l = chain.limits;
  require(chain.count >= 0, "items: expected a count of at least 0, got " + std::to_string(chain.count));
  require(execution.threads >= 1, "threads: expected at least 1, got " + std::to_string(execution.threads));
  if (chain.count == 0) return;
  require(chain.items != nullptr && chain.scratch != nullptr, "items, scratch: expected data, got a null pointer");
  require(l.height >= 1 && l.width >= 1 && l.height <= 32767 && l.width <= 32767, "limits: expected images of 1 to 32767 pixels");
  require(l.small_height >= 0 && l.small_width >= 0 && l.small_height <= 32767 && l.small_width <= 32767 && l.out_height >= 0 &&
              l.out_width >= 0,
          "limits: expected sizes that are not negative");
  require(
      chain.elastic.radius >= 0 && chain.elastic.radius <= kElasticRadius,
      "elastic: expected a radius of 0 to " + std::to_string(kElasticRadius) + ", got " + std::to_string(chain.elastic.radius));
  require(chain.elastic.amplitude >= 0 && chain.elastic.amplitude <= 32767,
          "elastic: expected an amplitude of 0 to 32767 pixels");
  const int64_t slots = chain.device.type == DeviceType::cpu && execution.threads < chain.count ? execution.threads : chain.count;
  require(chain.scratch_slots >= slots,
          "scratch: expected " + std::to_string(slots) + " slots, got " + std::to_string(chain.scratch_slots));
}

bool on_cpu(const MaskChain& chain) { return chain.device.type == DeviceType::cpu; }

}  // namespace

size_t mask_scratch_bytes(const MaskLimits& limits, const Elastic& elastic) { return MaskLayout(limits, elastic).bytes; }

void face_masks(const MaskChain& chain, const RaggedView<uint8_t>& out, const Execution& execution) {
  check_chain(chain, execution);
  if (chain.count == 0) return;
  check_view("out", out, chain, chain.limits.height, chain.limits.width);
  (on_cpu(chain) ? cpu::face_masks : cuda::face_masks)(chain, out, execution);
}

void warp_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<uint8_t>& out,
                const Execution& execution) {
  check_chain(chain, execution);
  if (chain.count == 0) return;
  check_view("in", in, chain, chain.limits.height, chain.limits.width);
  check_view("out", out, chain, chain.limits.height, chain.limits.width);
  (on_cpu(chain) ? cpu::warp_masks : cuda::warp_masks)(chain, in, out, execution);
}

void feather_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out,
                   const Execution& execution) {
  check_chain(chain, execution);
  if (chain.count == 0) return;
  check_view("in", in, chain, chain.limits.height, chain.limits.width);
  check_view("out", out, chain, chain.limits.out_height, chain.limits.out_width);
  (on_cpu(chain) ? cpu::feather_masks : cuda::feather_masks)(chain, in, out, execution);
}

void soft_masks(const MaskChain& chain, const RaggedView<float>& out, const Execution& execution) {
  check_chain(chain, execution);
  if (chain.count == 0) return;
  check_view("out", out, chain, chain.limits.out_height, chain.limits.out_width);
  (on_cpu(chain) ? cpu::soft_masks : cuda::soft_masks)(chain, out, execution);
}

}  // namespace fpg
