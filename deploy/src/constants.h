// fpg/common/constants.json, which the Python package reads, too: limits, thresholds, names and messages.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fpg::runtime {

struct ReadingConstants {
  std::string containers;  // FFmpeg's names, joined by commas
  std::set<std::string> self_contained_codecs, reordering_codecs, heif_brands;
  int64_t max_video_pixels, max_image_pixels, max_jpeg_scans;
  double least_decodable;
  std::string several_images, cmyk;
};

struct ModelConstants {
  std::vector<std::string> suffixes, unreadable_suffixes, backends, bounded_levels, reliability_fields;
  std::string main, schema, reliability;
  int largest_side, largest_batch;
  double largest_number;
};

struct FaceConstants {
  double area_fraction, detection_score, detection_overlap, presence, crop_scale, same_face_overlap, tile_over_face, min_face;
  double least_size_fraction;
  double track_reach, track_growth, aligned_scale, smallest_aligned;
  int passes, tile_grain, tile_stretch, tile_step;
  int64_t track_patience;
  std::array<std::array<double, 2>, 5> aligned_points;
  std::array<std::string, 5> aligned_names;
};

const ReadingConstants& reading_constants();
const ModelConstants& model_constants();
const FaceConstants& face_constants();

// The whole table.
const nlohmann::ordered_json& constants();

using Words = std::initializer_list<std::pair<const char*, std::string>>;

// A text with its `{names}` replaced.
std::string filled(std::string text, Words values);

// A message of the table, filled.
std::string message(const char* name, Words values = {});

// A number in a message: "%.Ng".
std::string short_number(double value, int digits);

}  // namespace fpg::runtime
