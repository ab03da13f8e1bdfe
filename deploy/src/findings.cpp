// How strong the evidence is, and what limits it: the twin of fpg/findings/{strength,limits,fusion,finding}.py.

#include "findings.h"

#include <findings_tables.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "constants.h"
#include "scores.h"

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;

constexpr const char *kStrong = "strong", *kModerate = "moderate", *kInconclusive = "inconclusive", *kLittle = "little",
                     *kNone = "none", *kNotCalibrated = "not_calibrated";
constexpr const char* kScale[] = {kNone, kLittle, kInconclusive, kModerate, kStrong};
constexpr int kMiddle = 2;

std::string say(const std::string& key, Words values = {}) { return filled(findings_tables()["text"][key], values); }

// From none to strong, -2 to 2.
int place_of(const std::string& level) {
  return static_cast<int>(std::find(std::begin(kScale), std::end(kScale), level) - std::begin(kScale)) - kMiddle;
}

std::string level_at(int place) { return kScale[place + kMiddle]; }

bool contradicts(const std::string& level, bool fake) {
  return fake ? level == kLittle || level == kNone : level == kModerate || level == kStrong;
}

std::string level_of_score(double score, const Reliability& reliability) {
  const auto bound = [&](const char* name) -> std::optional<double> {
    for (const auto& [level, value] : reliability.bounds) {
      if (level == name) return value;
    }
    return std::nullopt;
  };
  for (const char* name : {kStrong, kModerate}) {
    if (const auto from = bound(name); from && score >= *from) return name;
  }
  for (const char* name : {kNone, kLittle}) {
    if (const auto below = bound(name); below && score < *below) return name;
  }
  return kInconclusive;
}

std::string weakened(const std::string& level, int steps) {
  if (level == kNotCalibrated) return level;
  const int at = place_of(level), left = std::max(0, std::abs(at) - steps);
  return level_at(at > 0 ? left : -left);
}

Limit limit_of(const std::string& code, double value, double bound) {
  const json& row = findings_tables()["limits"][code];
  return {code, value, bound, filled(row["text"], {{"value", short_number(value)}, {"bound", short_number(bound)}})};
}

std::optional<double> condition(const Conditions& conditions, const std::string& name) {
  if (name == "frames_with_face") return static_cast<double>(conditions.frames_with_face);
  if (name == "face_px") return conditions.face_px;
  if (name == "sharpness") return conditions.sharpness;
  if (name == "yaw") return conditions.yaw;
  if (name == "pitch") return conditions.pitch;
  return conditions.bits_per_pixel;
}

void condition_limits(const Conditions& conditions, const std::vector<JudgedBy>& models, std::vector<Limit>& found) {
  for (const auto& [code, row] : findings_tables()["limits"].items()) {
    if (!row.contains("of")) continue;
    const bool high = row["is"] == "high";
    std::optional<double> end;  // the strictest of the models' limits
    for (const JudgedBy& model : models) {
      if (!model.reliability) continue;
      for (const auto& [name, bound] : model.reliability->conditions) {
        if (name == row["of"]) end = !end ? bound : high ? std::min(*end, bound) : std::max(*end, bound);
      }
    }
    const std::optional<double> value = condition(conditions, row["of"]);
    if (value && end && (high ? *value > *end : *value < *end)) found.push_back(limit_of(code, *value, *end));
  }
}

void near_threshold(double score, const Interval& interval, double threshold, std::vector<Limit>& found) {
  if (!interval || !((*interval)[0] < threshold && threshold <= (*interval)[1])) return;
  const double reach = score < threshold ? (*interval)[1] - score : score - (*interval)[0];
  found.push_back(limit_of("near_threshold", std::abs(score - threshold), reach));
}

void part_stands_out(double score, double threshold, const std::vector<TrackScore>& tracks, std::vector<Limit>& found) {
  const double counts = std::log(findings_tables()["odds"]["moderate"].get<double>());
  double most = 0;
  for (const TrackScore& track : tracks) {
    for (const Segment& part : track.segments) most = std::max(most, part.stands_out_by.value_or(0));
  }
  if (score < threshold && most >= counts) found.push_back(limit_of("part_stands_out", most, counts));
}

void tracks_disagree(const std::vector<TrackScore>& tracks, double threshold, std::vector<Limit>& found) {
  const TrackScore *low = nullptr, *high = nullptr;
  int known = 0;
  for (const TrackScore& track : tracks) {
    if (!track.interval) continue;
    ++known;
    if (low == nullptr || track.score < low->score) low = &track;
    if (high == nullptr || track.score > high->score) high = &track;
  }
  if (known < 2) return;
  const double explained = ((*low->interval)[1] - low->score) + (high->score - (*high->interval)[0]);
  if (low->score < threshold && threshold <= high->score && high->score - low->score > explained)
    found.push_back(limit_of("tracks_disagree", high->score - low->score, explained));
}

bool models_disagree(const std::vector<ModelScore>& models, std::vector<Limit>& found) {
  if (models.size() < 2) return false;
  std::vector<double> margins;
  for (const ModelScore& model : models) margins.push_back(log_odds(model.score) - log_odds(model.threshold));
  const auto [low, high] = std::minmax_element(margins.begin(), margins.end());
  const double most = std::log(findings_tables()["odds"]["strong"].get<double>());
  if (!(*low < 0 && *high >= 0 && *high - *low > most)) return false;
  found.push_back(limit_of("models_disagree", *high - *low, most));
  return true;
}

