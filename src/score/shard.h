/* shard.h - the format of score_shard.h in numbers. Private to score. */
#ifndef CFB_SCORE_SHARD_FORMAT_H
#define CFB_SCORE_SHARD_FORMAT_H

#include "cfbench/base.h"
#include "cfbench/score_shard.h"

#define SHARD_RECORD CFB_SCORE_SHARD_RECORD
#define SHARD_NO_TEXT UINT32_MAX /* length of a null text */
#define SHARD_TAIL_MAX ((size_t)2 << 30)
#define SHARD_CHECK_SEED 1
#define SHARD_STATE_MASK 0xFFu
#define SHARD_UNMATCHABLE 0x100u
#define SHARD_TEXTS_SHIFT 12 /* and the 20 highest bits of the hash */

#endif
