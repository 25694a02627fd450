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
