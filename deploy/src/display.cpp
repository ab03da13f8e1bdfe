#include "display.h"

#include <algorithm>
#include <cmath>

#include "colour.h"
#include "constants.h"

extern "C" {
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

namespace fpg::runtime {
namespace {

constexpr int kComb =
    36;  // difference, summed over R, G and B, from both neighbours that makes a line of the second field a comb

// (height, width) with square pixels; the shorter side grows.
std::array<int64_t, 2> square_size(const AVFrame* frame, AVRational aspect) {
  const auto scaled = [](int length, int by, int over) {
    return std::max<int64_t>(1, std::llrint(static_cast<double>(length) * by / over));
  };
  if (aspect.num > aspect.den) return {frame->height, scaled(frame->width, aspect.num, aspect.den)};
  return {scaled(frame->height, aspect.den, aspect.num), frame->width};
}

}  // namespace

void check_pixels(const std::string& path, int64_t width, int64_t height, int64_t limit) {
  if (width < 0 || height < 0 || (height > 0 && width > limit / height)) {
    throw InputError(path,
                     "is too large: " + std::to_string(width) + " x " + std::to_string(height) + " pixels, the limit is " +
                         std::to_string(limit / 1'000'000) + " megapixels",
                     codes::too_large);
  }
}

std::string words(int code) {
  if (code == AVERROR(EAGAIN)) return "what follows holds no packet";
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

Image Converter::rgb(const AVFrame* frame) {
  // The fields of an interlaced frame are converted separately, as newer versions of FFmpeg do: each has its own chroma.
  const int fields = frame->interlaced_frame && frame->height % 4 == 0 ? 2 : 1;
  prepare(frame, fields);
  // The scaler may write past the end of a row: rows have room for that, and are copied afterwards.
  const int stride = (3 * frame->width + 63) / 64 * 64 + 64;
  rows_.resize(static_cast<size_t>(stride) * static_cast<size_t>(frame->height) + 64);
  for (int field = 0; field < fields; ++field) {
    const uint8_t* from[4];
    int lines[4];
    for (int plane = 0; plane < 4; ++plane) {
      // The second plane may be a palette, which has no lines.
      const bool lined = frame->linesize[plane] != 0;
      from[plane] = frame->data[plane] + (lined ? field * frame->linesize[plane] : 0);
      lines[plane] = fields * frame->linesize[plane];
    }
    uint8_t* to[4] = {rows_.data() + field * stride, nullptr, nullptr, nullptr};
    const int strides[4] = {fields * stride, 0, 0, 0};
    const int code = sws_scale(scaler_.get(), from, lines, 0, frame->height / fields, to, strides);
    if (code < 0) refuse(frame, words(code));
  }
  Image image(frame->height, frame->width);
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(rows_.data() + static_cast<size_t>(y) * static_cast<size_t>(stride), 3 * static_cast<size_t>(image.width),
                image.row(y));
  }
  return image;
}

void Converter::prepare(const AVFrame* frame, int fields) {
  const Colour colour(frame);
  const std::array<int, 6> kind = {frame->width, frame->height, frame->format, fields, colour.matrix, colour.range};
  if (scaler_ && kind == kind_) return;
  scaler_.reset(sws_alloc_context());
  if (!scaler_) throw std::bad_alloc();
  void* options = scaler_.get();
  for (const char* side : {"src", "dst"}) {
    const std::string name(side);
    av_opt_set_int(options, (name + "w").c_str(), frame->width, 0);
    av_opt_set_int(options, (name + "h").c_str(), frame->height / fields, 0);
    av_opt_set_int(options, (name + "_format").c_str(), name == "src" ? frame->format : AV_PIX_FMT_RGB24, 0);
  }
  av_opt_set_int(options, "sws_flags", SWS_BILINEAR, 0);
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame->format));
  if (format != nullptr &&
      format->log2_chroma_w == 1) {  // chroma is sited at the left luma sample unless the stream says otherwise
    const bool centre = colour.chroma_location == AVCHROMA_LOC_CENTER || colour.chroma_location == AVCHROMA_LOC_TOP;
    av_opt_set_int(options, "src_h_chr_pos", centre ? 128 : 0, 0);
    if (format->log2_chroma_h == 1) av_opt_set_int(options, "src_v_chr_pos", 128, 0);
  }
  const int code = sws_init_context(scaler_.get(), nullptr, nullptr);
  if (code < 0) refuse(frame, words(code));
  int *inverse = nullptr, *table = nullptr, from = 0, to = 0, brightness = 0, contrast = 0, saturation = 0;
  if (sws_getColorspaceDetails(scaler_.get(), &inverse, &from, &table, &to, &brightness, &contrast, &saturation) >= 0) {
    const int full = colour.range == AVCOL_RANGE_JPEG || from == 1;
    sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(colour.matrix), full, table, to, brightness, contrast,
                             saturation);
  }
  kind_ = kind;
}

