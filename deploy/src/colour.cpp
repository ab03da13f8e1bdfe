#include "colour.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace fpg::runtime {
namespace {

constexpr int kSteps = 65535;
constexpr double kGamma = 2.2;
constexpr float kKnee = 0.8F;
constexpr float kToBt709[3][3] = {
    {1.660491F, -0.587641F, -0.072850F}, {-0.124550F, 1.132900F, -0.008349F}, {-0.018151F, -0.100579F, 1.118730F}};

std::array<float, 2> weights(int matrix) {
  switch (matrix) {
    case AVCOL_SPC_BT709:
      return {0.2126F, 0.0722F};
    case AVCOL_SPC_FCC:
      return {0.30F, 0.11F};
    case AVCOL_SPC_SMPTE240M:
      return {0.212F, 0.087F};
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return {0.2627F, 0.0593F};
    default:
      return {0.299F, 0.114F};
  }
}

// Light relative to diffuse white, as a function of the signal in steps of 1 / 65535.
std::vector<float> light_of(int transfer) {
  std::vector<float> table(kSteps + 1);
  constexpr double a = 0.17883277, b = 0.28466892, c = 0.55991073;
  for (int i = 0; i <= kSteps; ++i) {
    const double signal = static_cast<double>(i) / kSteps;
    double light = std::pow(signal, kGamma);
    if (transfer == AVCOL_TRC_SMPTE2084) {
      constexpr double m1 = 2610.0 / 16384, m2 = 2523.0 / 32, c1 = 3424.0 / 4096, c2 = 2413.0 / 128, c3 = 2392.0 / 128;
      const double power = std::pow(signal, 1 / m2);
      light = 10000.0 / 203 * std::pow(std::max(power - c1, 0.0) / (c2 - c3 * power), 1 / m1);
    } else if (transfer == AVCOL_TRC_ARIB_STD_B67) {
      light =
          (signal <= 0.5 ? signal * signal / 3 : (std::exp((signal - c) / a) + b) / 12) / ((std::exp((0.75 - c) / a) + b) / 12);
    }
    table[static_cast<size_t>(i)] = static_cast<float>(light);
  }
  return table;
}

const std::vector<float>& light_table(int transfer) {
  static const std::vector<float> pq = light_of(AVCOL_TRC_SMPTE2084), hlg = light_of(AVCOL_TRC_ARIB_STD_B67),
                                  sdr = light_of(AVCOL_TRC_UNSPECIFIED);
  return transfer == AVCOL_TRC_SMPTE2084 ? pq : transfer == AVCOL_TRC_ARIB_STD_B67 ? hlg : sdr;
}

const std::vector<uint8_t>& codes() {
  static const std::vector<uint8_t> table = [] {
    std::vector<uint8_t> values(kSteps + 1);
    for (int i = 0; i <= kSteps; ++i) {
      values[static_cast<size_t>(i)] =
          static_cast<uint8_t>(std::nearbyint(255 * std::pow(static_cast<double>(i) / kSteps, 1 / kGamma)));
    }
    return values;
  }();
  return table;
}

size_t step(float value) { return static_cast<size_t>(std::nearbyint(value * static_cast<float>(kSteps))); }

float rolled_off(float light, float peak) {
  if (light <= kKnee) return light;
  const float slope = (peak - kKnee) / (1 - kKnee);
  const float beyond = std::clamp((light - kKnee) / (peak - kKnee), 0.0F, 1.0F);
  return kKnee + (1 - kKnee) * slope * beyond / (1 + (slope - 1) * beyond);
}

// R'G'B' of one pixel, for an SDR screen.
void to_sdr(std::array<float, 3>& rgb, int transfer, bool wide, uint8_t* out) {
  const bool hdr = transfer == AVCOL_TRC_SMPTE2084 || transfer == AVCOL_TRC_ARIB_STD_B67;
  if (!hdr && !wide) {
    for (size_t c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>(std::nearbyint(rgb[c] * 255.0F));
    return;
  }
  const std::vector<float>& table = light_table(transfer);
  std::array<float, 3> light = {table[step(rgb[0])], table[step(rgb[1])], table[step(rgb[2])]};
  if (wide) {
    const std::array<float, 3> from = light;
    for (size_t c = 0; c < 3; ++c)
      light[c] = std::max(kToBt709[c][0] * from[0] + kToBt709[c][1] * from[1] + kToBt709[c][2] * from[2], 0.0F);
  }
  if (hdr) {
    const float peak = transfer == AVCOL_TRC_SMPTE2084 ? 1000.0F / 203.0F : 3.773F;
    const float largest = *std::max_element(light.begin(), light.end());
    const float factor = rolled_off(largest, peak) / std::max(largest, 1e-6F);
    for (float& value : light) value *= factor;
  }
  for (size_t c = 0; c < 3; ++c) out[c] = codes()[step(std::min(light[c], 1.0F))];
}

std::vector<float> plane(const AVFrame* frame, int which, int bits, int height, int width) {
  std::vector<float> values(static_cast<size_t>(height) * static_cast<size_t>(width));
  for (int y = 0; y < height; ++y) {
    const uint8_t* row = frame->data[which] + static_cast<ptrdiff_t>(y) * frame->linesize[which];
    float* to = values.data() + static_cast<size_t>(y) * static_cast<size_t>(width);
    for (int x = 0; x < width; ++x) to[x] = bits == 8 ? row[x] : static_cast<float>(row[2 * x] | row[2 * x + 1] << 8);
  }
  return values;
}

// Chroma for every pixel: the samples are sited at the left luma sample, between rows.
std::vector<float> as_large(std::vector<float> chroma, int rows, int columns, int height, int width, int across, int down) {
  const auto at = [](int y, int x, int stride) {
    return static_cast<size_t>(y) * static_cast<size_t>(stride) + static_cast<size_t>(x);
  };
  if (across) {
    std::vector<float> wide(static_cast<size_t>(rows) * static_cast<size_t>(width));
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < width; ++x) {
        const float here = chroma[at(y, x / 2, columns)];
        wide[at(y, x, width)] = x % 2 == 0 ? here : (here + chroma[at(y, std::min(x / 2 + 1, columns - 1), columns)]) / 2;
      }
    }
    chroma = std::move(wide);
  }
  if (down) {
    std::vector<float> tall(static_cast<size_t>(height) * static_cast<size_t>(width));
    for (int y = 0; y < height; ++y) {
      const int near = y / 2, far = std::clamp(y % 2 == 0 ? near - 1 : near + 1, 0, rows - 1);
      for (int x = 0; x < width; ++x)
        tall[at(y, x, width)] = 0.75F * chroma[at(near, x, width)] + 0.25F * chroma[at(far, x, width)];
    }
    chroma = std::move(tall);
  }
  return chroma;
}

}  // namespace

