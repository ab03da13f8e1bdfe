#include "tracker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace fpg::runtime {
namespace {

constexpr double kReach = 1.0;    // largest distance of two centres, in units of the faces' mean size
constexpr double kGrowth = 2.0;   // largest ratio of two sizes
constexpr int64_t kPatience = 2;  // frames in a row that a face may be missing from

double distance(const Box& a, const Box& b) {
  const double one = std::sqrt((a[2] - a[0]) * (a[3] - a[1])), other = std::sqrt((b[2] - b[0]) * (b[3] - b[1]));
  if (std::max(one, other) > kGrowth * std::min(one, other)) return std::numeric_limits<double>::infinity();
  const double x = (a[0] + a[2] - b[0] - b[2]) / 2, y = (a[1] + a[3] - b[1] - b[3]) / 2;
  return 2 * std::hypot(x, y) / (one + other);
}

}  // namespace

std::vector<int> Tracker::next(const std::vector<Box>& boxes, bool cut) {
  const auto gone = [&](const Track& track) { return cut || position_ - track.seen > kPatience + 1; };
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
    if (apart <= kReach && !taken[t] && linked[b] == none) {
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
