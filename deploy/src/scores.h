// From face scores to a video score: the twin of fpg/runtime/scores.py, which says the rules.
#pragma once

#include <optional>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// Which faces of one frame are judged, by their boxes.
std::vector<bool> faces_that_count(const std::vector<Box>& boxes);

// Maximum over the faces that count; nullopt without a face. With `model`, of that model's scores instead of the fused ones.
std::optional<double> frame_score(const FrameScore& frame, std::optional<size_t> model = std::nullopt);

// Mean over the frames with a face; nullopt when no frame has one.
std::optional<double> video_score(const std::vector<FrameScore>& frames, std::optional<size_t> model = std::nullopt);

}  // namespace fpg::runtime
