#include "mock/deliver.h"

#include <stdio.h>
#include <zlib.h>

#define N_PIECES 10
#define PIECE_GAP_S 0.03
#define KEEP_ALIVE_S 0.25
#define MAX_KEEP_ALIVE 400
#define HUGE_BYTES ((size_t)17 << 20) /* more than the 16 MiB that a client should accept */

static size_t n_pieces(const cfb_mock__plan *p) { return p->pieces.len / sizeof(cfb_mock__piece); }
static cfb_mock__piece *pieces(const cfb_mock__plan *p) { return (cfb_mock__piece *)(void *)p->pieces.ptr; }

static cfb_code in_pieces(cfb_mock__plan *p, cfb_err *err) {
    cfb_code rc = CFB_OK;
    size_t n = (p->body.len + N_PIECES - 1) / N_PIECES;
    cfb_buf_clear(&p->pieces);
    for (size_t i = 0; i < N_PIECES && rc == CFB_OK; i++) {
        size_t end = n * (i + 1);
        rc = cfb_mock__plan_piece(p, end < p->body.len ? end : p->body.len, PIECE_GAP_S * (double)i, err);
    }
    return rc;
}

/* Only the first half leaves, at the times it has; then what `end` says. */
static cfb_code half(cfb_mock__plan *p, cfb_mock__end end, cfb_err *err) {
    size_t middle = p->body.len / 2, n = 0;
    while (n < n_pieces(p) && pieces(p)[n].end < middle) n++;
    double at_s = n < n_pieces(p) ? pieces(p)[n].at_s : 0;
    p->pieces.len = n * sizeof(cfb_mock__piece);
    p->end = end;
    return cfb_mock__plan_piece(p, middle, at_s, err);
}

static cfb_code replace_body(cfb_mock__plan *p, const char *type, cfb_str body, cfb_err *err) {
    if (type != NULL) p->content_type = type;
    cfb_buf_clear(&p->pieces);
    cfb_buf_clear(&p->body);
    return cfb_buf_append_str(&p->body, body, err);
}

static cfb_code compress_body(cfb_mock__plan *p, cfb_err *err) {
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_buf packed = CFB_BUF_INIT(p->body.max);
    cfb_code rc = p->body.len > UINT32_MAX / 2 ? cfb_err_set(err, CFB_ELIMIT, "the reply is too large")
                                               : cfb_buf_reserve(&packed, deflateBound(&z, p->body.len), err);
    if (rc == CFB_OK) {
        z.next_in = (Bytef *)p->body.ptr;
        z.avail_in = (uInt)p->body.len;
        z.next_out = (Bytef *)packed.ptr;
        z.avail_out = (uInt)packed.cap;
        rc = deflate(&z, Z_FINISH) == Z_STREAM_END ? CFB_OK : cfb_err_set(err, CFB_EBUG, "zlib did not finish");
        packed.len = z.total_out;
    }
    deflateEnd(&z);
    if (rc == CFB_OK) rc = replace_body(p, NULL, cfb_buf_str(&packed), err);
    if (rc == CFB_OK)
        rc = cfb_buf_append_str(&p->headers, CFB_STR_LIT("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"), err);
    cfb_buf_free(&packed);
    return rc;
}

/* White space is JSON's own padding: the reply stays right, but is more than anybody should read. */
static cfb_code make_huge(cfb_mock__plan *p, cfb_err *err) {
    size_t more = HUGE_BYTES > p->body.len ? HUGE_BYTES - p->body.len : 0;
    cfb_code rc = cfb_buf_reserve(&p->body, more, err);
    if (rc != CFB_OK) return rc;
    cfb_buf_clear(&p->pieces);
    memset(p->body.ptr + p->body.len, ' ', more);
    p->body.len += more;
    return CFB_OK;
}

