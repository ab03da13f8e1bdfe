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

#include "constants.h"
#include "display.h"
#include "notes.h"

namespace fpg::runtime {

// Thrown while decoding only what the wanted frames need: the stream is damaged, or is not what its packets say.
struct SeekFailed {};

struct PacketNote {
  int64_t time;
  bool key, shown;
};

// A range of packets to decode together, in their order in the file.
struct PacketRange {
  int64_t first, last;
  int64_t from_time;  // of its key frame; frames before it refer to frames that are not decoded
};

bool damaged(const AVFrame* frame);

class Container {
 public:
  // containers: FFmpeg's names of the formats allowed. strict: the decoder stops at the first error. Throws InputError for what
  // cannot be opened.
  Container(const std::string& path, const std::string& containers, int64_t max_pixels, Notes& notes, bool strict = false);

  // The next decoded frame, nullptr at the end. A frame that the decoder had to conceal errors in counts as damage.
  AVFrame* next();

  // Seconds from the first frame to the one that `next` returned, never decreasing. AVI has no presentation times: there, the
  // n-th frame gets the n-th of the packets' times. A frame with no time, or a decreasing one, is timed by the frame rate.
  double time_of(const AVFrame* frame);

  // Counts the frames by the packets of the whole file, without decoding.
  int64_t scan();

  // Bits of the frames that `scan` counted, divided by their pixels as stored.
  double bits_per_pixel() const { return bits_per_pixel_; }

  // Whether the decoder gives one frame per packet and can start at any key frame; others (VP8, MPEG-4 part 2) may hide frames.
  bool self_contained() const;

  // Whether frames are displayed in a different order from their packets.
  bool reorders() const;

  double seconds(int64_t time) const { return static_cast<double>(time) * av_q2d(stream_->time_base); }

  // The packets that hold frames, in their order in the file.
  std::vector<PacketNote> notes();

  // Decodes a range of packets, later than the previous one; `see` takes its frames and ends it by returning false.
  template <class See>
  bool decode(const PacketRange& range, const See& see) {
    while (next_packet()) {
      const int64_t position = packets_++;
      if (position < range.first) continue;
      if (avcodec_send_packet(codec_.get(), packet_.get()) < 0) throw SeekFailed();
      if (!drain(see)) return false;
      if (position == range.last) {
        avcodec_send_packet(codec_.get(), nullptr);
        const bool goes_on = drain(see);
        avcodec_flush_buffers(codec_.get());
        return goes_on;
      }
    }
    throw SeekFailed();
  }

  const AVFormatContext* format() const { return format_.get(); }

  // A frame as a player displays it.
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

  void open(const std::string& containers, Notes& notes);
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
      if (code < 0) throw SeekFailed();
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
  int64_t packets_ = 0;                                                         // read by `decode`
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> waiting_;  // times of packets, in AVI
  double start_ = 0, last_ = 0;
};

}  // namespace fpg::runtime
