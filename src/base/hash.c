#include "cfbench/base.h"

#include <openssl/evp.h>

static void to_hex(const unsigned char digest[32], char hex[65]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

/* EVP_DigestInit_ex fails only without memory or without SHA-256 in the provider; an all-zero digest then shows
 * up as a mismatch everywhere instead of passing for a real one. */
static void digest_parts(const cfb_str *parts, size_t n, bool framed, char hex[65]) {
    unsigned char digest[32] = {0};
    unsigned int size = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) {
        for (size_t i = 0; i < n; i++) {
            if (framed) {
                uint64_t len = parts[i].ptr ? parts[i].len : UINT64_MAX;
                unsigned char le[8];
                for (int k = 0; k < 8; k++) le[k] = (unsigned char)(len >> (8 * k));
                EVP_DigestUpdate(ctx, le, sizeof le);
            }
            if (parts[i].ptr && parts[i].len) EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len);
        }
        EVP_DigestFinal_ex(ctx, digest, &size);
    }
    EVP_MD_CTX_free(ctx);
    to_hex(digest, hex);
}

void cfb_sha256_hex(const void *data, size_t len, char hex[65]) {
    cfb_str one = {data, len};
    digest_parts(&one, 1, false, hex);
}

void cfb_sha256_parts_hex(const cfb_str *parts, size_t n, char hex[65]) { digest_parts(parts, n, true, hex); }
