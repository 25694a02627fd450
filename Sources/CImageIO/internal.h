#pragma once
#include "cimageio.h"

// Writes a message, cut to CI_MESSAGE, and returns -1.
int ci_fail(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Refuses a picture that has more pixels than asked for, or more than `size` bytes of any stream can describe.
int ci_check_size(ci_info info, int64_t max_pixels, int64_t most_possible, char *message);

// Bytes for a picture of `info` in its own or in the asked-for channels, whichever are more; NULL without memory.
uint8_t *ci_allocate(ci_info info, int channels);

int ci_jpeg_probe(const uint8_t *data, size_t size, ci_info *info, char *message);
int ci_jpeg_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message);
int ci_png_probe(const uint8_t *data, size_t size, ci_info *info, char *message);
int ci_png_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                  char *message);
int ci_webp_probe(const uint8_t *data, size_t size, ci_info *info, char *message);
int ci_webp_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message);
int ci_tiff_probe(const uint8_t *data, size_t size, ci_info *info, char *message);
int ci_tiff_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message);
int ci_bmp_probe(const uint8_t *data, size_t size, ci_info *info, char *message);
int ci_bmp_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                  char *message);

// What an Exif block says of how the camera was held: 1 (upright) to 8; 1 where it says nothing.
int ci_exif_orientation(const uint8_t *data, size_t size);

// The size that a picture of `info` has once it is upright.
void ci_orient_info(ci_info *info, int orientation);

// Turns and mirrors a picture so that it is upright; on failure `*pixels` is as it was.
int ci_orient(uint8_t **pixels, ci_info *info, int orientation, char *message);
