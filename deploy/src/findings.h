// From scores to a finding: the C++ twin of fpg/findings, with the words and constants of fpg/findings/tables.json.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fpg_runtime/runtime.h"
#include "image.h"

namespace fpg::runtime {

const nlohmann::ordered_json& findings_tables();

// A text of the tables with its {names} replaced.
using Words = std::initializer_list<std::pair<std::string, std::string>>;
std::string filled(std::string text, Words values);

// A level as a sentence, with what it means where that is easily misread.
std::string stated(const std::string& level);

// A score's interval in words; empty without one.
std::string interval_text(const Interval& interval);

// All suspicious segments in words; empty without one.
std::string suspicious(const std::vector<TrackScore>& tracks);

// "%.3g"
std::string short_number(double value);

// The level of a score: inconclusive where it would contradict the verdict, not calibrated without a card's word.
std::string level_of(double score, double threshold, const std::optional<Reliability>& reliability);

// What several models' levels say together.
std::string together(const std::vector<std::string>& levels);

// 95 % interval of the mean of frame scores in order of time (fpg/findings/intervals.py).
Interval mean_interval(const std::vector<double>& scores);

// ln(p / (1 - p)) within what float32 scores can tell.
double log_odds(double score);

// The mean of log-odds by weights, as a probability (fpg/findings/fusion.py).
double fused(const std::vector<double>& scores, const std::vector<double>& weights);

// The suspicious parts of a track (fpg/findings/segments.py).
std::vector<Segment> find_segments(const std::vector<double>& scores, const std::vector<double>& times,
                                   const std::vector<int64_t>& indices, double threshold);

// Variance of the Laplacian of a network's input, float32 [3, size, size] in [0, 1], in grey (fpg/findings/limits.py).
double sharpness_of(const float* input, int size);

// Tells of every frame whether a cut lies before it (fpg/findings/shots.py).
class CutFinder {
 public:
  bool operator()(const Image& image);

 private:
  struct Grid {
    std::vector<int64_t> colours, brightness;
  };
  static Grid grid_of(const Image& image);
  static double agreement(const Grid& one, const Grid& other);
  std::optional<Grid> before_;
  double largest_ = 0;  // change in the shot so far
  int seen_ = 0;
};

}  // namespace fpg::runtime