void Converter::refuse(const AVFrame* frame, const std::string& why) const {
  const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame->format));
  throw InputError(path_, std::string("has pixels of format ") + (name ? name : "?") + " that cannot be converted: " + why,
                   codes::unsupported);
}

Image Display::operator()(const AVFrame* frame) {
  AVRational aspect = av_guess_sample_aspect_ratio(format_, stream_, const_cast<AVFrame*>(frame));
  if (aspect.num <= 0 || aspect.den <= 0) aspect = {1, 1};
  const auto [height, width] = square_size(frame, aspect);
  const Turn turn = turn_of(frame);
  check_pixels(path_, width, height, reading_constants().max_video_pixels);
  if (!turn.orientation) {
    const auto [tall, wide] = turned_size(static_cast<int>(height), static_cast<int>(width), turn.part);
    check_pixels(path_, wide, tall, reading_constants().max_video_pixels);
  }
  Image image = rgb(frame);
  if (frame->interlaced_frame) {
    notes_.warn("is interlaced: lines of the second field that stand out from their neighbours were interpolated");
    image = without_combs(image);
  }
  if (height != image.height || width != image.width)
    image = resize_linear(image, static_cast<int>(height), static_cast<int>(width));
  describe(frame, aspect, turn);
  return turn.orientation ? upright(image, *turn.orientation) : turned(image, turn.part);
}

Image Display::rgb(const AVFrame* frame) {
  const auto layout = planar(frame);
  warn_of_colours(frame, layout.has_value());
  // swscale knows no HDR, and its versions differ where the height is odd.
  const bool here = layout && ((*layout)[0] > 8 || hdr_name(frame) != nullptr || is_wide(frame) || frame->height % 2 == 1);
  return here ? planar_to_rgb(frame, *layout) : converter_.rgb(frame);
}

void Display::warn_of_colours(const AVFrame* frame, bool converted) {
  const char* name = hdr_name(frame);
  const Colour colour(frame);
  const bool untold = colour.transfer == AVCOL_TRC_UNSPECIFIED || colour.transfer == AVCOL_TRC_RESERVED0;
  if (name != nullptr && converted) {
    notes_.warn("is HDR (" + std::string(name) + "): it was converted to SDR");
  } else if (name != nullptr || (is_wide(frame) && !converted)) {
    notes_.warn("has the colours of " + (name ? "HDR (" + std::string(name) + ")" : std::string("BT.2020")) +
                ", which were not converted");
  } else if (is_wide(frame) && untold) {
    notes_.warn("has the colours of BT.2020 without a transfer function: it was taken for SDR");
  }
  if (colour.matrix == AVCOL_SPC_ICTCP) {
    notes_.warn("has colours in ICtCp, which were not converted");
  } else if (name == nullptr && av_frame_get_side_data(frame, AV_FRAME_DATA_DOVI_METADATA) != nullptr) {
    notes_.warn("is Dolby Vision without a base that others can show: its colours were not converted");
  }
}

void Display::describe(const AVFrame* frame, AVRational aspect, const Turn& turn) {
  if (!notes_.stream || !notes_.stream->transfer.empty()) return;
  int num = 1, den = 1;
  av_reduce(&num, &den, aspect.num, aspect.den, INT32_MAX);
  notes_.stream->pixel_aspect = std::to_string(num) + ":" + std::to_string(den);
  notes_.stream->orientation = turn.orientation;
  const char* name = hdr_name(frame);
  notes_.stream->transfer = name ? name : "SDR";
}

Turn Display::turn_of(const AVFrame* frame) const {
  if (const AVFrameSideData* side = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
      side != nullptr && side->size >= 36) {
    return matrix_turn(reinterpret_cast<const int32_t*>(side->data));
  }
  size_t size = 0;
  const uint8_t* data = av_stream_get_side_data(stream_, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data != nullptr && size >= 36 ? matrix_turn(reinterpret_cast<const int32_t*>(data)) : Turn{};
}

Image without_combs(const Image& image) {
  Image result = image;
  for (int y = 1; y < image.height; y += 2) {
    const uint8_t *above = image.row(y - 1), *here = image.row(y), *below = image.row(y + 1 < image.height ? y + 1 : y - 1);
    uint8_t* out = result.row(y);
    for (int x = 0; x < 3 * image.width; x += 3) {
      const auto total = [x](const uint8_t* row) { return row[x] + row[x + 1] + row[x + 2]; };
      const int sum = total(here);
      if ((sum - total(above)) * (sum - total(below)) <= kComb * kComb) continue;
      for (int c = x; c < x + 3; ++c) out[c] = static_cast<uint8_t>((above[c] + below[c] + 1) >> 1);
    }
  }
  return result;
}

}  // namespace fpg::runtime
