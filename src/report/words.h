/* words.h - the words of pages, Markdown and terminal tables, English and Chinese. A row for each: identifier, English, Chinese.
 * Both are formats of printf where the caller gives arguments, which the compiler checks for both languages. LaTeX, CSV and JSON
 * are English. Names of tasks, models, metrics, options and failure classes,
 * and what servers and models wrote, are in no language and stand as they are. Private to report. */
#ifndef CFB_REPORT_WORDS_H
#define CFB_REPORT_WORDS_H

#include <inttypes.h>

#define REPORT_LANG_ZH "zh-CN"

/* clang-format off */
#define REPORT_WORD_MAP(X) \
    /* everywhere */ \
    X(LANG, "en", REPORT_LANG_ZH) \
    X(ALL, "all", "全部") \
    X(RECOGNITION, "recognition", "识别") \
    X(CLASSIFICATION, "classification", "分类") \
    X(GENERATION, "generation", "生成") \
    X(OTHER, "other", "其他") \
    X(TASK, "task", "任务") \
    X(MD_TABLE, "| task | ", "| 任务 | ") \
    X(METRIC, "metric", "指标") \
    X(ROWS, "rows", "样本数") \
    X(COMMA, ", ", "，") \
    X(COLON, ": ", "：") \
    X(COLON_END, ":", "：") \
    X(PAREN, " (", "（") \
    X(PAREN_END, ")", "）") \
    X(SEMICOLON, "; ", "；") \
    X(STOP, ".", "。") \
    X(TO, " to ", " 至 ") \
    X(NONE, "none", "无") \
    X(INTERVAL, "interval", "置信区间") \
    X(AND_MORE, "and %" PRIu64 " more", "另有 %" PRIu64 " 个") \
    X(AND_NOT_LISTED, "and %" PRIu64 " not listed", "另有 %" PRIu64 " 个未列出") \
    /* states of a row */ \
    X(OK, "ok", "正常") \
    X(EMPTY, "empty", "空回答") \
    X(TRUNCATED, "truncated", "被截断") \
    X(FILTERED, "filtered", "被过滤") \
    X(FAILED, "failed", "失败") \
    /* overview */ \
    X(SCORES, "Scores", "评分结果") \
    X(OVERVIEW, "Overview", "总览") \
    X(ANSWERED, "answered", "已回答") \
    X(SCORE_ALL, "score (all rows)", "得分（全部样本）") \
    X(SCORE_ANSWERED, "score (answered)", "得分（已回答）") \
    X(SCORE, "score", "得分") \
    X(PRECISION, "precision", "精确率") \
    X(PREC, "prec", "精确率") \
    X(LABEL_SETS_HEAD, "label sets", "标签集合") \
    X(METRICS_BELOW, "metrics: ", "指标：") \
    X(NOTE, "note: ", "说明：") \
    X(WHERE, "where ", "条件 ") \
    X(N_OF_ROWS, ": %" PRIu64 " of %" PRIu64 " rows", "：选出 %" PRIu64 " 个（共 %" PRIu64 " 个样本）") \
    X(NO_TASKS_LINE, "no tasks", "没有任务") \
    X(ROW_FAILED, "%" PRIu64 " row failed:", "失败样本 %" PRIu64 " 个：") \
    X(ROWS_FAILED, "%" PRIu64 " rows failed:", "失败样本 %" PRIu64 " 个：") \
    X(ROW_ID, " (id ", "（编号 ") \
    X(OPTION, "option", "选项") \
    X(VALUE, "value", "取值") \
    X(RECALL, "recall", "召回率") \
    X(MEAN_OF_TASK, "mean of %zu task", "%zu 个任务的平均") \
    X(MEAN_OF_TASKS, "mean of %zu tasks", "%zu 个任务的平均") \
    X(ALL_TASKS, "all tasks", "全部任务") \
    X(NO_HEADLINE, "no headline: rows are missing", "样本缺失，不给出总分") \
    X(N_ANSWERED, "%" PRIu64 " answered", "已回答 %" PRIu64) \
    X(WITHOUT_ANSWER, "without an answer", "没有得到回答") \
    X(N_EMPTY, "%" PRIu64 " empty", "空回答 %" PRIu64) \
    X(EVERY_ROW_ANSWERED, "every row has a reply", "每个样本都有回复") \
    X(NO_TASKS, "No tasks.", "没有任务。") \
    X(SKIPPED_ROWS, "Skipped rows", "跳过的行") \
    X(SKIPPED_ROW, "%" PRIu64 " bad row skipped, in no count above", "跳过 %" PRIu64 " 个无效行，上文各项计数均不包含") \
    X(SKIPPED_MANY, "%" PRIu64 " bad rows skipped, in no count above", "跳过 %" PRIu64 " 个无效行，上文各项计数均不包含") \
    X(CONFIGURATION, "Configuration", "配置") \
    X(REPRODUCE, "Reproduce", "复现") \
    X(COMMANDS_IN_ORDER, "These commands made the run, in this order.", "本次运行依次由以下命令完成。") \
    X(INTERVAL_NOTE, "interval: %g %% confidence, of the score over all rows", "置信区间针对全部样本得分，置信水平 %g %%") \
    X(MEAN_NOTE, "; for a mean, tasks are taken as independent. ", "；计算平均值的区间时，各任务视为相互独立。") \
    X(SCORE_NOTE, "Scores over all rows count rows without an answer as 0; scores over answered rows leave them out. " \
                  "A mean over tasks weighs every task alike.", \
      "全部样本得分把没有回答的样本计为 0；已回答样本得分则不计入这些样本。对任务取平均时，各任务权重相同。") \
    /* a task */ \
    X(ROW_SCORES, "Row scores", "样本得分分布") \
    X(LABELS, "Labels", "标签") \
    X(MOST_FREQUENT, ", the %zu most frequent of ", "（最常见的 %zu 个，共 ") \
    X(MOST_FREQUENT_END, "", " 个）") \
    X(LABEL, "label", "标签") \
    X(IN_REFERENCES, "in references", "参考答案中") \
    X(IN_OUTPUTS, "in outputs", "输出中") \
    X(IN_BOTH, "in both", "两者皆有") \
    X(CONFUSED_LABELS, "Confused labels", "标签混淆") \
    X(IN_FIRST_ROWS, ", in the first %" PRIu64 " rows", "（前 %" PRIu64 " 个样本）") \
    X(CONFUSION_CORNER, "in the reference ↓ in the output →", "参考答案 ↓ 输出 →") \
    X(MISSED, "in the reference, missed", "参考答案中有而漏掉的标签") \
    X(INSTEAD, "in the output instead", "输出中代替它的标签") \
    X(OF_REFERENCE_ROWS, "of the rows with this reference", "占含此标签样本的比例") \
    X(EMPTY_TEXT, "(empty)", "（空）") \
    X(CUT, "Cut: ", "已截去：其后还有 ") \
    X(CUT_END, " more characters.", " 个字符。") \
    X(ROW, "row ", "样本 ") \
    X(ID, " <span class=\"dim\">id <bdi>", " <span class=\"dim\">编号 <bdi>") \
    X(ROW_SCORE, " score ", " 得分 ") \
    X(INPUT, "input", "输入") \
    X(REFERENCE, "reference", "参考答案") \
    X(OUTPUT, "output", "输出") \
    X(MARKED, "; marked: ", "；标出：") \
    X(NOT_IN_OUTPUT, "not in the output", "输出中没有的部分") \
    X(NOT_IN_REFERENCE, "not in the reference", "参考答案中没有的部分") \
    X(FAILED_ROWS, "Failed rows", "失败样本") \
    X(RANDOM_ROWS, "Random rows", "随机样本") \
    X(LOWEST_SCORES, "Lowest scores", "得分最低的样本") \
    X(HIGHEST_SCORES, "Highest scores", "得分最高的样本") \
    X(HOW_MANY, " (%" PRIu64 ")", "（%" PRIu64 "）") \
    X(N_ROWS, " rows, ", " 个样本，已回答 ") \
    X(ANSWERED_SCORE, " answered; score over answered rows ", " 个；已回答样本得分 ") \
    X(LABEL_SETS, "; label sets: precision ", "；标签集合：精确率 ") \
    X(AND_RECALL, ", recall ", "，召回率 ") \
    X(AND_F1, ", F1 ", "，F1 ") \
    X(MEAN_LENGTHS, "; mean length in characters: reference %.1f, output %.1f.", "；平均长度（字符）：参考答案 %.1f，输出 %.1f。") \
    X(SOURCE, "Source: ", "来源：") \
    X(UNMATCHABLE_ONE, "%" PRIu64 " reference holds what F1 cannot match: ',' or spaces inside, or no suite label", \
      "%" PRIu64 " 个参考答案含有 F1 无法匹配的内容：内部有“,”或空格，或不含测试集的标签") \
    X(UNMATCHABLE_MANY, "%" PRIu64 " references hold what F1 cannot match: ',' or spaces inside, or no suite label", \
      "%" PRIu64 " 个参考答案含有 F1 无法匹配的内容：内部有“,”或空格，或不含测试集的标签") \
    X(NO_REPLY, "%" PRIu64 " of %" PRIu64 " rows have no reply", "没有回复的样本：%" PRIu64 "（共 %" PRIu64 " 个）") \
    X(SCORE_BETWEEN, ": score between %.3f and %.3f", "，得分介于 %.3f 与 %.3f 之间") \
    X(NOT_TO_BE_QUOTED, "; not to be quoted", "；不宜引用") \
    X(MANY_EMPTY, "%" PRIu64 " of %" PRIu64 " outputs are empty and count 0; answered rows score %.3f", \
      "空输出 %" PRIu64 " 个（共 %" PRIu64 " 个样本），计为 0；已回答样本得分为 %.3f") \
    X(CALIBRATION, "%.4f above mismatched pairs (%.4f); own reference above %.1f %% of the others, nearest in %.1f %% of %zu rows " \
                   "(chance: 50 %% and %.2g %%)", \
      "比错配对（%.4f）高 %.4f；与自身参考答案的相似度平均高于其他参考答案的 %.1f %%，且有 %.1f %% 的样本与之最接近" \
      "（共 %zu 个；随机水平：50 %% 与 %.2g %%）") \
    /* figures of a task */ \
    X(HISTOGRAM, "Histogram of %" PRIu64 " row scores from 0 to 1; ", "%" PRIu64 " 个样本得分（0 至 1）的直方图；") \
    X(HISTOGRAM_MODE, "most rows, %" PRIu64 ", between %.2f and %.2f", "样本最多（%" PRIu64 " 个）的区间为 %.2f 至 %.2f") \
    X(BAR_ONE, "%.2f to %.2f: %" PRIu64 " row (%.1f %%)", "%.2f 至 %.2f：%" PRIu64 " 个样本（%.1f %%）") \
    X(BAR_MANY, "%.2f to %.2f: %" PRIu64 " rows (%.1f %%)", "%.2f 至 %.2f：%" PRIu64 " 个样本（%.1f %%）") \
    X(LENGTH_AND_SCORE, "Length and score", "长度与得分") \
    X(SCORES_BY_LENGTH, "Scores by length of the output", "不同输出长度的得分") \
    X(MEAN_BY_LENGTH, "Mean score by characters:", "各长度（字符数）的平均得分：") \
    X(FROM_LENGTH, " from %.0f: %.2f (%" PRIu64 ");", "自 %.0f 起：%.2f（%" PRIu64 " 个）；") \
    X(LENGTH_NOTE, "Characters of the output (across) and score (upwards) of answered rows; darker: more rows; the line: mean score.", \
      "已回答样本的输出字符数（横轴）与得分（纵轴）；颜色越深，样本越多；折线为平均得分。") \
    /* how a run was asked */ \
    X(ASKING, "Asking", "调用过程") \
    X(CALLS, "calls", "调用") \
    X(ASKING_LINE, "asking: ", "调用：") \
    X(CALL_IN, " call in ", " 次，用时 ") \
    X(CALLS_IN, " calls in ", " 次，用时 ") \
    X(FAILED_BEFORE, ", ", "，失败 ") \
    X(FAILED_BEHIND, " failed", " 次") \
    X(FROM_THE_CACHE, " from the cache", " 个来自缓存") \
    X(WAITED_BEFORE, ", waited ", "，限流等待 ") \
    X(LATENCY_LINE, "        latency p50 ", "      延迟 p50 ") \
    X(P99_BEFORE, ", p99 ", "，p99 ") \
    X(TOKENS_BEFORE, "; tokens in ", "；输入词元 ") \
    X(OUT_BEFORE, ", out ", "，输出词元 ") \
    X(CACHED_BEFORE, ", cached ", "，其中命中缓存 ") \
    X(A_SECOND, "/s)", " 个/秒）") \
    X(COST_BEFORE, "; cost ", "；费用 ") \
    X(LATENCY_OF_REPLIES, "latency of replies", "回复延迟") \
    X(ASKED_FOR_LINE, "Asked for ", "调用用时 ") \
    X(CALLS_PER_S, " calls/s.", " 次/秒。") \
    X(FAILED_CALLS_LINE, " Failed calls: ", "失败调用：") \
    X(PER_SECOND, " a second", " 次/秒") \
    X(TOKENS_PER_SECOND, " a second", " 个/秒") \
    X(FAILED_CALLS, "failed calls", "失败调用") \
    X(RETRY, " retry", " 次重试") \
    X(RETRIES_UNIT, " retries", " 次重试") \
    X(RETRIES, "retries", "重试") \
    X(FROM_CACHE, "from cache", "来自缓存") \
    X(WAITED, "waited", "限流等待") \
    X(TOKENS_IN, "tokens in", "输入词元") \
    X(TOKENS_OUT, "tokens out", "输出词元") \
    X(OUT, "out", "输出词元") \
    X(REASONING, "reasoning", "推理词元") \
    X(CACHED, "cached", "命中缓存的词元") \
    X(TOKENS_OUT_PER_S, "tokens out/s", "输出词元/秒") \
    X(COST, "cost", "费用") \
    X(BY_PRICE_FILE, "by the price file", "按价格文件计算") \
    X(ASKED_FOR, "asked for", "调用用时") \
    X(AT_LIMITER, " at the limiter", " 限流等待") \
    X(LATENCY_P50, "latency p50", "延迟 p50") \
    X(TTFT_P50, "first text p50", "首字延迟 p50") \
    X(P99, " p99", "（p99）") \
    X(LONGEST, "longest", "最长") \
    X(ACCOUNTS, "Calls and tokens by task", "各任务的调用与词元") \
    X(REPLIES, "replies", "回复") \
    X(LATENCY_BY_TASK, "Latency of replies by task", "各任务的回复延迟") \
    X(TTFT_BY_TASK, "Time to the first text by task", "各任务的首字延迟") \
    X(TO_FIRST_TEXT, "to the first text", "首字延迟") \
    X(BY_CLASS, "Failed calls by class", "失败调用的类别") \
    X(OVER_TIME, "Over time", "随时间变化") \
    X(FROM, "from", "起始") \
    X(IN_FLIGHT, "in flight", "在途调用") \
    X(LIMIT, "limit", "并发上限") \
    X(PHASE, "phase", "阶段") \
    X(REPLIES_PER_S, "replies/s", "回复/秒") \
    X(REFUSED, "refused", "被拒绝") \
    X(BY_LATENCY, "Replies by latency", "回复延迟的分布") \
    X(NO_REPLY_MEASURED, "No reply was measured.", "没有测得任何回复。") \
    X(ALL_FROM_CACHE, "Every reply came from the response cache.", "所有回复均来自响应缓存。") \
    X(NO_CALL, "No call was made.", "没有发出任何调用。") \
    X(ASKED_FROM, "Asked from ", "调用时间：") \
    X(PAUSES_LEFT_OUT, "; pauses of more than a minute are left out of all rates and figures.", \
      "；超过一分钟的停顿不计入任何速率和图表。") \
    X(RUN_CONFIGURATION, "Configuration of this run", "本次运行的配置") \
    X(FIGURES_IN_NUMBERS, "The figures in numbers", "图中数据") \
    /* its figures */ \
    X(S_OF_ASKING, "s of asking", "调用用时（秒）") \
    X(MIN_OF_ASKING, "min of asking", "调用用时（分）") \
    X(H_OF_ASKING, "h of asking", "调用用时（小时）") \
    X(PAUSE, "a pause is left out here", "此处略去一段停顿") \
    X(FLIGHT, "Calls in flight and the limit", "在途调用与并发上限") \
    X(UNDER_WAY_OVER, "Calls under way over ", "在 ") \
    X(FLIGHT_DESC, " of asking: at most %.1f on average of an interval; highest limit %.0f.", \
      " 调用用时内的在途调用数：时段平均最多 %.1f；并发上限最高 %.0f。") \
    X(UNDER_WAY, "calls under way", "在途调用") \
    X(LIMIT_ABOVE, "limit (above the figure)", "并发上限（超出图示范围）") \
    X(GROW, "grow", "增长") \
    X(SEARCH, "search", "搜索") \
    X(TRIM, "trim", "收缩") \
    X(HOLD, "hold", "保持") \
    X(PROBE, "probe", "试探") \
    X(FIXED, "fixed", "固定") \
    X(GROW_MEANING, "limit doubling", "上限倍增") \
    X(SEARCH_MEANING, "between good and refused", "在可行值与被拒值之间搜索") \
    X(TRIM_MEANING, "down to what brings throughput", "收缩至仍能提高吞吐量的值") \
    X(HOLD_MEANING, "holding what it found", "保持找到的值") \
    X(PROBE_MEANING, "trying a higher limit", "试探更高的上限") \
    X(FIXED_MEANING, "fixed limit", "固定上限") \
    X(RATES, "Replies and failures per second", "每秒回复数与失败数") \
    X(N_REPLIES, " replies, ", " 条回复，") \
    X(N_FAILED_CALLS, " failed calls, ", " 次失败调用，其中 ") \
    X(N_REFUSED, " of them refused for lack of capacity (429, 503). Intervals of ", " 次因容量不足被拒绝（429、503）。时段长度：") \
    X(FAILED_PER_S, "failed calls/s", "失败调用/秒") \
    X(OF_THESE_REFUSED, "of these refused (429, 503)", "其中被拒绝（429、503）") \
    X(LATENCY, "Latency over time", "延迟随时间的变化") \
    X(LATENCY_MEDIAN, "Latency of replies: median ", "回复延迟：中位数 ") \
    X(LATENCY_P99, ", 99 of 100 within ", "，第 99 百分位数 ") \
    X(LATENCY_LONGEST, ", longest ", "，最长 ") \
    X(LOG_AXIS, ". Logarithmic axis.", "。对数坐标轴。") \
    X(MEDIAN, "median of an interval", "时段中位数") \
    X(P90, "90 of 100 within", "第 90 百分位数") \
    X(REPLIES_SAMPLE, "replies (a sample)", "回复（抽样）") \
    X(QUICK_AT_FOOT, "failed calls; quick ones at the foot", "失败调用（很快失败的绘于底部）") \
    X(LATENCIES_OF, "Histogram of ", "") \
    X(LATENCIES_FROM, " latencies from ", " 个延迟的直方图，范围 ") \
    X(LATENCY_AXIS, "from the start of a call to the end of its reply", "从调用开始到回复结束") \
    /* a comparison */ \
    X(COMPARISON, "Comparison", "比较") \
    X(RUNS_ON_SAME_ROWS, "%zu runs on the same rows", "%zu 次运行，相同样本") \
    X(LEADERBOARD, "Leaderboard", "排行榜") \
    X(PLACE, "place", "名次") \
    X(RUN, "run", "运行") \
    X(MODEL, "model", "模型") \
    X(SETTING, "setting", "设置") \
    X(UNKNOWN_MODEL, "unknown model", "未知模型") \
    X(SHARED_PLACES, "Runs that the data cannot tell apart share places. Bold: not told from the best.", \
      "数据无法区分的运行并列同一名次。粗体：与最佳者无法区分。") \
    X(SCORES_AND_PLACES, "Scores and places", "得分与名次") \
    X(MEAN_OF, "mean of ", "平均：") \
    X(DIFFERENCES, "Differences %c − %c", "差值 %c − %c") \
    X(TABLE_BELOW, "The table below has the numbers.", "具体数值见下表。") \
    X(CHANGED_MOST, "Rows that changed most", "变化最大的样本") \
    X(CHANGED_ROWS, ", %" PRIu64 " rows", "，%" PRIu64 " 个样本") \
    X(P_VALUE, "p", "p 值") \
    X(HOLM, "Holm", "Holm 校正") \
    X(ROWS_WON, "rows won", "胜出样本") \
    X(LOST, "lost", "落败样本") \
    X(WON_SHORT, "won", "胜") \
    X(LOST_SHORT, "lost", "负") \
    X(SOURCE_HEAD, "source", "来源") \
    X(CHANGED_FROM_TO, "rows that changed most, %c → %c:", "变化最大的样本，%c → %c：") \
    X(CHANGED_IN_ALL, ", … (%" PRIu64 " rows)", "，……（共 %" PRIu64 " 个样本）") \
    X(BETTER, "better", "更优") \
    X(PAIR, "%c and %c", "%c 与 %c") \
    X(LESS, "%c less %c: to the right, %c is better.", "%c 减 %c：偏右表示 %c 更优。") \
    X(NOTES, "Notes", "说明") \
    X(POWER_ALL, "%c and %c on all rows: a difference of %.4f would be seen in 8 of 10 such suites", \
      "%c 与 %c（全部样本）：若真实差值为 %.4f，10 个同类测试集中有 8 个能够检出") \
    X(POWER_THESE, "%c and %c on these rows: a difference of %.4f would be seen in 8 of 10 such suites", \
      "%c 与 %c（这些样本）：若真实差值为 %.4f，10 个同类测试集中有 8 个能够检出") \
    X(ROWS_NEEDED, "; one of %.4f needs %.0f rows (now %" PRIu64 ")", "；检出 %.4f 的差值需要 %.0f 个样本（现有 %" PRIu64 " 个）") \
    X(LEFT_OUT_APART, "%" PRIu64 " rows left out that not every run has", "略去并非每次运行都有的样本 %" PRIu64 " 个") \
    X(LEFT_OUT_FAILED, "%" PRIu64 " rows left out that failed in a run", "略去在某次运行中失败的样本 %" PRIu64 " 个") \
    X(DIFFERENT_INPUTS, "%" PRIu64 " different inputs", "%" PRIu64 " 个不同的输入") \
    X(CORPUS_SCORE, "a corpus score: the mean of the rows' scores is compared in its place", \
      "语料级得分：改为比较各样本得分的平均值") \
    X(NOT_COMPARED, "not compared, because not every run has it: ", "未作比较（并非每次运行都有）：") \
    X(COMPARE_NOTE, "intervals: %g %%; Holm: p adjusted for all comparisons here; better: where Holm's p is below %.4g", \
      "置信区间：%g %%；Holm 校正：对本页全部比较校正后的 p 值；更优：校正后的 p 值小于 %.4g") \
    X(GATE_FAILED, "FAIL ", "未通过 ") \
    X(GATE_PASSED, "pass ", "通过 ") \
    X(GATE_RUN, " (%c: ", "（%c：") \
    X(GATE_TOO_FEW, "too few rows to tell)", "样本太少，无法判断）") \
    X(GATE_DROP, "%.4f)", "%.4f）")
/* clang-format on */

#define REPORT_X(ID, en, zh)                                         \
    __attribute__((unused)) static const char REPORT_EN_##ID[] = en; \
    __attribute__((unused)) static const char REPORT_ZH_##ID[] = zh;
REPORT_WORD_MAP(REPORT_X)
#undef REPORT_X

/* The word in the language of a report_out. */
#define WORD(o, ID) ((o)->zh ? REPORT_ZH_##ID : REPORT_EN_##ID)

#endif
