/* reading.h - pieces of a server's JSON that whole replies (reply.c) and streams (sse.c) have in common. */
#ifndef CFB_CLIENT_READING_H
#define CFB_CLIENT_READING_H

#include "client/internal.h"
#include "cfbench/json.h"

/* ---- errors.c ---- */
/* One line of at most 200 bytes in r->message: control characters become spaces, broken UTF-8 U+FFFD. */
void cfb_client__set_message(cfb_chat_reply *r, cfb_str text);
/* Does this document (or this choice of one) describe an error? Then sets fail, message, refused, and for a refusal by the
 * content filter finish and content; http_status if it was no error's and the document names one. body: its text, for wordings.
 */
bool cfb_client__read_error(const cfb_json *root, cfb_str body, cfb_chat_reply *r);

/* ---- reply.c ---- */
/* A content: string, null, or list of parts. Text goes to text, what is marked as thinking to reasoning. *ok: false for another
 * kind. Errors: ENOMEM, ELIMIT. */
CFB_MUST_CHECK cfb_code cfb_client__read_content(const cfb_json *content, cfb_buf *text, cfb_buf *reasoning, bool *ok,
                                                 cfb_err *err);
/* The reasoning that a message or delta holds beside its content. */
CFB_MUST_CHECK cfb_code cfb_client__read_reasoning(const cfb_json *message, cfb_buf *reasoning, cfb_err *err);
/* A finish_reason as servers write it; a null string gives STOP. False: generation failed (then r->fail and message say so). */
bool cfb_client__read_finish(cfb_str reason, cfb_chat_reply *r);
/* usage: members that are there replace what r says. */
void cfb_client__read_usage(const cfb_json *usage, cfb_chat_reply *r);
/* cfb_client_parse_reply without its quick way; for tests, which compare the two. */
CFB_MUST_CHECK cfb_code cfb_client__parse_reply_by_tree(cfb_str body, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err);

#endif
