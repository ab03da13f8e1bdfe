#include "video.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

namespace fpg::runtime {
namespace {

constexpr int64_t kMaxVideoPixels = 40'000'000;
constexpr int64_t kMaxImagePixels = 100'000'000;
// Only containers that hold their own data: no playlists or scripts that name other files.
constexpr const char* kContainers =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,gif,yuv4mpegpipe,h264,hevc,m4v,ivf,"
    "mp3,wav,flac,aac,w64,aiff";
constexpr const char* kImageContainers =
    "image2,png_pipe,jpeg_pipe,bmp_pipe,webp_pipe,tiff_pipe,ppm_pipe,pgm_pipe,j2k_pipe,gif,mjpeg";

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
struct FreeScaler {
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};

std::string words(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

void check_pixels(const std::string& path, int64_t width, int64_t height, int64_t limit) {
  if (width < 0 || height < 0 || (height > 0 && width > limit / height)) {
    throw InputError(path,
                     "is too large: " + std::to_string(width) + " x " + std::to_string(height) + " pixels, the limit is " +
                         std::to_string(limit / 1'000'000) + " megapixels",
                     codes::too_large);
  }
}

// Decoders that give one frame for each packet and can start at any key frame; others (VP8, MPEG-4 part 2) may hide frames.
const std::set<std::string> kSelfContained = {"h264",     "hevc",  "vp9",    "libvpx-vp9", "av1",
                                              "libdav1d", "mjpeg", "prores", "ffv1",       "mpeg2video"};

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

bool damaged(const AVFrame* frame) { return frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT); }

// An opened file with a decoder for its video.
class Container {
 public:
  Container(const std::string& path, const char* containers, int64_t max_pixels, bool strict = false)
      : path_(path), max_pixels_(max_pixels) {
    check_file(path);
    av_log_set_level(AV_LOG_QUIET);  // what matters is in our own messages
    AVDictionary* options = nullptr;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "format_whitelist", containers, 0);
    av_dict_set_int(&options, "max_pixels", max_pixels, 0);
    AVFormatContext* opened = nullptr;
    int code = avformat_open_input(&opened, ("file:" + std::filesystem::absolute(path).string()).c_str(), nullptr, &options);
    av_dict_free(&options);
    if (code >= 0) {
      format_.reset(opened);
      code = avformat_find_stream_info(opened, nullptr);
    }
    if (code == AVERROR_EOF) throw InputError(path, "holds no frame: it ends after its header", codes::no_frame);
    if (code < 0) throw InputError(path, "is not a readable video (damaged, truncated or of another format): " + words(code));
    bool sound = false;
    for (unsigned i = 0; i < format_->nb_streams && stream_ == nullptr; ++i) {
      AVStream* stream = format_->streams[i];
      sound = sound || stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
      if (stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
        stream_ = stream;
    }
    if (stream_ == nullptr)
      throw InputError(path, sound ? "holds sound but no video stream" : "holds no video stream and no frame",
                       sound ? codes::not_media : codes::no_frame);
    const AVCodec* codec = avcodec_find_decoder(stream_->codecpar->codec_id);
    if (codec == nullptr) throw InputError(path, "is encoded with a codec that this FFmpeg cannot decode", codes::unsupported);
    codec_.reset(avcodec_alloc_context3(codec));
    if (!codec_ || avcodec_parameters_to_context(codec_.get(), stream_->codecpar) < 0)
      throw InputError(path, "cannot be decoded");
    check_pixels(path, codec_->width, codec_->height, max_pixels);
    codec_->pkt_timebase = stream_->time_base;
    codec_->max_pixels = max_pixels;
    // Slices, not frames: with frame threads a damaged frame can come out before another thread has marked it as damaged.
    codec_->thread_type = FF_THREAD_SLICE;
    codec_->thread_count = 0;
    if (strict) codec_->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BUFFER | AV_EF_BITSTREAM;
    code = avcodec_open2(codec_.get(), codec, nullptr);
    if (code < 0) throw InputError(path, "cannot be decoded: " + words(code));
    packet_.reset(av_packet_alloc());
    frame_.reset(av_frame_alloc());
    if (!packet_ || !frame_) throw std::bad_alloc();
  }

