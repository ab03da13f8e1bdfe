// An opened file with a decoder for its video: the twin of fpg/data/containers.py.
#pragma once

#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include "display.h"
#include "notes.h"

namespace fpg::runtime {

// Only containers that hold their own data: no playlists or scripts that name other files.
constexpr const char* kVideoContainers =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,gif,yuv4mpegpipe,h264,hevc,m4v,ivf,"
    "mp3,wav,flac,aac,w64,aiff";

// Damage, or a stream that is not what its packets say, while only what wanted frames need is decoded.
struct Stumbled {};

struct PacketNote {
  int64_t time;
  bool key, shown;
};

// Packets to decode together, in their order in the file.
struct Stretch {
  int64_t first, last;
  int64_t from_time;  // of its key frame; frames before it refer to what is not decoded
};

bool damaged(const AVFrame* frame);

class Container {
 public:
  // strict: the decoder stops at the first error. Throws InputError for what cannot be opened.
  Container(const std::string& path, const char* containers, int64_t max_pixels, Notes& notes, bool strict = false);

  // The next decoded frame, nullptr at the end. A frame that the decoder had to patch up counts as damage.
  AVFrame* next();

  // Seconds from the first frame of the one that `next` gave, never falling. AVI has no times of presentation: there the n-th
  // frame has the n-th time among the packets'. A frame without a time, or with one that falls, gets its place by the frame rate.
  double time_of(const AVFrame* frame);

  // Frames by the packets of the whole file, without decoding.
  int64_t scan();

  // Bits of the frames that `scan` counted over their pixels, as stored.
  double bits_per_pixel() const { return bits_per_pixel_; }

  // Decoders that give one frame for each packet and can start at any key frame; others (VP8, MPEG-4 part 2) may hide frames.
  bool self_contained() const;

  // Whether frames are shown in another order than that of their packets.
  bool reorders() const;

  double seconds(int64_t time) const { return static_cast<double>(time) * av_q2d(stream_->time_base); }

  // The packets that hold frames, in their order in the file.
  std::vector<PacketNote> notes();

  // Decodes a stretch of packets, later ones than before; `see` takes its frames, false ends it.
  template <class See>
  bool decode(const Stretch& stretch, const See& see) {
    while (next_packet()) {
      const int64_t position = packets_++;
      if (position < stretch.first) continue;
      if (avcodec_send_packet(codec_.get(), packet_.get()) < 0) throw Stumbled();
      if (!drain(see)) return false;
      if (position == stretch.last) {
        avcodec_send_packet(codec_.get(), nullptr);
        const bool goes_on = drain(see);
        avcodec_flush_buffers(codec_.get());
        return goes_on;
      }
    }
    throw Stumbled();
  }

  const AVFormatContext* format() const { return format_.get(); }

  // A frame as a player shows it.
  Image shown(const AVFrame* frame) { return (*display_)(frame); }

 private:
  struct FreeFormat {
    void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
  };
  struct FreeCodec {
    void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  };
  struct FreePacket {
    void operator()(AVPacket* p) const { av_packet_free(&p); }
  };
  struct FreeFrame {
    void operator()(AVFrame* p) const { av_frame_free(&p); }
  };

  void open(const char* containers, Notes& notes);
  void choose(Notes& notes);
  void start_decoder(bool strict);
  bool next_packet();
  void feed();
  [[noreturn]] void fail(int code) const;

  template <class See>
  bool drain(const See& see) {
    while (true) {
      const int code = avcodec_receive_frame(codec_.get(), frame_.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return true;
      if (code < 0) throw Stumbled();
      check_pixels(path_, frame_->width, frame_->height, max_pixels_);
      if (!see(frame_.get())) return false;
    }
  }

  std::string path_;
  int64_t max_pixels_;
  Notes& notes_;
  std::unique_ptr<AVFormatContext, FreeFormat> format_;
  AVStream* stream_ = nullptr;
  std::unique_ptr<AVCodecContext, FreeCodec> codec_;
  std::unique_ptr<AVPacket, FreePacket> packet_;
  std::unique_ptr<AVFrame, FreeFrame> frame_;
  std::optional<Display> display_;
  double bits_per_pixel_ = 0;
  int64_t index_ = -1;
  int64_t packets_ = 0;                                                         // that `decode` has read
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> waiting_;  // times of packets, in AVI
  double start_ = 0, last_ = 0;
};

}  // namespace fpg::runtime
