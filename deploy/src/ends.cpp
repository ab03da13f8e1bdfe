#include "ends.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <vector>

namespace fpg::runtime {

bool lacks_ogg_end(const std::string& path) {
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  std::set<uint32_t> begun, ended;
  int64_t position = 0;
  while (position < size) {
    std::array<uint8_t, 27> head{};
    std::array<uint8_t, 255> segments{};
    file.seekg(position);
    if (!file.read(reinterpret_cast<char*>(head.data()), head.size())) return true;
    if (std::memcmp(head.data(), "OggS", 4) != 0) break;  // the demuxer decides whether what follows matters
    if (!file.read(reinterpret_cast<char*>(segments.data()), head[26])) return true;
    const uint32_t serial = head[14] | head[15] << 8 | head[16] << 16 | static_cast<uint32_t>(head[17]) << 24;
    if (head[5] & 2) {
      begun.insert(serial);
      ended.erase(serial);
    }
    if (head[5] & 4) ended.insert(serial);
    position += 27 + head[26] + std::accumulate(segments.begin(), segments.begin() + head[26], int64_t{0});
  }
  return position > size || !std::includes(ended.begin(), ended.end(), begun.begin(), begun.end());
}

std::optional<int64_t> transport_stream_end(const std::string& path) {
  constexpr int64_t kBlock = 1 << 16;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  std::array<uint8_t, 4 * 192> start{};
  file.read(reinterpret_cast<char*>(start.data()), start.size());
  const auto got = static_cast<size_t>(file.gcount());
  file.clear();
  int64_t length = 0;
  for (const auto& [n, at] : {std::array<size_t, 2>{188, 0}, {192, 4}}) {  // plain packets, and those with time codes (M2TS)
    const bool synced = got > 2 * n + at && start[at] == 0x47 && start[n + at] == 0x47 && start[2 * n + at] == 0x47;
    if (synced && length == 0) length = static_cast<int64_t>(n);
  }
  if (length == 0) return std::nullopt;
  int64_t end = size;
  std::vector<uint8_t> block(kBlock);
  while (end > 0) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    file.seekg(begin);
    file.read(reinterpret_cast<char*>(block.data()), end - begin);
    if (file.gcount() != end - begin) return std::nullopt;
    while (end > begin && block[static_cast<size_t>(end - 1 - begin)] == 0) --end;
    if (end > begin) break;
  }
  const int64_t whole = (end + length - 1) / length * length;
  return whole < size ? std::optional(whole) : std::nullopt;
}

}  // namespace fpg::runtime
