/* cfbench prompt: exactly what would be sent for given rows. */
#include "cfbench/json.h"
#include "cfbench/prompt.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

/* Is row in a list such as "0,10,20-29"? An empty list holds every row. */
static cfb_code row_is_listed(const char *list, size_t row, bool *listed, cfb_err *err) {
    *listed = list == NULL || *list == '\0';
    for (const char *p = list; p && *p;) {
        char *end;
        unsigned long long from = strtoull(p, &end, 10), to = from;
        bool ok = end != p && *p >= '0' && *p <= '9';
        if (ok && *end == '-') {
            const char *second = end + 1;
            to = strtoull(second, &end, 10);
            ok = end != second && *second >= '0' && *second <= '9' && to >= from;
        }
        if (!ok || (*end != '\0' && *end != ','))
            return cfb_err_set(err, CFB_EUSAGE, "--rows: '%s' is not a list of rows such as 0,10,20-29", list);
        if (row >= from && row <= to) *listed = true;
        p = end + (*end == ',');
    }
    return CFB_OK;
}

static cfb_code write_prompt(const cfb_config *c, const cfb_task *t, size_t row, const cfb_record *r, cfb_str prompt,
                             cfb_buf *out, cfb_err *err) {
    char hex[65];
    cfb_sha256_hex(prompt.ptr, prompt.len, hex);
    if (c->hash && !c->json) return cfb_buf_printf(out, err, "%s\t%zu\t%s\n", t->name, row, hex);
    if (!c->json)
        return cfb_buf_printf(out, err, "==> %s, row %zu (id %.*s), %s, sha256 %s\n%s\n\n", t->name, row, CFB_STR_ARG(r->id),
                              cfb_shot_name(cfb_cli_shot(c)), hex, prompt.ptr);
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "task");
    cfb_jw_strz(&w, t->name);
    cfb_jw_key(&w, "row");
    cfb_jw_int(&w, (int64_t)row);
    cfb_jw_key(&w, "id");
    cfb_jw_str(&w, r->id);
    cfb_jw_key(&w, "setting");
    cfb_jw_strz(&w, cfb_shot_name(cfb_cli_shot(c)));
    cfb_jw_key(&w, "sha256");
    cfb_jw_strz(&w, hex);
    cfb_jw_key(&w, "max_tokens");
    cfb_jw_int(&w, cfb_generate_reply_limit((int)c->max_tokens, c->max_tokens_scale, t));
    if (!c->hash) {
        cfb_jw_key(&w, "prompt");
        cfb_jw_str(&w, prompt);
    }
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

/* *n_shown counts over all tasks: with --json the prompts are the items of one list. */
static cfb_code show_task(const cfb_config *c, const cfb_suite_t *s, size_t i, size_t *n_shown, cfb_err *err) {
    const cfb_task *t = cfb_suite_task(s, i);
    cfb_records records;
    cfb_buf prompt = CFB_BUF_INIT((size_t)64 << 20), out = CFB_BUF_INIT(0);
    cfb_code rc = cfb_suite_read_records(s, i, cfb_cli_shot(c), (size_t)c->limit, &records, err);
    if (rc != CFB_OK) return rc;
    for (size_t k = 0; k < records.n && rc == CFB_OK; k++) {
        bool listed;
        rc = row_is_listed(c->rows, k, &listed, err);
        if (rc != CFB_OK || !listed) continue;
        cfb_buf_clear(&prompt);
        cfb_buf_clear(&out);
        rc = cfb_prompt_render(t, cfb_cli_shot(c), &records.rows[k], &prompt, err);
        if (rc == CFB_OK && c->json)
            rc = cfb_buf_append_str(&out, (*n_shown)++ ? CFB_STR_LIT(",\n    ") : CFB_STR_LIT("\n    "), err);
        if (rc == CFB_OK) rc = write_prompt(c, t, k, &records.rows[k], cfb_buf_str(&prompt), &out, err);
        if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&out), err);
    }
    cfb_buf_free(&prompt);
    cfb_buf_free(&out);
    cfb_records_free(&records);
    return rc;
}

cfb_code cfb_cmd_prompt(const cfb_config *c, cfb_err *err) {
    cfb_suite_t *s = NULL;
    size_t *tasks = NULL, n = 0, n_shown = 0;
    unsigned flags = cfb_cli_shot(c) == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0;
    cfb_code rc = cfb_suite_load(c->suite, c->data, flags, &s, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, s, &tasks, &n, err);
    if (rc == CFB_OK && c->json)
        rc = cfb_cli_print(CFB_STR_LIT("{\n  \"schema\": \"cfbench.prompts/1\",\n  \"prompts\": ["), err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = show_task(c, s, tasks[i], &n_shown, err);
    if (rc == CFB_OK && c->json) rc = cfb_cli_print(n_shown ? CFB_STR_LIT("\n  ]\n}\n") : CFB_STR_LIT("]\n}\n"), err);
    free(tasks);
    cfb_suite_free(s);
    return rc;
}