std::string capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string measured(const Reliability& reliability, const std::string& level) {
  std::array<int64_t, 2> counts{};
  for (const auto& [name, found] : reliability.levels) {
    if (name == level) counts = found;
  }
  const auto text = [](int64_t value) { return std::to_string(value); };
  return say("measured", {{"real", text(counts[0])},
                          {"fake", text(counts[1])},
                          {"reals", text(reliability.real)},
                          {"fakes", text(reliability.fake)}});
}

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string result;
  for (const std::string& text : texts) result += (result.empty() ? "" : between) + text;
  return result;
}

std::string paragraph(const Judgement& judgement, const Finding& finding, const std::vector<TrackScore>& tracks,
                      const std::string& remark) {
  const std::string between = finding.interval ? interval_text(finding.interval) : say("no_interval");
  std::vector<std::string> sentences = {stated(finding.level)};
  sentences.push_back(
      say("score",
          {{"score", short_number(*judgement.score)}, {"interval", between}, {"threshold", short_number(judgement.threshold)}}));
  if (!remark.empty()) sentences.push_back(remark);
  if (const auto& by = judgement.judged_by; by.size() == 1 && by[0].reliability)
    sentences.push_back(measured(*by[0].reliability, level_of_score(*judgement.score, *by[0].reliability)));
  std::vector<std::string> limits;
  if (const std::string where = suspicious(tracks); !where.empty()) sentences.push_back(say("segments", {{"segments", where}}));
  for (const Limit& limit : finding.limits) limits.push_back(limit.text);
  if (!limits.empty()) sentences.push_back(say("limits", {{"limits", joined(limits, "; ")}}));
  return joined(sentences, " ");
}

}  // namespace

const json& findings_tables() {
  static const json tables = json::parse(kFindingsTables);
  return tables;
}

std::string stated(const std::string& level) {
  const json& tables = findings_tables();
  const std::string words = capital(tables["levels"][level]);
  if (!tables["means"].contains(level)) return words + ".";
  return say("meaning", {{"words", words}, {"means", tables["means"][level]}});
}

std::string interval_text(const Interval& interval) {
  if (!interval) return "";
  return say("interval", {{"low", short_number((*interval)[0])}, {"high", short_number((*interval)[1])}});
}

std::string suspicious(const std::vector<TrackScore>& tracks) {
  std::vector<std::string> where;
  for (const TrackScore& track : tracks) {
    for (const Segment& part : track.segments) {
      if (part.end_s <= part.start_s) continue;  // a single frame
      where.push_back(say(
          tracks.size() > 1 ? "segment" : "segment_of_one",
          {{"track", std::to_string(track.track)}, {"start", short_number(part.start_s)}, {"end", short_number(part.end_s)}}));
    }
  }
  return joined(where, "; ");
}

std::string short_number(double value) { return short_number(value, 3); }

std::string level_of(double score, double threshold, const std::optional<Reliability>& reliability) {
  if (!reliability) return kNotCalibrated;
  const std::string level = level_of_score(score, *reliability);
  return contradicts(level, score >= threshold) ? kInconclusive : level;
}

std::string combined_level(const std::vector<std::string>& levels) {
  int sum = 0;
  for (const std::string& level : levels) {
    if (level == kNotCalibrated) return level;
    sum += place_of(level);
  }
  return levels.empty() ? kNotCalibrated : level_at(sum / static_cast<int>(levels.size()));  // towards inconclusive
}

double fused(const std::vector<double>& scores, const std::vector<double>& weights) {
  if (scores.size() == 1) return scores[0];
  double odds = 0, total = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    odds += weights[i] * log_odds(scores[i]);
    total += weights[i];
  }
  return 0.5 * (1 + std::tanh(0.5 * odds / total));
}

Finding conclude_finding(const Judgement& judgement, const Conditions& conditions, const std::vector<TrackScore>& tracks,
                         const std::vector<ModelScore>& models) {
  const double score = *judgement.score, threshold = judgement.threshold;
  Finding found;
  std::vector<double> scores;
  for (const FrameScore& frame : judgement.frames) {
    if (const std::optional<double> one = frame_score(frame)) scores.push_back(*one);
  }
  found.interval = mean_interval(scores);
  condition_limits(conditions, judgement.judged_by, found.limits);
  near_threshold(score, found.interval, threshold, found.limits);
  part_stands_out(score, threshold, tracks, found.limits);
  tracks_disagree(tracks, threshold, found.limits);
  const bool apart = models_disagree(models, found.limits);
  std::string remark;
  std::vector<std::string> levels;
  for (const ModelScore& model : models) levels.push_back(model.level);
  found.level = combined_level(levels);
  const std::optional<Reliability>& reliability = judgement.judged_by[0].reliability;
  if (models.size() > 1) {
    if (apart || contradicts(found.level, score >= threshold))
      found.level = found.level == kNotCalibrated ? kNotCalibrated : kInconclusive;
  } else if (reliability && contradicts(level_of_score(score, *reliability), score >= threshold)) {
    remark = say("contradicts");
  }
  int steps = 0;
  for (const Limit& limit : found.limits) steps += findings_tables()["limits"][limit.code]["weakens"].get<bool>();
  found.level = weakened(found.level, steps);
  found.words = findings_tables()["levels"][found.level].get<std::string>();
  found.text = paragraph(judgement, found, tracks, remark);
  return found;
}

}  // namespace fpg::runtime
