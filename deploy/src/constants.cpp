#include "constants.h"

#include <constants_table.h>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace fpg::runtime {

using json = nlohmann::ordered_json;

const json& constants() {
  static const json table = json::parse(kConstants);
  return table;
}

const ReadingConstants& reading_constants() {
  static const ReadingConstants found = [] {
    const json& t = constants()["reading"];
    std::string containers;
    for (const json& name : t["containers"]) containers += (containers.empty() ? "" : ",") + name.get<std::string>();
    return ReadingConstants{containers,
                            t["self_contained_codecs"],
                            t["reordering_codecs"],
                            t["heif_brands"],
                            t["max_video_pixels"],
                            t["max_image_pixels"],
                            t["max_jpeg_scans"],
                            t["least_decodable"],
                            t["several_images"],
                            t["cmyk"]};
  }();
  return found;
}

const ModelConstants& model_constants() {
  static const ModelConstants found = [] {
    const json& t = constants()["models"];
    return ModelConstants{
        t["suffixes"], t["unreadable_suffixes"], t["backends"],     t["bounded_levels"], t["reliability_fields"], t["main"],
        t["schema"],   t["reliability"],         t["largest_side"], t["largest_batch"],  t["largest_number"]};
  }();
  return found;
}

const FaceConstants& face_constants() {
  static const FaceConstants found = [] {
    const json& t = constants()["faces"];
    FaceConstants c{};
    c.area_fraction = t["area_fraction"];
    c.detection_score = t["detection_score"];
    c.detection_overlap = t["detection_overlap"];
    c.presence = t["presence"];
    c.crop_scale = t["crop_scale"];
    c.same_face_overlap = t["same_face_overlap"];
    c.tile_over_face = t["tile_over_face"];
    c.min_face = t["min_face"];
    c.track_reach = t["track_reach"];
    c.track_growth = t["track_growth"];
    c.track_patience = t["track_patience"];
    c.aligned_scale = t["aligned_scale"];
    c.smallest_aligned = t["smallest_aligned"];
    c.passes = t["passes"];
    c.tile_grain = t["tile_grain"];
    c.tile_stretch = t["tile_stretch"];
    c.tile_step = t["tile_step"];
    c.least_size_fraction = t["least_size_fraction"];
    c.aligned_points = t["aligned_points"];
    c.aligned_names = t["aligned_names"];
    return c;
  }();
  return found;
}

std::string filled(std::string text, Words values) {
  for (const auto& [name, value] : values) {
    const std::string mark = std::string("{") + name + "}";
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += value.size()) text.replace(at, mark.size(), value);
  }
  return text;
}

std::string message(const char* name, Words values) {
  return filled(constants()["messages"].at(name).get<std::string>(), values);
}

std::string short_number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

}  // namespace fpg::runtime