  // The next decoded frame, nullptr at the end. A frame that the decoder had to patch up counts as damage.
  AVFrame* next() {
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

  // Seconds of the frame by the stream's clock; nothing if the stream has none.
  bool time_of(const AVFrame* frame, double& seconds) const {
    if (frame->pts == AV_NOPTS_VALUE) return false;
    seconds = this->seconds(frame->pts);
    return true;
  }

  double rate() const {
    for (const AVRational rate : {stream_->avg_frame_rate, av_guess_frame_rate(format_.get(), stream_, nullptr)}) {
      if (rate.num > 0 && rate.den > 0) return av_q2d(rate);
    }
    return 25;
  }

  // Frames by the packets of the whole file, without decoding.
  int64_t scan() {
    int64_t count = 0;
    double reached = -std::numeric_limits<double>::infinity();
    while (true) {
      const int code = av_read_frame(format_.get(), packet_.get());
      if (code == AVERROR_EOF) break;
      if (code < 0)
        throw InputError(path_, "is truncated or damaged after " + std::to_string(count) + " frames: " + words(code),
                         codes::truncated);
      const AVPacket& p = *packet_;
      if (p.size && (p.flags & AV_PKT_FLAG_CORRUPT)) {
        throw InputError(path_, "is truncated or damaged after " + std::to_string(count) + " frames", codes::truncated);
      }
      if (p.pts != AV_NOPTS_VALUE) {
        reached =
            std::max(reached, static_cast<double>(p.pts + p.duration) * av_q2d(format_->streams[p.stream_index]->time_base));
      }
      if (p.stream_index == stream_->index && p.size && !(p.flags & AV_PKT_FLAG_DISCARD)) ++count;
      av_packet_unref(packet_.get());
    }
    if (format_->pb != nullptr && format_->pb->error < 0 && format_->pb->error != AVERROR_EOF) {
      throw InputError(path_, "is truncated or damaged after " + std::to_string(count) + " frames: " + words(format_->pb->error),
                       codes::truncated);
    }
    const double stated = format_->duration == AV_NOPTS_VALUE ? 0 : static_cast<double>(format_->duration) / AV_TIME_BASE;
    const std::string name = format_->iformat->name;
    const bool states_length = name.rfind("matroska", 0) == 0 || name.rfind("avi", 0) == 0;
    if (states_length && std::isfinite(reached) && reached + std::max(0.2, 0.02 * stated) < stated) {
      throw InputError(path_, "is truncated or damaged: it ends at " + fixed(reached) + " s of " + fixed(stated) + " s",
                       codes::truncated);
    }
    return count;
  }

  bool self_contained() const { return kSelfContained.count(codec_->codec->name) > 0; }

  double seconds(int64_t time) const { return static_cast<double>(time) * av_q2d(stream_->time_base); }

  // The packets that hold frames, in their order in the file.
  std::vector<PacketNote> notes() {
    std::vector<PacketNote> found;
    while (next_packet()) {
      if (packet_->pts == AV_NOPTS_VALUE) throw Stumbled();
      found.push_back({packet_->pts, (packet_->flags & AV_PKT_FLAG_KEY) != 0, (packet_->flags & AV_PKT_FLAG_DISCARD) == 0});
    }
    return found;
  }

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

  Image to_rgb(const AVFrame* frame) {
    // Fields of an interlaced frame are converted apart, as newer versions of FFmpeg do: each has chroma of its own.
    const int fields = frame->interlaced_frame && frame->height % 4 == 0 ? 2 : 1;
    prepare_scaler(frame, fields);
    // Rows of the scaler's output may be written past their end: they get room, and are copied from there.
    const int stride = (3 * frame->width + 63) / 64 * 64 + 64;
    rows_.resize(static_cast<size_t>(stride) * static_cast<size_t>(frame->height) + 64);
    for (int field = 0; field < fields; ++field) {
      const uint8_t* from[4];
      int lines[4];
      for (int plane = 0; plane < 4; ++plane) {
        // A palette is in the second plane, and has no lines.
        const bool lined = frame->linesize[plane] != 0;
        from[plane] = frame->data[plane] + (lined ? field * frame->linesize[plane] : 0);
        lines[plane] = fields * frame->linesize[plane];
      }
      uint8_t* to[4] = {rows_.data() + field * stride, nullptr, nullptr, nullptr};
      const int strides[4] = {fields * stride, 0, 0, 0};
      const int code = sws_scale(scaler_.get(), from, lines, 0, frame->height / fields, to, strides);
      if (code < 0) refuse_pixels(frame, words(code));
    }
    Image image(frame->height, frame->width);
    for (int y = 0; y < image.height; ++y) {
      std::copy_n(rows_.data() + static_cast<size_t>(y) * static_cast<size_t>(stride), 3 * static_cast<size_t>(image.width),
                  image.row(y));
    }
    return oriented(image, frame);
  }

 private:
  // To RGB with the stream's own matrix and range; untagged ones count as BT.601, limited range.
  void prepare_scaler(const AVFrame* frame, int fields) {
    const std::array<int, 6> kind = {frame->width, frame->height, frame->format, fields, frame->colorspace, frame->color_range};
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
        format->log2_chroma_w == 1) {  // chroma lies with the left luma sample, unless a stream says otherwise
      const bool centre = frame->chroma_location == AVCHROMA_LOC_CENTER || frame->chroma_location == AVCHROMA_LOC_TOP;
      av_opt_set_int(options, "src_h_chr_pos", centre ? 128 : 0, 0);
      if (format->log2_chroma_h == 1) av_opt_set_int(options, "src_v_chr_pos", 128, 0);
    }
    const int code = sws_init_context(scaler_.get(), nullptr, nullptr);
    if (code < 0) refuse_pixels(frame, words(code));
    int *inverse = nullptr, *table = nullptr, from = 0, to = 0, brightness = 0, contrast = 0, saturation = 0;
    if (sws_getColorspaceDetails(scaler_.get(), &inverse, &from, &table, &to, &brightness, &contrast, &saturation) >= 0) {
      const int full = frame->color_range == AVCOL_RANGE_JPEG || from == 1;
      sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(frame->colorspace), full, table, to, brightness, contrast,
                               saturation);
    }
    kind_ = kind;
  }

