// Pictures and compressed bytes in memory: JPEG (libjpeg-turbo), PNG (libpng), WebP (libwebp), TIFF (libtiff), BMP
// and gzip (zlib).
//
// No function prints, exits or keeps state. Each returns 0, or -1 with a message of at most
// CI_MESSAGE - 1 characters, cut to fit.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "png_encode.h"

#define CI_MESSAGE 160

typedef struct {
  int32_t width, height;
  int32_t channels;  // colour channels as stored: 1 (grey), 3 (RGB, palette) or 4 (CMYK); alpha is not counted
} ci_info;

// What ci_decode is to give.
typedef struct {
  int32_t channels;    // 1 or 3
  int64_t max_pixels;  // larger pictures are refused before anything is allocated for them
  int32_t min_side;    // a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as both sides keep this; 0: full size
} ci_request;

// Reads the header of a picture, told by its first bytes; the size is that of the upright picture.
int ci_probe(const uint8_t *data, size_t size, ci_info *info, char *message);

// Decodes a picture to rows of interleaved 8-bit pixels in *pixels, to be freed by ci_free, upright by what its Exif
// block says of how the camera was held.
// 16-bit samples are scaled, palettes expanded, alpha dropped, colour turned into luma (ITU-R 601) for one channel.
// A stream that ends early or holds corrupt data is an error. `info` describes what was decoded.
int ci_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info, char *message);

// Resamples an interleaved picture to full_width x full_height by a triangle filter that widens when it shrinks
// (antialiased bilinear), and writes the out_width x out_height window at (left, top) of that as planes.
// Equal sizes are copied. The window must lie inside the full size.
typedef struct {
  int32_t full_width, full_height, left, top, out_width, out_height;
} ci_window;
int ci_resample(const uint8_t *pixels, ci_info info, ci_window window, uint8_t *planes, char *message);

// Adds the value counts of `images` planar pictures of `plane` pixels a channel to histogram[channels][256].
void ci_histogram(const uint8_t *planes, size_t images, size_t channels, size_t plane, uint64_t *histogram);

// Unpacks all members of a gzip stream, with `zlib` also a zlib stream, into *out, to be freed by ci_free. Checksums are
// checked; a truncated stream, trailing bytes other than zeros, and more than `limit` bytes of output (CI_OVER_LIMIT) are
// errors. With `beginning` the output ends at `limit` bytes, and what follows in the stream is not looked at.
enum { CI_OVER_LIMIT = 1 };
int ci_gunzip(const uint8_t *data, size_t size, int zlib, int beginning, size_t limit, uint8_t **out, size_t *out_size,
              char *message);

void ci_free(void *memory);
