#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

typedef struct {
  const uint8_t *data;
  size_t size;
  uint64_t offset;
  char *message;
  int failed;
} Source;

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t count) {
  Source *source = handle;
  if (count < 0 || source->offset >= source->size) return 0;
  uint64_t left = source->size - source->offset;
  size_t taken = (uint64_t)count < left ? (size_t)count : (size_t)left;
  memcpy(out, source->data + source->offset, taken);
  source->offset += taken;
  return (tmsize_t)taken;
}

static tmsize_t write_nothing(thandle_t handle, void *bytes, tmsize_t count) {
  (void)handle, (void)bytes, (void)count;
  return -1;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Source *source = handle;
  uint64_t base = whence == SEEK_CUR ? source->offset : whence == SEEK_END ? source->size : 0;
  source->offset = base + offset;
  return source->offset;
}

static int close_nothing(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t length(thandle_t handle) { return ((Source *)handle)->size; }

#if TIFFLIB_VERSION >= 20221213
// The first error is kept; a file with any is refused. libtiff warns about tags that do not change the pixels.
static int keep_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)module;
  Source *source = user;
  if (!source->failed) vsnprintf(source->message, CI_MESSAGE, format, arguments);
  source->failed = 1;
  return 1;
}

static int stay_silent(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)user, (void)module, (void)format, (void)arguments;
  return 1;
}

// `memory`: the most that libtiff may take at once, in bytes.
static TIFF *begin(Source *source, size_t memory) {
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return NULL;
  TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, source);
  TIFFOpenOptionsSetWarningHandlerExtR(options, stay_silent, source);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)memory);
  TIFF *tiff = TIFFClientOpenExt("picture", "rm", source, read_bytes, write_nothing, seek, close_nothing, length, NULL,
                                 NULL, options);
  TIFFOpenOptionsFree(options);
  return tiff;
}
#else
// Before 4.5 handlers belong to the whole process, and memory has no bound of its own.
static TIFF *begin(Source *source, size_t memory) {
  (void)memory;
  TIFFSetErrorHandler(NULL);
  TIFFSetWarningHandler(NULL);
  return TIFFClientOpen("picture", "rm", source, read_bytes, write_nothing, seek, close_nothing, length, NULL, NULL);
}
#endif

static int read_header(TIFF *tiff, ci_info *info, char *message) {
  uint32_t width = 0, height = 0;
  uint16_t orientation = ORIENTATION_TOPLEFT;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height) ||
      width > INT32_MAX || height > INT32_MAX)
    return ci_fail(message, "the TIFF has no size");
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
  *info = (ci_info){(int32_t)width, (int32_t)height, 3};
  if (orientation >= 1 && orientation <= 8) ci_orient_info(info, orientation);
  return 0;
}

int ci_tiff_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  Source source = {.data = data, .size = size, .message = message};
  ci_fail(message, "the TIFF header is damaged");
  TIFF *tiff = begin(&source, 1 << 24);
  int status = tiff ? read_header(tiff, info, message) : -1;
  if (tiff) TIFFClose(tiff);
  return status;
}

// libtiff turns any 8-bit or 16-bit layout into words of red, green, blue and alpha from the lowest byte on.
static int decode(TIFF *tiff, Source *source, ci_request request, uint8_t **pixels, ci_info *info) {
  if (read_header(tiff, info, source->message)) return -1;
  if (ci_check_size(*info, request.max_pixels, INT64_MAX, source->message)) return -1;
  uint16_t orientation = ORIENTATION_TOPLEFT;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
  if (orientation < 1 || orientation > 8) orientation = 1;
  ci_info stored = *info;
  ci_orient_info(&stored, orientation);
  size_t count = (size_t)info->width * info->height;
  // Its own words for the rows as they are stored; turning them is done here, as for other pictures.
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  char reason[1024] = "";
  if (!TIFFRGBAImageOK(tiff, reason)) return ci_fail(source->message, "%s", reason);
  uint32_t *words = malloc(count * sizeof *words);
  if (!words) return ci_fail(source->message, "no memory for the pixels");
  uint8_t *decoded = NULL;
  int status = -1;
  if (TIFFReadRGBAImageOriented(tiff, (uint32_t)stored.width, (uint32_t)stored.height, words, ORIENTATION_TOPLEFT, 1) &&
      !source->failed) {
    decoded = ci_allocate(stored, request.channels);
    if (decoded) {
      for (size_t i = 0; i < count; i++) {
        decoded[3 * i] = (uint8_t)TIFFGetR(words[i]);
        decoded[3 * i + 1] = (uint8_t)TIFFGetG(words[i]);
        decoded[3 * i + 2] = (uint8_t)TIFFGetB(words[i]);
      }
      status = ci_orient(&decoded, &stored, orientation, source->message);
    } else {
      ci_fail(source->message, "no memory for the pixels");
    }
  }
  free(words);
  if (status) free(decoded);
  else *pixels = decoded;
  return status;
}

int ci_tiff_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message) {
  Source source = {.data = data, .size = size, .message = message};
  ci_fail(message, "the TIFF is damaged");
  TIFF *tiff = begin(&source, 16 * (size_t)request.max_pixels + (1 << 24));
  if (!tiff) return -1;
  int status = decode(tiff, &source, request, pixels, info);
  TIFFClose(tiff);
  return status;
}
