// SHA-256 by the system's cryptographic library.
#ifndef CDIGEST_H
#define CDIGEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct cd_sha256 cd_sha256;

// A new digest, or null without memory. Give it back with cd_sha256_finish.
cd_sha256 *cd_sha256_start(void);
void cd_sha256_update(cd_sha256 *digest, const void *bytes, size_t count);
// Writes the 32 bytes of the digest and frees it.
void cd_sha256_finish(cd_sha256 *digest, uint8_t *out);

#endif
