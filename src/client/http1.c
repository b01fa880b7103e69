/* http1.c - RFC 9112 as far as an answer to POST needs it. What is ambiguous (two lengths, a length beside chunks) is refused or
 * read as the RFC says, and the connection is not used again. */
#include "client/http1.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#define LONGEST_LINE ((size_t)64 << 10)
#define LONGEST_HEAD ((size_t)256 << 10) /* all lines of the head and the trailer */
#define LINE_KEPT 1024
#define UNPACK_BYTES 16384

void cfb_http1_init(cfb_http1 *h) {
    *h = (cfb_http1){.line = CFB_BUF_INIT(LONGEST_LINE)};
    cfb_http1_reset(h);
}

static void end_inflate(cfb_http1 *h) {
    if (h->inflate) inflateEnd(h->inflate);
    free(h->inflate);
    h->inflate = NULL;
}

void cfb_http1_reset(cfb_http1 *h) {
    cfb_buf line = h->line;
    end_inflate(h);
    if (line.cap > LINE_KEPT) cfb_buf_free(&line);
    cfb_buf_clear(&line);
    *h = (cfb_http1){.line = line, .state = CFB_HTTP1_STATUS};
}

void cfb_http1_free(cfb_http1 *h) {
    end_inflate(h);
    cfb_buf_free(&h->line);
}

static cfb_http1_state bad(cfb_http1 *h, const char *why) {
    h->why = why;
    h->keep = false;
    return h->state = CFB_HTTP1_BAD;
}

static cfb_http1_state fail(cfb_http1 *h, cfb_http1_state why) {
    h->keep = false;
    return h->state = why;
}

/* ---- body ---- */

static bool unpack(cfb_http1 *h, const char *data, size_t n, const cfb_http1_sink *sink, void *ctx) {
    char out[UNPACK_BYTES];
    if (h->inflate == NULL) {
        /* "deflate" is a zlib stream; some servers send a bare one, whose first byte cannot look like zlib's */
        int bits = h->packed == 'd' && (data[0] & 0x0F) != 8 ? -MAX_WBITS : MAX_WBITS + 32;
        h->inflate = calloc(1, sizeof(z_stream));
        if (h->inflate == NULL || inflateInit2((z_stream *)h->inflate, bits) != Z_OK) {
            free(h->inflate);
            h->inflate = NULL;
            fail(h, CFB_HTTP1_NO_MEMORY);
            return false;
        }
    }
    z_stream *z = h->inflate;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)n;
    while (!h->inflated) {
        z->next_out = (Bytef *)out;
        z->avail_out = sizeof out;
        int rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR) fail(h, CFB_HTTP1_NO_MEMORY);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR && rc != Z_MEM_ERROR) bad(h, "the packed reply is broken");
        if (h->state >= CFB_HTTP1_BAD) return false;
        if (z->avail_out < sizeof out && !sink->body(ctx, out, sizeof out - z->avail_out)) {
            fail(h, CFB_HTTP1_REFUSED);
            return false;
        }
        h->inflated = rc == Z_STREAM_END;
        if (z->avail_out > 0) break; /* all of the input was read */
    }
    return true;
}

static bool give_body(cfb_http1 *h, const char *data, size_t n, const cfb_http1_sink *sink, void *ctx) {
    if (n == 0) return true;
    if (h->packed) {
        for (size_t piece; n > 0; data += piece, n -= piece) {
            piece = n < ((size_t)1 << 30) ? n : (size_t)1 << 30;
            if (!unpack(h, data, piece, sink, ctx)) return false;
        }
        return true;
    }
    if (sink->body(ctx, data, n)) return true;
    fail(h, CFB_HTTP1_REFUSED);
    return false;
}

static cfb_http1_state done(cfb_http1 *h) {
    bool whole = h->packed == 0 || h->inflate == NULL || h->inflated;
    end_inflate(h);
    if (!whole) return bad(h, "the packed reply ends too early");
    return h->state = CFB_HTTP1_DONE;
}

