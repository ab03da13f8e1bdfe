#include "containers.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>
#include <tuple>

#include "ends.h"
#include "video.h"

namespace fpg::runtime {
namespace {

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

void refuse_images(const std::string& path) {
  const std::string what = is_heif(path) ? "a picture (HEIF or AVIF)" : media_kind(path);
  if (what.rfind("a picture", 0) == 0)
    throw InputError(path, "is " + what + ", and its name is that of a video", codes::unsupported);
}

bool is_avi(const AVFormatContext* format) { return std::string(format->iformat->name) == "avi"; }

double frame_rate(AVFormatContext* format, AVStream* stream) {
  for (const AVRational rate : {stream->avg_frame_rate, av_guess_frame_rate(format, stream, nullptr)}) {
    if (rate.num > 0 && rate.den > 0) return av_q2d(rate);
  }
  return 25;
}

}  // namespace

bool damaged(const AVFrame* frame) { return frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT); }

Container::Container(const std::string& path, const std::string& containers, int64_t max_pixels, Notes& notes, bool strict)
    : path_(path), max_pixels_(max_pixels), notes_(notes) {
  check_file(path);
  if (containers == reading_constants().containers) refuse_images(path);
  av_log_set_level(AV_LOG_QUIET);  // our own messages say what matters
  open(containers, notes);
  choose(notes);
  start_decoder(strict);
  display_.emplace(path, format_.get(), stream_, notes);
}

void Container::open(const std::string& containers, Notes& notes) {
  std::string name = "file:" + std::filesystem::absolute(path_).string();
  const char* protocols = "file";
  if (const auto end = transport_stream_end(path_)) {
    name = "subfile,,start,0,end," + std::to_string(*end) + ",,:" + name;
    protocols = "file,subfile";
    notes.warn("ends in " + std::to_string(static_cast<int64_t>(std::filesystem::file_size(path_)) - *end) +
               " bytes that are zero: what comes before them was read");
  }
  AVDictionary* options = nullptr;
  av_dict_set(&options, "protocol_whitelist", protocols, 0);
  av_dict_set(&options, "format_whitelist", containers.c_str(), 0);
  av_dict_set_int(&options, "max_pixels", max_pixels_, 0);
  AVFormatContext* opened = nullptr;
  int code = avformat_open_input(&opened, name.c_str(), av_find_input_format(containers.c_str()),
                                 &options);  // if it names a single format
  av_dict_free(&options);
  if (code >= 0) {
    format_.reset(opened);
    code = avformat_find_stream_info(opened, nullptr);
  }
  if (code == AVERROR_EOF) throw InputError(path_, "holds no frame: it ends after its header", codes::no_frame);
  if (code < 0) throw InputError(path_, "is not a readable video (damaged, truncated or of another format): " + words(code));
}

// Chooses the stream that a player shows: the default one, then the largest, then the first; never a cover, a thumbnail track, or
// a part of another picture.
void Container::choose(Notes& notes) {
  bool sound = false;
  int videos = 0;
  std::tuple<bool, int64_t> best;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    const AVCodecParameters* codec = stream->codecpar;
    sound = sound || codec->codec_type == AVMEDIA_TYPE_AUDIO;
    const int no_video = AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS | AV_DISPOSITION_DEPENDENT;
    if (codec->codec_type != AVMEDIA_TYPE_VIDEO || (stream->disposition & no_video)) continue;
    ++videos;
    const bool known = avcodec_find_decoder(codec->codec_id) != nullptr;
    const std::tuple<bool, int64_t> rank = {(stream->disposition & AV_DISPOSITION_DEFAULT) != 0,
                                            known ? static_cast<int64_t>(codec->width) * codec->height : 0};
    if (stream_ != nullptr && rank <= best) continue;
    best = rank;
    stream_ = stream;
  }
  if (stream_ == nullptr)
    throw InputError(path_, sound ? "holds sound but no video stream" : "holds no video stream and no frame",
                     sound ? codes::not_media : codes::no_frame);
  const AVCodecParameters* codec = stream_->codecpar;
  notes.stream = StreamInfo{stream_->index, videos, avcodec_get_name(codec->codec_id), codec->width, codec->height, "", {}, ""};
  if (videos > 1) {
    notes.warn("holds " + std::to_string(videos) + " video streams: number " + std::to_string(stream_->index) + " (" +
               notes.stream->codec + ", " + std::to_string(codec->width) + " x " + std::to_string(codec->height) + ") was read");
  }
}

void Container::start_decoder(bool strict) {
  const AVCodec* codec = avcodec_find_decoder(stream_->codecpar->codec_id);
  if (codec == nullptr) throw InputError(path_, "is encoded with a codec that this FFmpeg cannot decode", codes::unsupported);
  codec_.reset(avcodec_alloc_context3(codec));
  if (!codec_ || avcodec_parameters_to_context(codec_.get(), stream_->codecpar) < 0) throw InputError(path_, "cannot be decoded");
  check_pixels(path_, codec_->width, codec_->height, max_pixels_);
  codec_->pkt_timebase = stream_->time_base;
  codec_->max_pixels = max_pixels_;
  // Slice threads: with frame threads, a damaged frame can be returned before another thread has marked it as damaged.
  codec_->thread_type = FF_THREAD_SLICE;
  codec_->thread_count = 0;
  if (strict) codec_->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BUFFER | AV_EF_BITSTREAM;
  const int code = avcodec_open2(codec_.get(), codec, nullptr);
  if (code < 0) throw InputError(path_, "cannot be decoded: " + words(code));
  packet_.reset(av_packet_alloc());
  frame_.reset(av_frame_alloc());
  if (!packet_ || !frame_) throw std::bad_alloc();
}

