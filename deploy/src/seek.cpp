// Reads the wanted frames without decoding what lies between them: the twin of fpg/data/seek.py.

#include <algorithm>
#include <utility>

#include "containers.h"
#include "video.h"

namespace fpg::runtime {
namespace {

// What to decode for the frames of these indices, and the time stamps of all frames in order of time. `reordered`: frames are
// displayed in a different order from their packets.
std::pair<std::vector<PacketRange>, std::vector<int64_t>> plan(const std::vector<PacketNote>& notes,
                                                               const std::vector<int64_t>& indices, bool reordered) {
  std::vector<int64_t> shown;
  for (size_t i = 0; i < notes.size(); ++i) {
    if (notes[i].shown) shown.push_back(static_cast<int64_t>(i));
  }
  const auto time = [&](int64_t position) { return notes[static_cast<size_t>(position)].time; };
  std::stable_sort(shown.begin(), shown.end(), [&](int64_t a, int64_t b) { return time(a) < time(b); });
  if (reordered && shown.size() > 2 && std::is_sorted(shown.begin(), shown.end()))
    throw SeekFailed();  // these are not presentation times (AVI has none)
  std::vector<int64_t> times;
  for (const int64_t position : shown) times.push_back(time(position));
  if (indices.back() >= static_cast<int64_t>(times.size()) || std::adjacent_find(times.begin(), times.end()) != times.end())
    throw SeekFailed();
  std::vector<PacketRange> ranges;
  for (const int64_t index : indices) {
    const int64_t last = shown[static_cast<size_t>(index)];
    int64_t first = last;
    while (first > 0 && !(notes[static_cast<size_t>(first)].key && time(first) <= time(last))) --first;
    if (!ranges.empty() && first <= ranges.back().last + 1) {
      ranges.back().last = std::max(last, ranges.back().last);
    } else {
      ranges.push_back({first, last, time(first)});
    }
  }
  return {std::move(ranges), std::move(times)};
}

// Passes the wanted frames to `take` and counts them in `given`; false once `take` wants no more. Throws SeekFailed.
bool decode_ranges(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                   const Stopped& stopped, size_t& given) {
  Container packets(path, reading_constants().containers, reading_constants().max_video_pixels, notes);
  if (!packets.self_contained()) throw SeekFailed();
  const auto [ranges, times] = plan(packets.notes(), indices, packets.reorders());
  Container container(path, reading_constants().containers, reading_constants().max_video_pixels, notes);
  for (const PacketRange& range : ranges) {
    const bool goes_on = container.decode(range, [&](const AVFrame* frame) {
      if (stopped && stopped()) return false;
      if (frame->pts == AV_NOPTS_VALUE) throw SeekFailed();
      if (frame->pts < range.from_time) return true;
      if (damaged(frame)) throw SeekFailed();
      if (given == indices.size()) return true;
      const int64_t index = indices[given], time = times[static_cast<size_t>(index)];
      if (frame->pts != time) return true;
      ++given;
      return take({index, container.seconds(time) - container.seconds(times[0]), container.shown(frame)});
    });
    if (!goes_on) return false;
  }
  if (given < indices.size()) throw SeekFailed();
  return true;
}

}  // namespace

void read_needed_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                        const Stopped& stopped) {
  if (indices.empty()) return;
  size_t given = 0;
  try {
    decode_ranges(path, indices, take, notes, stopped, given);
  } catch (const SeekFailed&) {
    read_frames(path, {indices.begin() + static_cast<std::ptrdiff_t>(given), indices.end()}, take, notes, stopped);
  }
}

}  // namespace fpg::runtime
