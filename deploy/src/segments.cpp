// Intervals from blocks of frames, change points, cuts, and sharpness: the twin of
// fpg/findings/{intervals,segments,shots,limits}.py.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "findings.h"

namespace fpg::runtime {
namespace {

using Values = std::vector<double>;
using Range = std::pair<size_t, size_t>;  // half open

struct SegmentTables {
  size_t shortest, fewest, most;
  double seconds, still, largest_logit;
  std::vector<std::array<double, 2>> bounds;
};

const SegmentTables& tables() {
  static const SegmentTables found = [] {
    const auto& t = findings_tables()["segments"];
    return SegmentTables{t["shortest"], t["fewest"], t["most"], t["seconds"], t["still"], t["largest_logit"], t["bounds"]};
  }();
  return found;
}

double block_mean(const Values& values, size_t start, size_t end) {
  double sum = 0;
  for (size_t i = start; i < end; ++i) sum += values[i];
  return sum / static_cast<double>(end - start);
}

// The value that the statistic of so many groups without a change exceeds in 5 % of cases.
double bound(size_t count) {
  const auto& rows = tables().bounds;
  const auto x = static_cast<double>(count);
  if (x <= rows.front()[0]) return rows.front()[1];
  for (size_t i = 1; i < rows.size(); ++i) {
    const auto &low = rows[i - 1], &high = rows[i];
    if (x <= high[0]) return low[1] + (high[1] - low[1]) * (x - low[0]) / (high[0] - low[0]);
  }
  return rows.back()[1];
}

struct Change {
  double statistic = 0;
  size_t first = 0, last = 0;
};

Change scan(const Values& values) {
  const size_t n = values.size(), shortest = tables().shortest;
  const double mean = block_mean(values, 0, n);
  Values sums = {0};
  double total = 0;
  for (const double value : values) {
    sums.push_back(sums.back() + value - mean);
    total += (value - mean) * (value - mean);
  }
  if (!(total > tables().still * static_cast<double>(n))) return {};
  double most = -1;
  Change best;
  for (size_t i = 0; i <= n; ++i) {
    if (i != 0 && i < shortest) continue;
    for (size_t j = i + shortest; j <= n; ++j) {
      const size_t length = j - i;
      if (n - length < shortest || (j != n && n - j < shortest)) continue;
      const double apart = sums[j] - sums[i];
      const double gain = apart * apart * static_cast<double>(n) / static_cast<double>(length * (n - length));
      if (gain > most) {
        most = gain;
        best.first = i;
        best.last = j;
      }
    }
  }
  best.statistic = std::sqrt(most * static_cast<double>(n - 2) / std::max(total - most, 1e-9 * total));
  return best;
}

size_t group_size(size_t frames, double seconds) {
  const size_t fewest = (frames + tables().most - 1) / tables().most;
  if (!(seconds > 0)) return fewest;
  const double needed = std::ceil(tables().seconds * static_cast<double>(frames - 1) / seconds - 1e-6);
  return std::max(fewest, needed > 0 ? static_cast<size_t>(std::min(needed, 1e9)) : 0);
}

void parts(const Values& values, const Values& times, size_t start, size_t end, std::vector<Range>& found) {
  const size_t frames = end - start, count = frames / group_size(frames, times[end - 1] - times[start]);
  Change change;
  std::vector<size_t> edges;
  if (count >= tables().fewest) {
    Values means;
    for (size_t g = 0; g <= count; ++g) edges.push_back(start + frames * g / count);
    for (size_t g = 0; g < count; ++g) means.push_back(block_mean(values, edges[g], edges[g + 1]));
    change = scan(means);
  }
  if (edges.empty() || change.statistic <= bound(count)) {
    found.emplace_back(start, end);
    return;
  }
  const size_t a = edges[change.first], b = edges[change.last];
  for (const auto& [low, high] : {Range{start, a}, Range{a, b}, Range{b, end}}) {
    if (low < high) parts(values, times, low, high, found);
  }
}

// How far the mean of a part lies above that of the rest; nullopt if there is no rest.
std::optional<double> stands_out_by(const Values& odds, const Range& part) {
  Values rest(odds.begin(), odds.begin() + static_cast<std::ptrdiff_t>(part.first));
  rest.insert(rest.end(), odds.begin() + static_cast<std::ptrdiff_t>(part.second), odds.end());
  if (rest.empty()) return std::nullopt;
  return block_mean(odds, part.first, part.second) - block_mean(rest, 0, rest.size());
}

}  // namespace

Interval mean_interval(const std::vector<double>& scores) {
  static const Values quantiles = findings_tables()["intervals"]["t"];
  const size_t n = scores.size();
  if (n < 2) return std::nullopt;
  const auto count = std::max<size_t>(2, static_cast<size_t>(std::floor(std::sqrt(static_cast<double>(n)) + 0.5)));
  Values means;
  for (size_t b = 0; b < count; ++b) means.push_back(block_mean(scores, n * b / count, n * (b + 1) / count));
  const double middle = block_mean(means, 0, count);
  double squares = 0;
  for (const double mean : means) squares += (mean - middle) * (mean - middle);
  const double spread = std::sqrt(squares / static_cast<double>(count - 1) / static_cast<double>(count));
  const double half = quantiles[std::min(count - 1, quantiles.size()) - 1] * spread, mean = block_mean(scores, 0, n);
  return std::array<double, 2>{std::max(0.0, mean - half), std::min(1.0, mean + half)};
}

double log_odds(double score) {
  const double edge = 1 / (1 + std::exp(tables().largest_logit)), p = std::clamp(score, edge, 1 - edge);
  return std::log(p) - std::log1p(-p);
}

std::vector<Segment> find_segments(const std::vector<double>& scores, const std::vector<double>& times,
                                   const std::vector<int64_t>& indices, double threshold) {
  if (scores.empty()) return {};
  Values odds;
  for (const double score : scores) odds.push_back(log_odds(score));
  std::vector<Range> ranges, suspicious;
  parts(odds, times, 0, odds.size(), ranges);
  const double counts = std::log(findings_tables()["odds"]["moderate"].get<double>());
  for (Range range : ranges) {
    const std::optional<double> apart = stands_out_by(odds, range);
    if (block_mean(scores, range.first, range.second) < threshold && !(apart && *apart >= counts)) continue;
    if (!suspicious.empty() && suspicious.back().second == range.first) {
      range.first = suspicious.back().first;
      suspicious.pop_back();
    }
    suspicious.push_back(range);
  }
  std::vector<Segment> found;
  for (const auto& [a, b] : suspicious) {
    const double score = block_mean(scores, a, b);
    found.push_back({times[a], times[b - 1], indices[a], indices[b - 1], static_cast<int64_t>(b - a), score, score >= threshold,
                     stands_out_by(odds, {a, b})});
  }
  return found;
}

double sharpness_of(const float* input, int size) {
  const auto side = static_cast<size_t>(size), plane = side * side;
  std::vector<double> grey(plane);
  for (size_t i = 0; i < plane; ++i)
    grey[i] = 255.0 * (0.299 * static_cast<double>(input[i]) + 0.587 * static_cast<double>(input[plane + i]) +
                       0.114 * static_cast<double>(input[2 * plane + i]));
  Values laplacian;
  for (size_t y = 1; y + 1 < side; ++y) {
    for (size_t x = 1; x + 1 < side; ++x) {
      const double* at = &grey[y * side + x];
      laplacian.push_back(*(at - side) + *(at + side) + *(at - 1) + *(at + 1) - 4.0 * *at);
    }
  }
  if (laplacian.empty()) return 0;
  const double mean = block_mean(laplacian, 0, laplacian.size());
  double squares = 0;
  for (const double value : laplacian) squares += (value - mean) * (value - mean);
  return squares / static_cast<double>(laplacian.size());
}

CutFinder::Grid CutFinder::grid_of(const Image& image) {
  static const auto side = findings_tables()["shots"]["grid"].get<int>(), steps = findings_tables()["shots"]["levels"].get<int>();
  Grid grid;
  grid.colours.resize(static_cast<size_t>(steps * steps * steps));
  for (int i = 0; i < side; ++i) {
    for (int j = 0; j < side; ++j) {
      const auto y = static_cast<int64_t>(2 * i + 1) * image.height / (2 * side);
      const auto x = static_cast<int64_t>(2 * j + 1) * image.width / (2 * side);
      const uint8_t* pixel = image.row(static_cast<int>(y)) + 3 * x;
      const auto step = [&](int channel) { return static_cast<size_t>(pixel[channel] * steps / 256); };
      const auto n = static_cast<size_t>(steps);
      ++grid.colours[(step(0) * n + step(1)) * n + step(2)];
      grid.brightness.push_back(pixel[0] + pixel[1] + pixel[2]);
    }
  }
  return grid;
}

double CutFinder::agreement(const Grid& one, const Grid& other) {
  int64_t alike = 0;
  for (size_t i = 0; i < one.colours.size(); ++i) alike += std::min(one.colours[i], other.colours[i]);
  const auto n = static_cast<int64_t>(one.brightness.size());
  int64_t a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < one.brightness.size(); ++i) {
    const int64_t x = one.brightness[i], y = other.brightness[i];
    a += x;
    b += y;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  const int64_t u = n * aa - a * a, v = n * bb - b * b;
  const double correlation = u == 0 || v == 0 ? 0
                                              : static_cast<double>(n * ab - a * b) /
                                                    (std::sqrt(static_cast<double>(u)) * std::sqrt(static_cast<double>(v)));
  return std::max(static_cast<double>(alike) / static_cast<double>(n), correlation);
}

bool CutFinder::operator()(const Image& image) {
  static const auto& table = findings_tables()["shots"];
  static const double least = table["least"], usual = table["alike"], times = table["times"];
  static const int enough = table["seen"];
  Grid now = grid_of(image);
  const std::optional<Grid> before = std::exchange(before_, now);
  if (!before) return false;
  const double alike = agreement(now, *before), change = 1 - alike;
  const bool cut = alike < least || (seen_ >= enough && alike < usual && change > times * largest_);
  largest_ = cut ? 0 : std::max(largest_, change);
  seen_ = cut ? 0 : seen_ + 1;
  return cut;
}

}  // namespace fpg::runtime
