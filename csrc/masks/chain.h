// The Python description of a mask chain.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/python/bindings.h"
#include "masks/masks.h"

namespace fpg::python {

inline MaskLimits limits_of(const std::array<int32_t, 6>& v) { return {v[0], v[1], v[2], v[3], v[4], v[5]}; }

inline Elastic elastic_of(float amplitude, const std::vector<float>& weights) {
  if (weights.empty() || weights.size() > kElasticRadius + 1)
    throw InvalidArgument("elastic: expected 1 to " + std::to_string(kElasticRadius + 1) + " weights, got " +
                          std::to_string(weights.size()));
  Elastic elastic;
  elastic.amplitude = amplitude;
  elastic.radius = static_cast<int32_t>(weights.size()) - 1;
  std::copy(weights.begin(), weights.end(), elastic.weights);
  return elastic;
}

// The common arguments of the mask operations; memory is given by addresses.
struct Chain {
  Address items;
  int64_t count;
  std::array<int32_t, 6> limits;
  float amplitude;
  std::vector<float> weights;
  Address scratch;
  int64_t slots;

  MaskChain view(const Target& target) const {
    MaskChain chain;
    chain.items = pointer<const MaskItem>(items);
    chain.count = count;
    chain.limits = limits_of(limits);
    chain.elastic = elastic_of(amplitude, weights);
    chain.scratch = pointer<void>(scratch);
    chain.scratch_slots = slots;
    chain.device = target.device;
    return chain;
  }
};

}  // namespace fpg::python
