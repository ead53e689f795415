/* Shifts the wall clock of every dynamically linked program by a fixed number of seconds, for the reproducibility tests.
 *
 *     cc -shared -fPIC -O2 -Wall -Wextra -o clock.so clock.c
 *     LD_PRELOAD=$PWD/clock.so CSIGN_CLOCK_OFFSET=-31536000 date
 *
 * The offset comes from CSIGN_CLOCK_OFFSET or, where that is not set (a build that clears its environment), from the
 * file /etc/csign-clock-offset; /etc/ld.so.preload loads the shim there. Without either the clock is the real one.
 *
 * Overridden:
 *   clock_gettime (CLOCK_REALTIME, _COARSE, _TAI), gettimeofday, time, timespec_get, ftime: what a program reads;
 *   pthread_cond_timedwait, pthread_mutex_timedlock, pthread_rwlock_timed{rd,wr}lock, sem_timedwait, clock_nanosleep:
 *   they wait until a time that the program computed from the shifted clock, and a program whose clock is a year ahead
 *   would wait a year. (A Java machine waits so.)
 *   syscall, for a futex that waits until a time of the wall clock, as Abseil's locks do: with a clock that is behind they
 *   would wait in a loop.
 * Not shifted: CLOCK_MONOTONIC and its kin, which have no date; the times of files, which the kernel sets; programs that
 * are linked statically or ask the kernel themselves, as those written in Go do. x86-64 only.
 *
 * Why not libfaketime: it looks the real functions up with dlsym at the first call, and dlsym may allocate. rustc's
 * allocator asks for the time while it holds its own lock, so that rustc deadlocks. Here the kernel is asked directly and
 * nothing allocates, locks, or needs a constructor to have run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timeb.h>
#include <time.h>
#include <unistd.h>

#define OFFSET_FILE "/etc/csign-clock-offset"
/* No machine has been up for this many seconds (30 years): an absolute time above it is a date. */
#define EARLIEST_DATE 946684800L

/* The C library's `syscall` is overridden below. */
static long ask(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long result = number;
  __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  if (result > -4096L && result < 0) {
    errno = (int)-result;
    return -1;
  }
  return result;
}

/* Decimal seconds with an optional sign; anything after them is ignored. */
static long parse(const char *text) {
  long value = 0;
  int negative = *text == '-';
  if (*text == '-' || *text == '+') text++;
  for (; *text >= '0' && *text <= '9' && value < 100000000000L; text++) value = value * 10 + (*text - '0');
  return negative ? -value : value;
}

static long read_offset(void) {
  const char *variable = getenv("CSIGN_CLOCK_OFFSET");
  char text[32];
  long length = -1;
  if (variable) return parse(variable);
  int file = (int)ask(SYS_openat, AT_FDCWD, (long)OFFSET_FILE, O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (file < 0) return 0;
  length = ask(SYS_read, file, (long)text, sizeof text - 1, 0, 0, 0);
  ask(SYS_close, file, 0, 0, 0, 0, 0);
  text[length > 0 ? length : 0] = 0;
  return parse(text);
}

/* Read once. Two threads that come first at the same time read the same. */
static long offset(void) {
  static long cached;
  static int known;
  if (!__atomic_load_n(&known, __ATOMIC_ACQUIRE)) {
    int saved = errno;
    __atomic_store_n(&cached, read_offset(), __ATOMIC_RELAXED);
    __atomic_store_n(&known, 1, __ATOMIC_RELEASE);
    errno = saved;
  }
  return __atomic_load_n(&cached, __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (ask(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0)) return -1;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI) now->tv_sec += offset();
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  if (ask(SYS_gettimeofday, (long)now, (long)zone, 0, 0, 0, 0)) return -1;
  now->tv_sec += offset();
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME_COARSE, &now)) return -1;
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
  return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

int ftime(struct timeb *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  *out = (struct timeb){.time = now.tv_sec, .millitm = (unsigned short)(now.tv_nsec / 1000000)};
  return 0;
}

/* The same moment on the kernel's clock. A condition may wait on the monotonic clock, whose times are no dates. */
static struct timespec real(const struct timespec *until, clockid_t *clock) {
  struct timespec moment = *until;
  *clock = until->tv_sec < EARLIEST_DATE ? CLOCK_MONOTONIC : CLOCK_REALTIME;
  if (*clock == CLOCK_REALTIME) moment.tv_sec -= offset();
  return moment;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  clockid_t clock;
  struct timespec moment = real(until, &clock);
  return pthread_cond_clockwait(condition, mutex, clock, &moment);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
  clockid_t clock;
  struct timespec moment = real(until, &clock);
  return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, &moment);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until) {
  clockid_t clock;
  struct timespec moment = real(until, &clock);
  return pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, &moment);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until) {
  clockid_t clock;
  struct timespec moment = real(until, &clock);
  return pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, &moment);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  clockid_t clock;
  struct timespec moment = real(until, &clock);
  return sem_clockwait(semaphore, CLOCK_REALTIME, &moment);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  struct timespec moment = *time;
  int saved = errno, failed;
  if ((flags & TIMER_ABSTIME) && clock == CLOCK_REALTIME) moment.tv_sec -= offset();
  failed = ask(SYS_clock_nanosleep, clock, flags, (long)&moment, (long)left, 0, 0) ? errno : 0;
  errno = saved;
  return failed;
}

long syscall(long number, ...) {
  va_list list;
  struct timespec moment;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
  int operation = (int)b & FUTEX_CMD_MASK;
  /* Only these take a moment rather than a length of time. */
  if (number == SYS_futex && (b & FUTEX_CLOCK_REALTIME) && d &&
      (operation == FUTEX_WAIT_BITSET || operation == FUTEX_WAIT_REQUEUE_PI || operation == FUTEX_LOCK_PI2)) {
    moment = *(const struct timespec *)d;
    moment.tv_sec -= offset();
    d = (long)&moment;
  }
  return ask(number, a, b, c, d, e, f);
}