  [[noreturn]] void refuse_pixels(const AVFrame* frame, const std::string& why) const {
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame->format));
    throw InputError(path_, std::string("has pixels of format ") + (name ? name : "?") + " that cannot be converted: " + why,
                     codes::unsupported);
  }

  // Reads the next packet with a frame; false at the end.
  bool next_packet() {
    while (true) {
      av_packet_unref(packet_.get());
      const int code = av_read_frame(format_.get(), packet_.get());
      if (code == AVERROR_EOF) return false;
      if (code < 0) throw Stumbled();
      if (packet_->stream_index == stream_->index && packet_->size) return true;
    }
  }

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

  void feed() {
    while (true) {
      const int code = av_read_frame(format_.get(), packet_.get());
      if (code == AVERROR_EOF) {
        avcodec_send_packet(codec_.get(), nullptr);
        return;
      }
      if (code < 0) fail(code);
      const bool ours = packet_->stream_index == stream_->index;
      const int sent = ours ? avcodec_send_packet(codec_.get(), packet_.get()) : 0;
      av_packet_unref(packet_.get());
      if (sent < 0) fail(sent);
      if (ours) return;
    }
  }

  [[noreturn]] void fail(int code) const {
    throw InputError(path_,
                     index_ >= 0 ? "cannot be decoded after frame " + std::to_string(index_) + ": " + words(code)
                                 : "cannot be decoded: " + words(code),
                     index_ >= 0 ? codes::damaged : codes::unreadable);
  }

  // Turned and mirrored as the display matrix (of the frame, else of the stream) says.
  Image oriented(const Image& image, const AVFrame* frame) const {
    const int32_t* matrix = nullptr;
    if (const AVFrameSideData* side = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
        side != nullptr && side->size >= 36) {
      matrix = reinterpret_cast<const int32_t*>(side->data);
    } else {
      size_t size = 0;
      const uint8_t* data = av_stream_get_side_data(stream_, AV_PKT_DATA_DISPLAYMATRIX, &size);
      if (data != nullptr && size >= 36) matrix = reinterpret_cast<const int32_t*>(data);
    }
    if (matrix == nullptr) return image;
    const double angle = av_display_rotation_get(matrix);
    return std::isfinite(angle) ? rotated(image, static_cast<int>(std::nearbyint(angle / 90))) : image;
  }

  std::string path_;
  int64_t max_pixels_;
  std::unique_ptr<AVFormatContext, FreeFormat> format_;
  AVStream* stream_ = nullptr;
  std::unique_ptr<AVCodecContext, FreeCodec> codec_;
  std::unique_ptr<AVPacket, FreePacket> packet_;
  std::unique_ptr<AVFrame, FreeFrame> frame_;
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  std::array<int, 6> kind_{};  // of the frames that the scaler is for
  std::vector<uint8_t> rows_;
  int64_t index_ = -1;
  int64_t packets_ = 0;  // that `decode` has read
};

