/* omp.h - OpenMP's run-time calls, or what they mean with one thread (SERIAL builds). */
#ifndef CFB_BASE_OMP_H
#define CFB_BASE_OMP_H

#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_thread_num(void) { return 0; }
static inline int omp_get_num_threads(void) { return 1; }
static inline int omp_get_num_procs(void) { return 1; }
static inline int omp_get_level(void) { return 0; }
static inline int omp_get_max_active_levels(void) { return 1; }
static inline int omp_get_max_threads(void) { return 1; }
static inline void omp_set_num_threads(int n) { (void)n; }
static inline void omp_set_max_active_levels(int n) { (void)n; }
static inline void omp_set_dynamic(int on) { (void)on; }
#endif

#endif