cfb_code cfb_mock__deliver(cfb_mock__plan *p, bool streamed, bool accepts_gzip, cfb_err *err) {
    switch (p->fault) {
    case CFB_MOCK__FAULT_SLOW: return in_pieces(p, err);
    case CFB_MOCK__FAULT_CUT: return half(p, CFB_MOCK__END_CLOSE, err);
    case CFB_MOCK__FAULT_RESET: return half(p, CFB_MOCK__END_RESET, err);
    case CFB_MOCK__FAULT_STALL: return half(p, CFB_MOCK__END_STALL, err);
    case CFB_MOCK__FAULT_BADCHUNK: p->chunked = true; return half(p, CFB_MOCK__END_CLOSE, err);
    case CFB_MOCK__FAULT_HANG: p->delay_s = CFB_MOCK__HANG_S; return CFB_OK;
    case CFB_MOCK__FAULT_BADJSON:
        p->body.len /= 2;
        cfb_buf_clear(&p->pieces);
        return CFB_OK;
    case CFB_MOCK__FAULT_TYPE: p->content_type = "text/plain"; return CFB_OK;
    case CFB_MOCK__FAULT_GZIP: return accepts_gzip && !streamed ? compress_body(p, err) : CFB_OK;
    case CFB_MOCK__FAULT_HUGE: return make_huge(p, err);
    case CFB_MOCK__FAULT_HTML:
        return replace_body(p, "text/html; charset=utf-8",
                            CFB_STR_LIT("<!DOCTYPE html>\n<html><body><h1>This is not the model</h1></body></html>\n"), err);
    default: return CFB_OK;
    }
}

cfb_code cfb_mock__deliver_keep_alive(cfb_mock__plan *p, const char *line, size_t least, cfb_err *err) {
    size_t n = (size_t)(p->delay_s < 0 ? 0 : p->delay_s / KEEP_ALIVE_S), len = strlen(line);
    if (n < least) n = least;
    if (n > MAX_KEEP_ALIVE) n = MAX_KEEP_ALIVE;
    if (n == 0) return CFB_OK;
    cfb_code rc = n_pieces(p) == 0 ? cfb_mock__plan_piece(p, p->body.len, 0, err) : CFB_OK;
    size_t old = n_pieces(p);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = cfb_mock__plan_piece(p, 0, 0, err); /* room */
    if (rc == CFB_OK) rc = cfb_buf_reserve(&p->body, n * len, err);
    if (rc != CFB_OK) return rc;
    cfb_mock__piece *list = pieces(p);
    memmove(list + n, list, old * sizeof *list);
    for (size_t i = 0; i < old; i++) {
        list[n + i].end += n * len;
        list[n + i].at_s += p->delay_s;
    }
    memmove(p->body.ptr + n * len, p->body.ptr, p->body.len);
    for (size_t i = 0; i < n; i++) {
        memcpy(p->body.ptr + i * len, line, len);
        list[i] = (cfb_mock__piece){(i + 1) * len, i == 0 && p->delay_s < KEEP_ALIVE_S ? 0 : KEEP_ALIVE_S * (double)i};
    }
    p->body.len += n * len;
    p->delay_s = 0; /* the head leaves at once */
    return CFB_OK;
}

cfb_code cfb_mock__deliver_chunked(cfb_mock__plan *p, cfb_err *err) {
    cfb_buf framed = CFB_BUF_INIT(SIZE_MAX / 4);
    cfb_code rc = n_pieces(p) == 0 ? cfb_mock__plan_piece(p, p->body.len, 0, err) : CFB_OK;
    if (rc == CFB_OK) rc = cfb_buf_reserve(&framed, p->body.len + n_pieces(p) * 20 + 8, err);
    size_t from = 0;
    for (size_t i = 0; rc == CFB_OK && i < n_pieces(p); i++) {
        cfb_mock__piece *piece = &pieces(p)[i];
        char head[24];
        int n = snprintf(head, sizeof head, "%zx\r\n", piece->end - from);
        if (piece->end > from) { /* an empty chunk would be the end */
            rc = cfb_buf_append(&framed, head, (size_t)n, err);
            if (rc == CFB_OK) rc = cfb_buf_append(&framed, p->body.ptr + from, piece->end - from, err);
            if (rc == CFB_OK) rc = cfb_buf_append_str(&framed, CFB_STR_LIT("\r\n"), err);
        }
        from = piece->end;
        bool last = i + 1 == n_pieces(p);
        if (rc == CFB_OK && last && p->end == CFB_MOCK__END_KEEP) rc = cfb_buf_append_str(&framed, CFB_STR_LIT("0\r\n\r\n"), err);
        piece->end = framed.len;
    }
    size_t max = p->body.max;
    if (rc == CFB_OK) {
        cfb_buf_free(&p->body);
        p->body = framed;
        p->body.max = max;
        p->chunked = true;
    } else {
        cfb_buf_free(&framed);
    }
    return rc;
}