/* ---- head ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static cfb_http1_state read_status(cfb_http1 *h, cfb_str s) {
    if (s.len < 12 || memcmp(s.ptr, "HTTP/1.", 7) != 0 || !is_digit(s.ptr[7]) || s.ptr[8] != ' ' || !is_digit(s.ptr[9]) ||
        !is_digit(s.ptr[10]) || !is_digit(s.ptr[11]) || (s.len > 12 && s.ptr[12] != ' '))
        return bad(h, "the server does not speak HTTP/1.1");
    h->status = (s.ptr[9] - '0') * 100 + (s.ptr[10] - '0') * 10 + s.ptr[11] - '0';
    h->keep = s.ptr[7] != '0';
    if (h->status < 100 || h->status == 101) return bad(h, "the server answers with a status that was not asked for");
    return h->state = CFB_HTTP1_HEADER;
}

static cfb_str trim(cfb_str s) {
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s = (cfb_str){s.ptr + 1, s.len - 1};
    return s;
}

static bool is_word(cfb_str s, const char *word) { return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0; }

/* One word of a list with commas. */
static bool has_word(cfb_str list, const char *word) {
    const char *p = list.ptr, *end = list.ptr + list.len;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *to = comma ? comma : end;
        if (is_word(trim((cfb_str){p, (size_t)(to - p)}), word)) return true;
        p = to + 1;
    }
    return false;
}

static bool read_length(cfb_http1 *h, cfb_str v) {
    uint64_t n = 0;
    if (v.len == 0 || v.len > 18) return false;
    for (size_t i = 0; i < v.len; i++) {
        if (!is_digit(v.ptr[i])) return false;
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    if (h->has_length && h->left != n) return false;
    h->has_length = true;
    h->left = n;
    return true;
}

static void read_coding(cfb_http1 *h, cfb_str v) {
    if (is_word(v, "gzip") || is_word(v, "x-gzip"))
        h->packed = 'g';
    else if (is_word(v, "deflate"))
        h->packed = 'd';
    else if (v.len > 0 && !is_word(v, "identity"))
        h->foreign_coding = true;
}

static bool read_field(cfb_http1 *h, cfb_str line) {
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || colon == line.ptr) return true; /* of no use to anybody, and no harm */
    cfb_str name = {line.ptr, (size_t)(colon - line.ptr)};
    cfb_str value = trim((cfb_str){colon + 1, line.len - name.len - 1});
    switch (name.len) { /* nearly all lines are told apart by their length alone */
    case 10:
        if (!is_word(name, "connection")) break;
        if (has_word(value, "close"))
            h->keep = false;
        else if (has_word(value, "keep-alive"))
            h->keep = true;
        break;
    case 14:
        if (is_word(name, "content-length") && !read_length(h, value)) {
            bad(h, "the reply's Content-Length cannot be read");
            return false;
        }
        break;
    case 16:
        if (is_word(name, "content-encoding")) read_coding(h, value);
        break;
    case 17:
        if (!is_word(name, "transfer-encoding") || is_word(value, "identity")) break;
        if (!is_word(value, "chunked")) {
            bad(h, "the reply has a Transfer-Encoding that was not asked for");
            return false;
        }
        h->chunked = true;
        break;
    default: break;
    }
    return true;
}

static cfb_http1_state end_head(cfb_http1 *h) {
    if (h->status < 200) { /* an interim one: the answer follows */
        h->chunked = h->has_length = h->foreign_coding = false;
        h->packed = 0;
        h->left = 0;
        return h->state = CFB_HTTP1_STATUS;
    }
    h->in_body = true;
    if (h->status == 204 || h->status == 304) return h->state = CFB_HTTP1_DONE;
    if (h->foreign_coding) return bad(h, "the reply is packed in a way that was not asked for");
    if (h->chunked) {
        if (h->has_length) h->keep = false;
        return h->state = CFB_HTTP1_CHUNK_SIZE;
    }
    if (h->has_length) {
        h->state = CFB_HTTP1_LENGTH;
        return h->left == 0 ? done(h) : h->state;
    }
    h->keep = false;
    return h->state = CFB_HTTP1_CLOSE;
}