AVFrame* Container::next() {
  while (true) {
    int code = avcodec_receive_frame(codec_.get(), frame_.get());
    if (code == AVERROR_EOF) return nullptr;
    if (code >= 0) {
      if (damaged(frame_.get())) throw InputError(path_, "is damaged at frame " + std::to_string(index_ + 1), codes::damaged);
      ++index_;
      check_pixels(path_, frame_->width, frame_->height, max_pixels_);
      return frame_.get();
    }
    if (code != AVERROR(EAGAIN)) fail(code);
    feed();
  }
}

double Container::time_of(const AVFrame* frame) {
  const double step = 1 / frame_rate(format_.get(), stream_);
  std::optional<double> time;
  if (!waiting_.empty()) {
    time = seconds(waiting_.top());
    waiting_.pop();
  } else if (frame->pts != AV_NOPTS_VALUE) {
    time = seconds(frame->pts);
  }
  if (index_ == 0) start_ = time.value_or(0);
  if (!time) {
    last_ = std::max(last_, static_cast<double>(index_) * step);
  } else if (index_ > 0 && *time - start_ <= last_) {
    last_ += step;
    notes_.warn("has times that do not rise: frames were timed by the frame rate where they do not");
  } else {
    last_ = *time - start_;
  }
  return last_;
}

int64_t Container::scan() {
  int64_t count = 0, bytes = 0;
  double reached = -std::numeric_limits<double>::infinity();
  const auto truncated = [&](const std::string& why = "") {
    return InputError(path_, "is truncated or damaged after " + std::to_string(count) + " frames" + why, codes::truncated);
  };
  while (true) {
    const int code = av_read_frame(format_.get(), packet_.get());
    if (code == AVERROR_EOF) break;
    if (code < 0) throw truncated(": " + words(code));
    const AVPacket& p = *packet_;
    if (p.size && (p.flags & AV_PKT_FLAG_CORRUPT)) throw truncated();
    if (p.pts != AV_NOPTS_VALUE) {
      reached = std::max(reached, static_cast<double>(p.pts + p.duration) * av_q2d(format_->streams[p.stream_index]->time_base));
    }
    if (p.stream_index == stream_->index && p.size && !(p.flags & AV_PKT_FLAG_DISCARD)) {
      ++count;
      bytes += p.size;
    }
    av_packet_unref(packet_.get());
  }
  if (format_->pb != nullptr && format_->pb->error < 0 && format_->pb->error != AVERROR_EOF)
    throw truncated(": " + words(format_->pb->error));
  const double stated = format_->duration == AV_NOPTS_VALUE ? 0 : static_cast<double>(format_->duration) / AV_TIME_BASE;
  const std::string name = format_->iformat->name;
  if (name == "ogg" && lacks_ogg_end(path_)) throw truncated(": a stream has no end");
  const bool states_length = name.rfind("matroska", 0) == 0 || name == "avi";
  if (states_length && std::isfinite(reached) && reached + std::max(0.2, 0.02 * stated) < stated) {
    throw InputError(path_, "is truncated or damaged: it ends at " + fixed(reached) + " s of " + fixed(stated) + " s",
                     codes::truncated);
  }
  const double pixels = static_cast<double>(codec_->width) * static_cast<double>(codec_->height) * static_cast<double>(count);
  bits_per_pixel_ = pixels > 0 ? 8 * static_cast<double>(bytes) / pixels : 0;
  return count;
}

bool Container::self_contained() const { return reading_constants().self_contained_codecs.count(codec_->codec->name) > 0; }

bool Container::reorders() const {
  return reading_constants().reordering_codecs.count(codec_->codec->name) > 0 && codec_->has_b_frames > 0;
}

std::vector<PacketNote> Container::notes() {
  std::vector<PacketNote> found;
  while (next_packet()) {
    if (packet_->pts == AV_NOPTS_VALUE) throw SeekFailed();
    found.push_back({packet_->pts, (packet_->flags & AV_PKT_FLAG_KEY) != 0, (packet_->flags & AV_PKT_FLAG_DISCARD) == 0});
  }
  return found;
}

// Reads the next packet with a frame; false at the end.
bool Container::next_packet() {
  while (true) {
    av_packet_unref(packet_.get());
    const int code = av_read_frame(format_.get(), packet_.get());
    if (code == AVERROR_EOF) return false;
    if (code < 0) throw SeekFailed();
    if (packet_->stream_index == stream_->index && packet_->size) return true;
  }
}

void Container::feed() {
  while (true) {
    const int code = av_read_frame(format_.get(), packet_.get());
    if (code == AVERROR_EOF) {
      avcodec_send_packet(codec_.get(), nullptr);
      return;
    }
    if (code < 0) fail(code);
    const bool ours = packet_->stream_index == stream_->index;
    if (ours && packet_->size && packet_->dts != AV_NOPTS_VALUE && is_avi(format_.get())) waiting_.push(packet_->dts);
    const int sent = ours ? avcodec_send_packet(codec_.get(), packet_.get()) : 0;
    av_packet_unref(packet_.get());
    if (sent < 0) fail(sent);
    if (ours) return;
  }
}

void Container::fail(int code) const {
  throw InputError(path_,
                   index_ >= 0 ? "cannot be decoded after frame " + std::to_string(index_) + ": " + words(code)
                               : "cannot be decoded: " + words(code),
                   index_ >= 0 ? codes::damaged : codes::unreadable);
}

}  // namespace fpg::runtime
