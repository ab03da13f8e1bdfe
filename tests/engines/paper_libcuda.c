/* A CUDA driver on paper, for tests where there is no GPU: one device whose memory is the host's, at addresses that are not.
 *
 * What is queued on a stream runs only when someone waits for it, so work that is read too early is seen; capturing keeps it for the
 * graph. `paper_launch` queues a kernel: a function that gets pointers which may be read. The test adds the symbols that PyCUDA asks for
 * and nobody calls here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;
enum { SUCCESS = 0, INVALID_VALUE = 1, INVALID_CONTEXT = 201, NOT_PERMITTED = 800, NOT_FOUND = 500 };
enum { TO_DEVICE, TO_HOST, KERNEL, MARK };
static const CUdeviceptr AWAY = 0x7000000000000000; /* added to addresses on the device: reading them from the host ends the program */

typedef struct {
  int kind;
  void *to;
  const void *from;
  size_t size;
  void (*kernel)(void);
} Work;
typedef struct {
  Work *work;
  size_t count, room;
} List;
typedef struct {
  List waiting, kept;
  int capturing;
} Stream;
typedef struct {
  Stream *stream;
  int reached;
} Event;

static int context_of_process;
static _Thread_local int depth; /* how often the context was pushed by this thread */
int paper_waits, paper_captures, paper_launches, paper_copies;

static void add(List *list, Work work) {
  if (list->count == list->room) list->work = realloc(list->work, (list->room = 2 * list->room + 8) * sizeof(Work));
  list->work[list->count++] = work;
}
static void run(Stream *stream) {
  for (size_t i = 0; i < stream->waiting.count; ++i) {
    Work *work = &stream->waiting.work[i];
    if (work->kind == KERNEL) work->kernel();
    else if (work->kind == MARK) ((Event *)work->to)->reached = 1;
    else memcpy(work->to, work->from, work->size), ++paper_copies;
  }
  stream->waiting.count = 0;
}
static CUresult queue(Stream *stream, Work work) {
  if (!depth) return INVALID_CONTEXT;
  if (!stream) return INVALID_VALUE; /* the default stream waits for all others: no engine should use it */
  add(stream->capturing ? &stream->kept : &stream->waiting, work);
  return SUCCESS;
}

CUresult cuInit(unsigned flags) { return SUCCESS; }
CUresult cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
CUresult cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
CUresult cuDeviceGet(int *device, int ordinal) { return *device = 0, SUCCESS; }
CUresult cuDeviceGetName(char *name, int length, int device) { return strncpy(name, "A card on paper", length), SUCCESS; }
CUresult cuDeviceComputeCapability(int *major, int *minor, int device) { return *major = 8, *minor = 6, SUCCESS; }
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
  return *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 1, SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(void **context, int device) { return *context = &context_of_process, SUCCESS; }
CUresult cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
CUresult cuCtxPushCurrent_v2(void *context) { return ++depth, SUCCESS; }
CUresult cuCtxPopCurrent_v2(void **context) {
  if (!depth) return INVALID_CONTEXT;
  if (context) *context = &context_of_process;
  return --depth, SUCCESS;
}
CUresult cuCtxGetDevice(int *device) { return *device = 0, depth ? SUCCESS : INVALID_CONTEXT; }
CUresult cuCtxSynchronize(void) { return SUCCESS; }
CUresult cuGetErrorString(CUresult code, const char **text) { return *text = "an error on paper", SUCCESS; }

CUresult cuMemHostAlloc(void **address, size_t size, unsigned flags) {
  return depth ? (*address = malloc(size), SUCCESS) : INVALID_CONTEXT;
}
CUresult cuMemFreeHost(void *address) { return free(address), SUCCESS; }
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
  return depth ? (*address = (CUdeviceptr)malloc(size) + AWAY, SUCCESS) : INVALID_CONTEXT;
}
CUresult cuMemFree_v2(CUdeviceptr address) { return free((void *)(address - AWAY)), SUCCESS; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, Stream *stream) {
  return queue(stream, (Work){TO_DEVICE, (void *)(to - AWAY), from, size, 0});
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, Stream *stream) {
  return queue(stream, (Work){TO_HOST, to, (const void *)(from - AWAY), size, 0});
}

CUresult cuStreamCreate(Stream **stream, unsigned flags) {
  if (!depth || flags != 1) return INVALID_CONTEXT;
  return *stream = calloc(1, sizeof(Stream)), SUCCESS;
}
CUresult cuStreamDestroy_v2(Stream *stream) { return SUCCESS; }
CUresult cuStreamSynchronize(Stream *stream) {
  if (stream->capturing) return NOT_PERMITTED;
  return ++paper_waits, run(stream), SUCCESS;
}
CUresult cuEventCreate(Event **event, unsigned flags) { return *event = calloc(1, sizeof(Event)), SUCCESS; }
CUresult cuEventDestroy_v2(Event *event) { return SUCCESS; }
CUresult cuEventRecord(Event *event, Stream *stream) {
  event->stream = stream, event->reached = 0;
  return queue(stream, (Work){MARK, event, 0, 0, 0});
}
CUresult cuEventSynchronize(Event *event) {
  if (!event->reached && event->stream) run(event->stream);
  return ++paper_waits, SUCCESS;
}
CUresult cuEventElapsedTime_v2(float *milliseconds, Event *start, Event *end) {
  if (!start->reached || !end->reached) return NOT_PERMITTED;
  return *milliseconds = 2, SUCCESS;
}

CUresult cuStreamBeginCapture_v2(Stream *stream, int mode) {
  if (stream->capturing) return NOT_PERMITTED;
  return stream->capturing = 1, stream->kept = (List){0}, ++paper_captures, SUCCESS;
}
CUresult cuStreamEndCapture(Stream *stream, List **graph) {
  if (!stream->capturing) return NOT_PERMITTED;
  *graph = malloc(sizeof(List)), **graph = stream->kept;
  return stream->capturing = 0, SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(List **runnable, List *graph, unsigned long long flags) { return *runnable = graph, SUCCESS; }
CUresult cuGraphLaunch(List *graph, Stream *stream) {
  for (size_t i = 0; i < graph->count; ++i)
    if (queue(stream, graph->work[i])) return INVALID_CONTEXT;
  return ++paper_launches, SUCCESS;
}

/* Queue a kernel. */
CUresult paper_launch(void (*kernel)(void), Stream *stream) { return queue(stream, (Work){KERNEL, 0, 0, 0, kernel}); }
/* What a kernel sees behind a device address. */
void *paper_pointer(CUdeviceptr address) { return (void *)(address - AWAY); }

/* cuda-bindings asks for everything by name. */
CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *found) {
  static void *own;
  char name[96];
  static const char *const suffixes[] = {"_v2", "WithFlags", ""};
  Dl_info here;
  if (!own && dladdr((void *)&cuGetProcAddress_v2, &here)) own = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  *function = 0;
  for (int i = 0; i < 3 && !*function; ++i) {
    strncpy(name, symbol, 80), name[80] = 0, strcat(name, suffixes[i]);
    *function = dlsym(own, name);
  }
  if (found) *found = *function ? 0 : 1;
  return *function ? SUCCESS : NOT_FOUND;
}