// What to decode for frames by their indices in order of time, and the time stamps of all frames in that order.
std::pair<std::vector<Stretch>, std::vector<int64_t>> plan(const std::vector<PacketNote>& notes,
                                                           const std::vector<int64_t>& indices) {
  std::vector<int64_t> shown;
  for (size_t i = 0; i < notes.size(); ++i) {
    if (notes[i].shown) shown.push_back(static_cast<int64_t>(i));
  }
  const auto time = [&](int64_t position) { return notes[static_cast<size_t>(position)].time; };
  std::stable_sort(shown.begin(), shown.end(), [&](int64_t a, int64_t b) { return time(a) < time(b); });
  std::vector<int64_t> times;
  for (const int64_t position : shown) times.push_back(time(position));
  if (indices.back() >= static_cast<int64_t>(times.size()) || std::adjacent_find(times.begin(), times.end()) != times.end())
    throw Stumbled();
  std::vector<Stretch> stretches;
  for (const int64_t index : indices) {
    const int64_t last = shown[static_cast<size_t>(index)];
    int64_t first = last;
    while (first > 0 && !(notes[static_cast<size_t>(first)].key && time(first) <= time(last))) --first;
    if (!stretches.empty() && first <= stretches.back().last + 1) {
      stretches.back().last = std::max(last, stretches.back().last);
    } else {
      stretches.push_back({first, last, time(first)});
    }
  }
  return {std::move(stretches), std::move(times)};
}

// Gives the wanted frames and says in `given` how many; false when `take` wants no more. Throws Stumbled.
bool decode_stretches(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, const Stopped& stopped,
                      size_t& given) {
  Container packets(path, kContainers, kMaxVideoPixels);
  if (!packets.self_contained()) throw Stumbled();
  const auto [stretches, times] = plan(packets.notes(), indices);
  Container container(path, kContainers, kMaxVideoPixels);
  for (const Stretch& stretch : stretches) {
    const bool goes_on = container.decode(stretch, [&](const AVFrame* frame) {
      if (stopped && stopped()) return false;
      if (frame->pts == AV_NOPTS_VALUE) throw Stumbled();
      if (frame->pts < stretch.from_time) return true;
      if (damaged(frame)) throw Stumbled();
      if (given == indices.size()) return true;
      const int64_t index = indices[given], time = times[static_cast<size_t>(index)];
      if (frame->pts != time) return true;
      ++given;
      return take({index, container.seconds(time) - container.seconds(times[0]), container.to_rgb(frame)});
    });
    if (!goes_on) return false;
  }
  if (given < indices.size()) throw Stumbled();
  return true;
}

