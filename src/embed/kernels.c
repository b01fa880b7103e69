#include "embed/kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LANES 16

/* exp(x) for x <= 0: 2^k * exp(r), |r| <= ln(2)/2, Taylor's series to r^7. Below -80 (1.8e-35) it is 0:
 * numbers that are not normal would make the products slow. */
ALWAYS_INLINE float exp_negative(float x) {
    float low = x < -80.0f ? -80.0f : x;
    float k = (low * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounds to the nearest whole number */
    float r = (low - k * 0.693359375f) + k * 2.12194440e-4f;   /* ln(2) in two parts; the first product is exact */
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -80.0f ? 0.0f : p * scale;
}

/* x * Phi(x). With z = |x| / sqrt(2) and t = 1 / (1 + 0.55 z): Phi(-|x|) = erfc(z) / 2, erfc(z) = exp(-z^2) t P(t). P was fitted
 * to exp(z^2) erfc(z) / t at Chebyshev nodes for z in [0, 9.4]; the relative error of erfc is below 3e-7 in binary32. */
ALWAYS_INLINE float gelu(float x) {
    float a = fabsf(x), t = 1.0f / (1.0f + 0.38890873f * a);
    float p = 0.05773008f;
    p = p * t + -0.33509883f;
    p = p * t + 0.77799416f;
    p = p * t + -0.8496712f;
    p = p * t + 0.3613357f;
    p = p * t + -0.09385896f;
    p = p * t + 0.20175186f;
    p = p * t + 0.2588648f;
    p = p * t + 0.31066027f;
    p = p * t + 0.31029215f;
    float tail = 0.5f * exp_negative(-0.5f * x * x) * (t * p);
    return x * (x < 0 ? tail : 1.0f - tail);
}

ALWAYS_INLINE void bias_body(float *c, size_t m, size_t n, size_t ldc, const float *bias) {
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
#pragma omp simd
        for (size_t j = 0; j < n; j++) row[j] += bias[j];
    }
}

ALWAYS_INLINE void bias_gelu_body(float *c, size_t m, size_t n, size_t ldc, const float *bias) {
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
#pragma omp simd
        for (size_t j = 0; j < n; j++) row[j] = gelu(row[j] + bias[j]);
    }
}

/* The lanes in a tree, whatever the vectors' width. */
ALWAYS_INLINE float fold(const float *lane) {
    float part[LANES / 2];
    memcpy(part, lane, sizeof part);
    for (size_t i = 0; i < LANES / 2; i++) part[i] += lane[i + LANES / 2];
    for (size_t w = LANES / 4; w > 0; w /= 2)
        for (size_t i = 0; i < w; i++) part[i] += part[i + w];
    return part[0];
}

ALWAYS_INLINE float sum(const float *x, size_t n) {
    float lane[LANES] = {0};
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
#pragma omp simd
        for (size_t k = 0; k < LANES; k++) lane[k] += x[j + k];
    }
    for (size_t k = 0; j < n; j++, k++) lane[k] += x[j];
    return fold(lane);
}

ALWAYS_INLINE float sum_squares(const float *x, size_t n, float mean) {
    float lane[LANES] = {0};
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
#pragma omp simd
        for (size_t k = 0; k < LANES; k++) {
            float d = x[j + k] - mean;
            lane[k] += d * d;
        }
    }
    for (size_t k = 0; j < n; j++, k++) lane[k] += (x[j] - mean) * (x[j] - mean);
    return fold(lane);
}

ALWAYS_INLINE float highest(const float *x, size_t n) {
    float lane[LANES];
    size_t j = 0;
    for (size_t k = 0; k < LANES; k++) lane[k] = x[0];
    for (; j + LANES <= n; j += LANES) {
#pragma omp simd
        for (size_t k = 0; k < LANES; k++) lane[k] = x[j + k] > lane[k] ? x[j + k] : lane[k];
    }
    for (; j < n; j++) lane[0] = x[j] > lane[0] ? x[j] : lane[0];
    for (size_t k = 1; k < LANES; k++) lane[0] = lane[k] > lane[0] ? lane[k] : lane[0];
    return lane[0];
}

ALWAYS_INLINE void add_norm_body(float *x, const float *t, const float *bias, size_t m, size_t n, const float *w, const float *b,
                                 float eps) {
    for (size_t i = 0; i < m; i++) {
        float *row = x + i * n;
        if (t != NULL) {
            const float *add = t + i * n;
#pragma omp simd
            for (size_t j = 0; j < n; j++) row[j] += add[j] + bias[j];
        }
        float mean = sum(row, n) / (float)n;
        float scale = 1.0f / sqrtf(sum_squares(row, n, mean) / (float)n + eps);
#pragma omp simd
        for (size_t j = 0; j < n; j++) row[j] = (row[j] - mean) * scale * w[j] + b[j];
    }
}

ALWAYS_INLINE void softmax_body(float *s, size_t m, size_t n, float scale) {
    for (size_t i = 0; i < m; i++) {
        float *row = s + i * n, top = highest(row, n);
#pragma omp simd
        for (size_t j = 0; j < n; j++) row[j] = exp_negative((row[j] - top) * scale);
        float inverse = 1.0f / sum(row, n);
#pragma omp simd
        for (size_t j = 0; j < n; j++) row[j] *= inverse;
    }
}

ALWAYS_INLINE void to_bf16_body(const float *x, size_t n, uint16_t *out) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        out[i] = (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
    }
}

#define KERNELS_FOR(name, target)                                                                                            \
    target static void bias_##name(float *c, size_t m, size_t n, size_t ldc, const float *b) { bias_body(c, m, n, ldc, b); } \
    target static void bias_gelu_##name(float *c, size_t m, size_t n, size_t ldc, const float *b) {                          \
        bias_gelu_body(c, m, n, ldc, b);                                                                                     \
    }                                                                                                                        \
    target static void add_norm_##name(float *x, const float *t, const float *bias, size_t m, size_t n, const float *w,      \
                                       const float *b, float eps) {                                                          \
        add_norm_body(x, t, bias, m, n, w, b, eps);                                                                          \
    }                                                                                                                        \
    target static void softmax_##name(float *s, size_t m, size_t n, float scale) { softmax_body(s, m, n, scale); }           \
    target static void to_bf16_##name(const float *x, size_t n, uint16_t *out) { to_bf16_body(x, n, out); }                  \
    static const embed_kernels kernels_##name = {bias_##name, bias_gelu_##name, add_norm_##name, softmax_##name, to_bf16_##name};

KERNELS_FOR(plain, )
#if defined(__x86_64__)
KERNELS_FOR(avx2, __attribute__((target("avx2"))))
KERNELS_FOR(avx512, __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))))
#endif

const embed_kernels *embed_kernels_get(int level) {
#if defined(__x86_64__)
    int have = __builtin_cpu_supports("avx2") ? 1 : 0;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) have = 2;
    if (level < 0 || level > have) level = have;
    return level == 2 ? &kernels_avx512 : level == 1 ? &kernels_avx2 : &kernels_plain;
#else
    (void)level;
    return &kernels_plain;
#endif
}
