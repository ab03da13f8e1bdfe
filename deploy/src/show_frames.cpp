#include "show_frames.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
}

namespace fpg::runtime {
namespace {

// A file name of at most 60 letters, digits, dots, dashes and underscores; a letter of several bytes becomes one underscore.
std::string plain(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) == 0x80) continue;
    const bool kept = byte < 0x80 && (std::isalnum(byte) || c == '.' || c == '_' || c == '-');
    result += kept ? c : '_';
  }
  return result.substr(0, 60);
}

double rounded(double value, double units) { return std::nearbyint(value * units) / units; }

struct Free {
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
};

}  // namespace

void write_png(const std::string& path, const Image& image) {
  const auto refuse = [&](const char* why) {
    throw InputError(path, std::string("cannot be written: ") + why, codes::not_written);
  };
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
  const std::unique_ptr<AVCodecContext, Free> context(codec ? avcodec_alloc_context3(codec) : nullptr);
  if (!context) refuse("this FFmpeg has no encoder for PNG");
  context->width = image.width;
  context->height = image.height;
  context->pix_fmt = AV_PIX_FMT_RGB24;
  context->time_base = {1, 1};
  const std::unique_ptr<AVFrame, Free> frame(av_frame_alloc());
  const std::unique_ptr<AVPacket, Free> packet(av_packet_alloc());
  if (!frame || !packet) throw std::bad_alloc();
  frame->width = image.width;
  frame->height = image.height;
  frame->format = AV_PIX_FMT_RGB24;
  if (avcodec_open2(context.get(), codec, nullptr) < 0 || av_frame_get_buffer(frame.get(), 0) < 0) refuse("the encoder refuses");
  for (int y = 0; y < image.height; ++y)
    std::copy_n(image.row(y), 3 * static_cast<size_t>(image.width),
                frame->data[0] + static_cast<ptrdiff_t>(y) * frame->linesize[0]);
  const bool encoded = avcodec_send_frame(context.get(), frame.get()) >= 0 && avcodec_send_frame(context.get(), nullptr) >= 0 &&
                       avcodec_receive_packet(context.get(), packet.get()) >= 0;
  if (!encoded) refuse("the encoder refuses");
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(packet->data), packet->size);
  if (!file.flush()) refuse("no permission, or no space left");
}

void ShownFrames::begin(const std::string& path) {
  std::string folder;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [place, fresh] = places_.try_emplace(path, inputs_.size());
    if (fresh) {
      char number[16];
      std::snprintf(number, sizeof number, "%04zu-", inputs_.size());
      inputs_.push_back({path, number + plain(std::filesystem::path(path).filename().string()), {}});
    }
    inputs_[place->second].frames.clear();
    folder = folder_ + "/" + inputs_[place->second].folder;
  }
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder, error);
  if (error) throw InputError(folder, "cannot be written: " + error.message(), codes::not_written);
}

void ShownFrames::add(const std::string& path, const FrameScore& frame, const Image& image,
                      const std::vector<std::vector<float>>& inputs, int side) {
  std::string folder;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    folder = inputs_[places_.at(path)].folder;
  }
  char number[32];
  std::snprintf(number, sizeof number, "/frame-%06lld", static_cast<long long>(frame.index));
  const std::string stem = folder + number;
  Frame entry{frame.index, frame.time_s, stem + ".png", {}};
  for (size_t i = 0; i < frame.faces.size(); ++i) {
    const size_t pixels = static_cast<size_t>(side) * static_cast<size_t>(side);
    Image crop(side, side);
    for (size_t p = 0; p < pixels; ++p) {
      for (size_t c = 0; c < 3; ++c)
        crop.data[3 * p + c] = static_cast<uint8_t>(std::nearbyint(inputs[i][c * pixels + p] * 255.0F));
    }
    entry.faces.push_back({frame.faces[i], stem + "-face-" + std::to_string(i) + ".png"});
    write_png(folder_ + "/" + entry.faces.back().crop, crop);
  }
  write_png(folder_ + "/" + entry.image, image);
  const std::lock_guard<std::mutex> lock(mutex_);
  inputs_[places_.at(path)].frames.push_back(std::move(entry));
}

void ShownFrames::finish() const {
  using json = nlohmann::ordered_json;
  const std::lock_guard<std::mutex> lock(mutex_);
  json inputs = json::array();
  for (const Input& input : inputs_) {
    json frames = json::array();
    for (const Frame& frame : input.frames) {
      json faces = json::array();
      for (const Face& face : frame.faces) {
        const Box& at = face.score.box;
        const json box = {rounded(at.x0, 100), rounded(at.y0, 100), rounded(at.x1, 100), rounded(at.y1, 100)};
        faces.push_back({{"box", box}, {"score", face.score.score}, {"crop", face.crop}});
      }
      frames.push_back(
          {{"index", frame.index}, {"time_s", rounded(frame.time_s, 1e4)}, {"image", frame.image}, {"faces", faces}});
    }
    inputs.push_back({{"input", input.name}, {"folder", input.folder}, {"frames", frames}});
  }
  write_atomically(folder_ + "/index.json", json{{"inputs", inputs}}.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace fpg::runtime
