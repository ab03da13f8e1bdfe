// The shortest program on fpg's runtime: judge one video.
//
//   cmake -S deploy/examples -B build/example -DCMAKE_PREFIX_PATH=WHERE_FPG_WAS_INSTALLED && cmake --build build/example
//   FPG_FACE_MODELS=... build/example/judge model.xml clip.mp4

#include <fpg_runtime/runtime.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: judge ENGINE VIDEO\n";
    return 2;
  }
  try {
    fpg::runtime::Options options;
    options.frames = 8;
    fpg::runtime::VideoDetector detector(argv[1], options);
    const fpg::runtime::Judgement judgement = detector.judge(argv[2]);
    std::cout << fpg::runtime::to_json(judgement) << "\n";
    return judgement.error.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