// The first bytes of a file.
std::array<uint8_t, 24> start_of(const std::string& path) {
  check_file(path);
  std::array<uint8_t, 24> bytes{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(bytes.data()), bytes.size());
  return bytes;
}

std::vector<int64_t> wanted(int64_t available, int frames, int every) {
  if (frames > 0) return sample_indices(available, frames);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < available; i += every) indices.push_back(i);
  return indices;
}

// How many frames to count on after a pass that met fewer than there are packets. Throws when over a tenth is missing.
int64_t decodable(const std::string& path, const FrameCountError& error, int64_t packets) {
  if (error.decoded() < std::max<int64_t>(1, packets * 9 / 10)) {
    throw InputError(
        path,
        "is truncated or damaged: only " + std::to_string(error.decoded()) + " of " + std::to_string(packets) + " frames decode",
        codes::truncated);
  }
  return error.decoded();
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto lower = [](char c) { return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t ie = i, je = j;
      while (ie < a.size() && digit(a[ie])) ++ie;
      while (je < b.size() && digit(b[je])) ++je;
      const std::string x = a.substr(i, ie - i), y = b.substr(j, je - j);
      const std::string u = x.substr(std::min(x.find_first_not_of('0'), x.size())),
                        v = y.substr(std::min(y.find_first_not_of('0'), y.size()));
      if (u.size() != v.size()) return u.size() < v.size();
      if (u != v) return u < v;
      i = ie;
      j = je;
    } else {
      if (lower(a[i]) != lower(b[j])) return lower(a[i]) < lower(b[j]);
      ++i;
      ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;
}

void check_file(const std::string& path) {
  struct stat info{};
  if (path.find('\0') != std::string::npos) throw InputError(path, "embedded null byte");
  if (stat(path.c_str(), &info) != 0) {
    const int code = errno;
    throw InputError(path, code == ENOENT ? "no such file" : std::strerror(code), code_of(code));
  }
  if (!S_ISREG(info.st_mode)) throw InputError(path, "is not a file", codes::not_a_file);
  if (info.st_size == 0) throw InputError(path, "is empty (0 bytes)", codes::empty);
  const std::string what = foreign_kind(path);
  if (!what.empty()) throw InputError(path, "is " + what + ", and neither a picture nor a video", codes::not_media);
}

std::vector<std::string> frame_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && is_image_name(name) && entry.is_regular_file()) files.push_back(entry.path().string());
  }
  if (error) throw InputError(folder, error.message(), code_of(error.value()));
  std::sort(files.begin(), files.end(), natural_less);
  return files;
}

std::vector<int64_t> sample_indices(int64_t total, int64_t count) {
  std::vector<int64_t> indices;
  if (total < 1) return indices;
  if (count > total) count = total;
  if (count == 1) return {0};
  const double step = static_cast<double>(total - 1) / static_cast<double>(count - 1);
  for (int64_t i = 0; i < count; ++i) {
    // numpy.linspace: i * step, and the end itself last.
    const auto index = i == count - 1 ? total - 1 : static_cast<int64_t>(static_cast<double>(i) * step);
    if (indices.empty() || index > indices.back()) indices.push_back(index);
  }
  return indices;
}

int64_t count_frames(const std::string& path) {
  if (Container(path, kContainers, kMaxVideoPixels).next() == nullptr)
    throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  const int64_t count = Container(path, kContainers, kMaxVideoPixels).scan();
  if (count == 0) throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  return count;
}

