/* control.h - the settings of a mock that serves: their checks, and POST /mock/control. */
#ifndef CFB_MOCK_CONTROL_H
#define CFB_MOCK_CONTROL_H

#include "mock/plan.h"

/* Puts settings in place; s is copied. Errors: ECONFIG (a value out of its range), ENOMEM. Threads: safe. */
CFB_MUST_CHECK cfb_code cfb_mock__settings_put(cfb_mock__model *m, const cfb_mock__settings *s, cfb_err *err);
void cfb_mock__settings_free(cfb_mock__settings *s); /* and all older ones */

/* Changes what the JSON object names and leaves the rest; all or nothing. Errors: EDATA/ECONFIG, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_mock__control(cfb_mock__model *m, cfb_str json, cfb_err *err);
/* The settings in effect, as one JSON object. */
CFB_MUST_CHECK cfb_code cfb_mock__control_show(cfb_mock__model *m, cfb_buf *out, cfb_err *err);

#endif
