/* Stands for libraries that are not there for a foreign machine: see tests/arm.sh. Freeing nothing is all that a scan of CSV and
 * JSON Lines in memory asks of them. */
#include <stdio.h>
#include <stdlib.h>

#define FREES_NOTHING(name) \
    void *name(void);       \
    void *name(void) { return NULL; }
#define IS_NOT_HERE(name)                           \
    void name(void);                                \
    void name(void) {                               \
        fprintf(stderr, "%s is not here\n", #name); \
        exit(99);                                   \
    }

FREES_NOTHING(LZ4F_freeDecompressionContext)
FREES_NOTHING(ZSTD_freeDStream)
FREES_NOTHING(cJSON_Delete)
FREES_NOTHING(inflateEnd)

IS_NOT_HERE(LZ4F_createDecompressionContext)
IS_NOT_HERE(LZ4F_decompress)
IS_NOT_HERE(LZ4F_getErrorName)
IS_NOT_HERE(LZ4F_isError)
IS_NOT_HERE(ZSTD_createDStream)
IS_NOT_HERE(ZSTD_decompressStream)
IS_NOT_HERE(ZSTD_getErrorCode)
IS_NOT_HERE(ZSTD_getErrorName)
IS_NOT_HERE(ZSTD_isError)
IS_NOT_HERE(cJSON_AddItemToArray)
IS_NOT_HERE(cJSON_GetObjectItemCaseSensitive)
IS_NOT_HERE(cJSON_IsArray)
IS_NOT_HERE(cJSON_IsBool)
IS_NOT_HERE(cJSON_IsNull)
IS_NOT_HERE(cJSON_IsNumber)
IS_NOT_HERE(cJSON_IsObject)
IS_NOT_HERE(cJSON_IsString)
IS_NOT_HERE(cJSON_IsTrue)
IS_NOT_HERE(cJSON_ParseWithLength)
IS_NOT_HERE(inflate)
IS_NOT_HERE(inflateInit2_)
IS_NOT_HERE(inflateReset)
IS_NOT_HERE(cfb_folder__list)
