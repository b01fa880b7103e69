/* export.h - the detailed results file, row by row. Private to report. */
#ifndef CFB_REPORT_EXPORT_H
#define CFB_REPORT_EXPORT_H

#include "cfbench/report.h"

/* Rows go to a file without a name in the target's folder, because the head of the document holds their means. */
typedef struct export_details export_details;

CFB_MUST_CHECK cfb_code export_details_open(const char *path, const cfb_task *task, export_details **out, cfb_err *err);
CFB_MUST_CHECK cfb_code export_details_row(export_details *d, cfb_str response, cfb_str output, const cfb_score_row *score,
                                           cfb_err *err);
/* Writes head and rows to w. */
CFB_MUST_CHECK cfb_code export_details_finish(export_details *d, const cfb_score_summary *summary, cfb_err *err);
/* Makes the file appear under its name; after export_details_finish. */
CFB_MUST_CHECK cfb_code export_details_commit(export_details *d, cfb_err *err);
void export_details_free(export_details *d); /* NULL is fine */

#endif
