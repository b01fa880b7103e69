/* price.h - what tokens cost: the price file, and exact arithmetic in millionths of the currency's unit ("micros"). */
#ifndef CFBENCH_PRICE_H
#define CFBENCH_PRICE_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CFB_CURRENCY_SIZE 9

/* Prices of one model, in micros per million tokens: 0.15 USD per million tokens is 150000. At most 10^12 each. */
typedef struct cfb_price {
    const char *model;
    int64_t input, output, cached_input; /* cached_input: prompt tokens that the server had in its cache */
    char currency[CFB_CURRENCY_SIZE];
} cfb_price;

typedef struct cfb_prices cfb_prices_t;

/* Reads a price file: {"MODEL": {"input_per_million": x, "output_per_million": y, "cached_input_per_million": z, "currency":
 * "USD"}}. The last two may be left out: the price of input, and USD. Members that begin with "x-" are the reader's own. Prices
 * are rounded to whole micros per million tokens. name is for messages. Errors: EDATA and other codes of strict JSON with line
 * and column, for a member that is unknown, missing or no price (0 to 1,000,000). Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_prices_parse(const char *name, cfb_str json, cfb_prices_t **out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_prices_read(const char *path, cfb_prices_t **out, cfb_err *err);
void cfb_prices_free(cfb_prices_t *p); /* NULL is fine */

/* The model's prices, by its exact name; NULL if it has none. Borrowed from p. */
const cfb_price *cfb_prices_find(const cfb_prices_t *p, const char *model);
/* The same for whoever cannot go on without: ECONFIG names the models that there are, and what to add. */
CFB_MUST_CHECK cfb_code cfb_prices_require(const cfb_prices_t *p, const char *model, const cfb_price **out, cfb_err *err);

/* What tokens cost, in micros: the exact sum of (prompt - cached) * input + cached * cached_input + completion * output, divided
 * by a million and rounded up once. Round only once: give it sums of tokens, and take differences of its results. Counts below 0
 * (not told) are 0, cached beyond prompt is prompt, counts beyond 10^12 are 10^12. Never overflows. Pure. */
int64_t cfb_price_cost(const cfb_price *p, int64_t prompt_tokens, int64_t cached_tokens, int64_t completion_tokens);
/* 1.5 -> 1500000, rounded to nearest; what is beyond 2^53 micros, or no number, gives 2^53. */
int64_t cfb_price_micros(double amount);
/* 1500000 -> "1.50": at least two digits behind the point, at most six. buf holds at least 32 bytes. */
const char *cfb_price_format(int64_t micros, char buf[32]);

#ifdef __cplusplus
}
#endif
#endif