std::optional<std::array<int, 3>> planar(const AVFrame* frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame->format));
  if (format == nullptr || std::strncmp(format->name, "yuv", 3) != 0 || !(format->flags & AV_PIX_FMT_FLAG_PLANAR))
    return std::nullopt;
  const std::array<int, 3> layout = {format->comp[0].depth, format->log2_chroma_w, format->log2_chroma_h};
  const bool known =
      layout[1] <= 1 && layout[2] <= layout[1] && format->comp[0].shift == 0 && !(format->flags & AV_PIX_FMT_FLAG_BE);
  return known ? std::optional(layout) : std::nullopt;
}

Colour::Colour(const AVFrame* frame) {
  const auto number = [](const auto& value) {
    int read = 0;
    static_assert(sizeof value == sizeof read);
    std::memcpy(&read, &value, sizeof read);
    return read;
  };
  primaries = number(frame->color_primaries);
  transfer = number(frame->color_trc);
  matrix = number(frame->colorspace);
  range = number(frame->color_range);
  chroma_location = number(frame->chroma_location);
}

const char* hdr_name(const AVFrame* frame) {
  const int transfer = Colour(frame).transfer;
  return transfer == AVCOL_TRC_SMPTE2084 ? "PQ" : transfer == AVCOL_TRC_ARIB_STD_B67 ? "HLG" : nullptr;
}

bool is_wide(const AVFrame* frame) {
  const int primaries = Colour(frame).primaries;
  const bool unknown = primaries == AVCOL_PRI_UNSPECIFIED || primaries == AVCOL_PRI_RESERVED0;
  return primaries == AVCOL_PRI_BT2020 || (hdr_name(frame) != nullptr && unknown);
}

Image planar_to_rgb(const AVFrame* frame, const std::array<int, 3>& layout) {
  const auto [bits, across, down] = layout;
  const int rows = -(-frame->height >> down), columns = -(-frame->width >> across);
  const std::vector<float> y = plane(frame, 0, bits, frame->height, frame->width);
  const std::vector<float> u =
      as_large(plane(frame, 1, bits, rows, columns), rows, columns, frame->height, frame->width, across, down);
  const std::vector<float> v =
      as_large(plane(frame, 2, bits, rows, columns), rows, columns, frame->height, frame->width, across, down);
  const auto unit = static_cast<float>(1 << (bits - 8)), whole = static_cast<float>((1 << bits) - 1);
  const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame->format));
  const Colour colour(frame);
  const bool full = colour.range == AVCOL_RANGE_JPEG || std::strncmp(name, "yuvj", 4) == 0;
  const float black = full ? 0 : 16 * unit, luma_span = full ? whole : 219 * unit, chroma_span = full ? whole : 224 * unit;
  const bool wide = is_wide(frame);
  const bool untold = colour.matrix == AVCOL_SPC_UNSPECIFIED || colour.matrix == AVCOL_SPC_RGB;
  const auto [kr, kb] = weights(untold && wide ? AVCOL_SPC_BT2020_NCL : colour.matrix);
  Image image(frame->height, frame->width);
  for (size_t i = 0; i < y.size(); ++i) {
    const float luma = (y[i] - black) / luma_span;
    const float blue = (u[i] - 128 * unit) / chroma_span, red = (v[i] - 128 * unit) / chroma_span;
    const float r = luma + 2 * (1 - kr) * red, b = luma + 2 * (1 - kb) * blue;
    std::array<float, 3> rgb = {r, (luma - kr * r - kb * b) / (1 - kr - kb), b};
    for (float& value : rgb) value = std::clamp(value, 0.0F, 1.0F);
    to_sdr(rgb, colour.transfer, wide, image.data.data() + 3 * i);
  }
  return image;
}

}  // namespace fpg::runtime
