/* scan.h - the usual chat request read in one pass, without a tree. */
#ifndef CFB_MOCK_SCAN_H
#define CFB_MOCK_SCAN_H

#include "mock/request.h"

/* Fills *out and returns true if the body is one of the usual form: known members only, texts as content. Accepts nothing
 * that the full parser (cfb_mock__chat_parse) would refuse, and then says the same. false: use the full parser. */
bool cfb_mock__scan_chat(cfb_str body, cfb_mock__chat *out);

#endif