void read_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, const Stopped& stopped) {
  Container container(path, kContainers, kMaxVideoPixels);
  const double rate = container.rate();
  double start = 0;
  int64_t decoded = 0;
  size_t position = 0;
  while (position < indices.size()) {
    if (stopped && stopped()) return;
    const AVFrame* frame = container.next();
    if (frame == nullptr) {
      throw FrameCountError(
          path, "ends after " + std::to_string(decoded) + " frames, frame " + std::to_string(indices.back()) + " was asked for",
          decoded);
    }
    double time = 0;
    const bool timed = container.time_of(frame, time);
    if (decoded == 0) start = timed ? time : 0;
    if (decoded == indices[position]) {
      ++position;
      if (!take({decoded, timed ? time - start : static_cast<double>(decoded) / rate, container.to_rgb(frame)})) return;
    }
    ++decoded;
  }
}

void read_needed_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take,
                        const Stopped& stopped) {
  if (indices.empty()) return;
  size_t given = 0;
  try {
    decode_stretches(path, indices, take, stopped, given);
  } catch (const Stumbled&) {
    read_frames(path, {indices.begin() + static_cast<std::ptrdiff_t>(given), indices.end()}, take, stopped);
  }
}

Image read_image(const std::string& path) {
  const std::array<uint8_t, 24> start = start_of(path);
  if (start[0] == 0xff && start[1] == 0xd8 && start[2] == 0xff) return read_jpeg(path, kMaxImagePixels);
  const bool png =
      std::equal(start.begin(), start.begin() + 4, "\x89PNG", [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
  if (png) {
    // Looked at here, because the decoder does not say why it refuses.
    const auto number = [&](size_t at) {
      return int64_t{start[at]} << 24 | start[at + 1] << 16 | start[at + 2] << 8 | start[at + 3];
    };
    check_pixels(path, number(16), number(20), kMaxImagePixels);
  }
  try {
    Container container(path, kImageContainers, kMaxImagePixels, true);
    const AVFrame* frame = container.next();
    if (frame == nullptr) throw InputError(path, "is not a readable image (damaged, or of another format)");
    return container.to_rgb(frame);
  } catch (const InputError& error) {
    const std::string& reason = error.reason();
    const bool undecoded = reason.rfind("cannot be decoded", 0) == 0;
    if (reason.rfind("is not a readable video", 0) == 0 || reason.rfind("holds", 0) == 0 || (undecoded && !png)) {
      throw InputError(path, "is not a readable image (damaged, or of another format)");
    }
    if (undecoded || reason.rfind("is damaged at", 0) == 0) throw InputError(path, "is damaged or truncated", codes::damaged);
    throw;
  }
}

void read_input(const std::string& path, const Options& options, const TakeFrame& take, const Stopped& stopped) {
  const int frames = options.frames, every = options.every;
  const auto read = options.decode == "needed" ? read_needed_frames : read_frames;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    const std::vector<std::string> files = frame_files(path);
    if (files.empty()) throw InputError(path, "the folder holds no images", codes::empty);
    const std::vector<int64_t> indices = wanted(static_cast<int64_t>(files.size()), frames, every);
    for (const int64_t i : indices) {
      // A folder of frames has no clock: one frame per second stands in for it.
      if (!take({i, static_cast<double>(i), read_image(files[static_cast<size_t>(i)])})) return;
    }
    return;
  }
  check_file(path);
  if (is_image_name(path)) {
    take({0, 0, read_image(path)});
    return;
  }
  const int64_t packets = count_frames(path);
  std::vector<int64_t> indices = wanted(packets, frames, every);
  try {
    read(path, indices, take, stopped);
  } catch (const FrameCountError& error) {
    const int64_t total = decodable(path, error, packets);
    if (frames == 0) return;  // frames in steps do not depend on how many there are
    indices = wanted(total, frames, every);
    read(path, indices, take, stopped);
  }
}

}  // namespace fpg::runtime
