// From scores to a finding: the C++ twin of fpg/findings, with the words and constants of fpg/findings/tables.json.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "constants.h"
#include "fpg_runtime/runtime.h"
#include "image.h"

namespace fpg::runtime {

const nlohmann::ordered_json& findings_tables();

// A level as a sentence, and what it means if that is easily misread.
std::string stated(const std::string& level);

// A score's interval in words; empty without one.
std::string interval_text(const Interval& interval);

// All suspicious segments in words; empty without one.
std::string suspicious(const std::vector<TrackScore>& tracks);

// A number as findings print it: "%.3g".
std::string short_number(double value);

// The level of a score: inconclusive if it would contradict the verdict, not calibrated without a reliability.
std::string level_of(double score, double threshold, const std::optional<Reliability>& reliability);

// The levels of several models combined.
std::string combined_level(const std::vector<std::string>& levels);

// 95 % interval of the mean of frame scores in order of time (fpg/findings/intervals.py).
Interval mean_interval(const std::vector<double>& scores);

// ln(p / (1 - p)), limited to what float32 scores can distinguish.
double log_odds(double score);

// The weighted mean of the log-odds, as a probability (fpg/findings/fusion.py).
double fused(const std::vector<double>& scores, const std::vector<double>& weights);

// The suspicious parts of a track (fpg/findings/segments.py).
std::vector<Segment> find_segments(const std::vector<double>& scores, const std::vector<double>& times,
                                   const std::vector<int64_t>& indices, double threshold);

// Variance of the Laplacian of a network's input, float32 [3, size, size] in [0, 1], in grey (fpg/findings/limits.py).
double sharpness_of(const float* input, int size);

// Level, limits and text of a judgement with a score (fpg/findings/finding.py).
Finding conclude_finding(const Judgement& judgement, const Conditions& conditions, const std::vector<TrackScore>& tracks,
                         const std::vector<ModelScore>& models);

// Tells for every frame whether there is a cut before it (fpg/findings/shots.py).
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
