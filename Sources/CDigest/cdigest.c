#include "cdigest.h"

#include <stdlib.h>

#if defined(__APPLE__)
#include <CommonCrypto/CommonDigest.h>

struct cd_sha256 {
  CC_SHA256_CTX context;
};

cd_sha256 *cd_sha256_start(void) {
  cd_sha256 *digest = malloc(sizeof *digest);
  if (digest) CC_SHA256_Init(&digest->context);
  return digest;
}

void cd_sha256_update(cd_sha256 *digest, const void *bytes, size_t count) {
  const uint8_t *rest = bytes;
  const size_t most = 1u << 30;
  for (; count > most; count -= most, rest += most) CC_SHA256_Update(&digest->context, rest, most);
  CC_SHA256_Update(&digest->context, rest, (CC_LONG)count);
}

void cd_sha256_finish(cd_sha256 *digest, uint8_t *out) {
  CC_SHA256_Final(out, &digest->context);
  free(digest);
}

#else
#include <openssl/evp.h>

struct cd_sha256 {
  EVP_MD_CTX *context;
};

cd_sha256 *cd_sha256_start(void) {
  cd_sha256 *digest = malloc(sizeof *digest);
  if (!digest) return NULL;
  digest->context = EVP_MD_CTX_new();
  if (!digest->context || !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL)) {
    EVP_MD_CTX_free(digest->context);
    free(digest);
    return NULL;
  }
  return digest;
}

void cd_sha256_update(cd_sha256 *digest, const void *bytes, size_t count) {
  EVP_DigestUpdate(digest->context, bytes, count);
}

void cd_sha256_finish(cd_sha256 *digest, uint8_t *out) {
  EVP_DigestFinal_ex(digest->context, out, NULL);
  EVP_MD_CTX_free(digest->context);
  free(digest);
}

#endif
