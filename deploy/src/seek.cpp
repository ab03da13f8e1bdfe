// Wanted frames without decoding what lies between them: the twin of fpg/data/seek.py.

#include <algorithm>
#include <utility>

#include "container.h"
#include "video.h"

namespace fpg::runtime {
namespace {

// What to decode for frames by their indices in order of time, and the time stamps of all frames in that order; `reordered`:
// theirs is not the packets' order.
std::pair<std::vector<Stretch>, std::vector<int64_t>> plan(const std::vector<PacketNote>& notes,
                                                           const std::vector<int64_t>& indices, bool reordered) {
  std::vector<int64_t> shown;
  for (size_t i = 0; i < notes.size(); ++i) {
    if (notes[i].shown) shown.push_back(static_cast<int64_t>(i));
  }
  const auto time = [&](int64_t position) { return notes[static_cast<size_t>(position)].time; };
  std::stable_sort(shown.begin(), shown.end(), [&](int64_t a, int64_t b) { return time(a) < time(b); });
  if (reordered && shown.size() > 2 && std::is_sorted(shown.begin(), shown.end()))
    throw Stumbled();  // those are no times of presentation (AVI has none)
  std::vector<int64_t> times;
  for (const int64_t position : shown) times.push_back(time(position));
  if (indices.back() >= static_cast<int64_t>(times.size()) || std::adjacent_find(times.begin(), times.end()) != times.end())
    throw Stumbled();
  std::vector<Stretch> stretches;
  for (const int64_t index : indices) {
    const int64_t last = shown[static_cast<size_t>(index)];
    int64_t first = last;
    while (first > 0 && !(notes[static_cast<size_t>(first)].key && time(first) <= time(last))) --first;
    if (!stretches.empty() && first <= stretches.back().last + 1) {
      stretches.back().last = std::max(last, stretches.back().last);
    } else {
      stretches.push_back({first, last, time(first)});
    }
  }
  return {std::move(stretches), std::move(times)};
}

// Gives the wanted frames and says in `given` how many; false when `take` wants no more. Throws Stumbled.
bool decode_stretches(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                      const Stopped& stopped, size_t& given) {
  Container packets(path, kVideoContainers, kMaxVideoPixels, notes);
  if (!packets.self_contained()) throw Stumbled();
  const auto [stretches, times] = plan(packets.notes(), indices, packets.reorders());
  Container container(path, kVideoContainers, kMaxVideoPixels, notes);
  for (const Stretch& stretch : stretches) {
    const bool goes_on = container.decode(stretch, [&](const AVFrame* frame) {
      if (stopped && stopped()) return false;
      if (frame->pts == AV_NOPTS_VALUE) throw Stumbled();
      if (frame->pts < stretch.from_time) return true;
      if (damaged(frame)) throw Stumbled();
      if (given == indices.size()) return true;
      const int64_t index = indices[given], time = times[static_cast<size_t>(index)];
      if (frame->pts != time) return true;
      ++given;
      return take({index, container.seconds(time) - container.seconds(times[0]), container.shown(frame)});
    });
    if (!goes_on) return false;
  }
  if (given < indices.size()) throw Stumbled();
  return true;
}

}  // namespace

void read_needed_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                        const Stopped& stopped) {
  if (indices.empty()) return;
  size_t given = 0;
  try {
    decode_stretches(path, indices, take, notes, stopped, given);
  } catch (const Stumbled&) {
    read_frames(path, {indices.begin() + static_cast<std::ptrdiff_t>(given), indices.end()}, take, notes, stopped);
  }
}

}  // namespace fpg::runtime
