/* print.c - --print-config. */
#include "config/options.h"

/* One address is written as a text, which is what most have. Commas in it would part it when it is read again. */
static void print_list(cfb_jw *w, const cfb_opt *o, const cfb_string_list *list) {
    if ((o->flags & OPT_COMMAS) != 0 && list->n == 1 && strchr(list->items[0], ',') == NULL) {
        cfb_jw_strz(w, list->items[0]);
        return;
    }
    cfb_jw_arr(w);
    for (size_t i = 0; i < list->n; i++) cfb_jw_strz(w, list->items[i]);
    cfb_jw_end_arr(w);
}

cfb_code cfb_config_print(const cfb_config *c, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 2);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "x-command");
    cfb_jw_strz(&w, cfb_command_name(c->command));
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if ((o->flags & (OPT_SECRET | OPT_HIDDEN | OPT_ACTION | OPT_NO_FILE)) != 0 || !cfb_opt_is_for(o, c->command)) continue;
        const void *field = cfb_opt_field_const(o, c);
        bool is_text = o->type == OPT_STRING || o->type == OPT_ENUM || o->type == OPT_PATH;
        if (is_text && *(const char *const *)field == NULL) continue; /* unset: the absent member reads back as that */
        if (o->type == OPT_LIST && ((const cfb_string_list *)field)->n == 0) continue;
        cfb_jw_key(&w, o->name);
        switch (o->type) {
        case OPT_BOOL: cfb_jw_bool(&w, *(const bool *)field); break;
        case OPT_INT: cfb_jw_int(&w, *(const int64_t *)field); break;
        case OPT_DOUBLE: cfb_jw_num(&w, *(const double *)field); break;
        case OPT_STRING:
        case OPT_ENUM:
        case OPT_PATH: cfb_jw_strz(&w, *(const char *const *)field); break;
        case OPT_LIST: print_list(&w, o, field); break;
        }
    }
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    if (rc != CFB_OK) return rc;
    return cfb_buf_append_char(out, '\n', err);
}
