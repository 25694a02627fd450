#pragma once

#include <stddef.h>
#include <stdint.h>

/// Encodes 8-bit pixels (height x width x channels, row by row; 1 channel is grey, 3 is RGB) as a PNG file in
/// memory. Returns 0 and sets `out` to a block that the caller frees; otherwise -1, and `out` and `out_size` are
/// untouched.
int ci_png_encode(const uint8_t *pixels, int width, int height, int channels, uint8_t **out, size_t *out_size);