static cfb_http1_state read_chunk_size(cfb_http1 *h, cfb_str s) {
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s.len && i < 16; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (is_digit(c))
            n = n * 16 + (uint64_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            n = n * 16 + (uint64_t)(low - 'a' + 10);
        else
            break;
    }
    if (i == 0 || i == 16 || (i < s.len && s.ptr[i] != ';' && s.ptr[i] != ' ' && s.ptr[i] != '\t'))
        return bad(h, "a chunk of the reply has no size");
    h->left = n;
    return h->state = n ? CFB_HTTP1_CHUNK : CFB_HTTP1_TRAILER;
}

/* line: without its end. */
static cfb_http1_state read_line(cfb_http1 *h, cfb_str line, const cfb_http1_sink *sink, void *ctx) {
    switch (h->state) {
    case CFB_HTTP1_STATUS: return read_status(h, line);
    case CFB_HTTP1_HEADER:
        if (line.len == 0) return end_head(h);
        if (read_field(h, line) && sink->header) sink->header(ctx, line);
        return h->state;
    case CFB_HTTP1_CHUNK_SIZE: return read_chunk_size(h, line);
    case CFB_HTTP1_CHUNK_END:
        return line.len == 0 ? (h->state = CFB_HTTP1_CHUNK_SIZE) : bad(h, "a chunk of the reply is too long");
    default: return line.len == 0 ? done(h) : h->state; /* a trailer */
    }
}

/* ---- the whole ---- */

/* Takes the bytes up to the next line end; reads the line if it is whole. */
static size_t take_line(cfb_http1 *h, const char *p, size_t n, const cfb_http1_sink *sink, void *ctx) {
    const char *end = memchr(p, '\n', n);
    size_t len = end ? (size_t)(end - p) : n, used = end ? len + 1 : n;
    /* lines between chunks are as many as the body has chunks, and what the body may hold is the sink's to say */
    if (h->state != CFB_HTTP1_CHUNK_SIZE && h->state != CFB_HTTP1_CHUNK_END) h->head_bytes += used;
    if (h->head_bytes > LONGEST_HEAD) {
        bad(h, "the head of the reply is too long");
        return used;
    }
    cfb_str line = {p, len};
    if (end == NULL || h->line.len > 0) {
        cfb_code rc = cfb_buf_append(&h->line, p, len, NULL);
        if (rc == CFB_ELIMIT) bad(h, "a line of the reply's head is too long");
        if (rc == CFB_ENOMEM) fail(h, CFB_HTTP1_NO_MEMORY);
        if (rc != CFB_OK || end == NULL) return used;
        line = cfb_buf_str(&h->line);
    }
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    read_line(h, line, sink, ctx);
    cfb_buf_clear(&h->line);
    return used;
}

static size_t take_body(cfb_http1 *h, const char *p, size_t n, const cfb_http1_sink *sink, void *ctx) {
    size_t len = h->state == CFB_HTTP1_CLOSE || h->left > n ? n : (size_t)h->left;
    if (!give_body(h, p, len, sink, ctx)) return len;
    if (h->state == CFB_HTTP1_CLOSE) return len;
    h->left -= len;
    if (h->left > 0) return len;
    if (h->state == CFB_HTTP1_CHUNK)
        h->state = CFB_HTTP1_CHUNK_END;
    else
        done(h);
    return len;
}

cfb_http1_state cfb_http1_feed(cfb_http1 *h, cfb_str bytes, const cfb_http1_sink *sink, void *ctx, size_t *used) {
    size_t at = 0;
    h->begun = h->begun || bytes.len > 0;
    while (at < bytes.len && h->state < CFB_HTTP1_DONE) {
        bool is_body = h->state == CFB_HTTP1_LENGTH || h->state == CFB_HTTP1_CLOSE || h->state == CFB_HTTP1_CHUNK;
        at += (is_body ? take_body : take_line)(h, bytes.ptr + at, bytes.len - at, sink, ctx);
    }
    *used = at;
    return h->state;
}

cfb_http1_state cfb_http1_end(cfb_http1 *h) {
    h->keep = false;
    if (h->state == CFB_HTTP1_CLOSE) return done(h);
    return h->state >= CFB_HTTP1_DONE ? h->state : bad(h, "the server closed the connection in the middle of its reply");
}
