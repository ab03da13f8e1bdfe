/* fpg's video runtime for C, and for languages that can call C. No exception leaves these functions; only one thread at a time
 * may use a detector. */
#ifndef FPG_RUNTIME_C_H
#define FPG_RUNTIME_C_H

#if defined(_WIN32)
#define FPG_RUNTIME_C_API
#else
#define FPG_RUNTIME_C_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fpg_detector fpg_detector;

/* Loads a model: a packaged one by name, a file (.xml, .engine) with its sidecar or a folder with one; NULL is the starter.
 * options: NULL, or JSON with any of "frames", "every", "batch", "threads", "threshold", "timeout", "decode", "min_face",
 * "face_models".
 * Returns NULL on failure; *error (error may be NULL) is then a message, to be freed with fpg_string_free. */
FPG_RUNTIME_C_API fpg_detector* fpg_detector_create(const char* model, const char* options, char** error);

/* Judges a video, image or folder of frames: one of fpg-detect's results as JSON, to be freed with fpg_string_free.
 * An input that cannot be judged has an "error" there. NULL only if memory runs out. */
FPG_RUNTIME_C_API char* fpg_detector_judge(fpg_detector* detector, const char* path);

FPG_RUNTIME_C_API void fpg_detector_destroy(fpg_detector* detector);
FPG_RUNTIME_C_API void fpg_string_free(char* text);

#ifdef __cplusplus
}
#endif
#endif
