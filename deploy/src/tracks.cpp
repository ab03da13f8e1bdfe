#include "tracks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "constants.h"

namespace fpg::runtime {
namespace {

// Of two centres, in units of the faces' mean size; infinite where the sizes differ too much.
double distance(const Box& a, const Box& b) {
  const double one = face_size(a), other = face_size(b);
  if (std::max(one, other) > face_constants().track_growth * std::min(one, other)) return std::numeric_limits<double>::infinity();
  const double x = (a.x0 + a.x1 - b.x0 - b.x1) / 2, y = (a.y0 + a.y1 - b.y0 - b.y1) / 2;
  return 2 * std::hypot(x, y) / (one + other);
}

}  // namespace

std::vector<int> FaceTracker::next(const std::vector<Box>& boxes, bool cut) {
  const auto gone = [&](const Track& track) { return cut || position_ - track.seen > face_constants().track_patience + 1; };
  tracks_.erase(std::remove_if(tracks_.begin(), tracks_.end(), gone), tracks_.end());
  std::vector<std::tuple<double, size_t, size_t>> pairs;
  for (size_t t = 0; t < tracks_.size(); ++t) {
    for (size_t b = 0; b < boxes.size(); ++b) pairs.emplace_back(distance(tracks_[t].box, boxes[b]), t, b);
  }
  std::sort(pairs.begin(), pairs.end());
  constexpr size_t none = std::numeric_limits<size_t>::max();
  std::vector<size_t> linked(boxes.size(), none);
  std::vector<bool> taken(tracks_.size(), false);
  for (const auto& [apart, t, b] : pairs) {
    if (apart <= face_constants().track_reach && !taken[t] && linked[b] == none) {
      linked[b] = t;
      taken[t] = true;
    }
  }
  std::vector<int> numbers;
  for (size_t b = 0; b < boxes.size(); ++b) {
    if (linked[b] == none) {
      linked[b] = tracks_.size();
      tracks_.push_back({count_++, boxes[b], position_});
    }
    Track& track = tracks_[linked[b]];
    track.box = boxes[b];
    track.seen = position_;
    numbers.push_back(track.number);
  }
  ++position_;
  return numbers;
}

}  // namespace fpg::runtime
