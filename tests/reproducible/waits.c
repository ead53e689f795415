/* Waits in every way that names a moment of the wall clock, a tenth of a second each; prints how often that took less.
 * With a clock that is a year ahead and waits that are not shifted, it would not end. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec soon(clockid_t clock) {
  struct timespec moment;
  clock_gettime(clock, &moment);
  moment.tv_nsec += 100000000;
  moment.tv_sec += moment.tv_nsec / 1000000000;
  moment.tv_nsec %= 1000000000;
  return moment;
}

static int too_early(struct timespec until) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec < until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

/* A lock that its holder asks for again is refused at once: another thread has to ask. */
static void *locks(void *early) {
  struct timespec end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  pthread_mutex_timedlock(&mutex, &until);
  *(int *)early += too_early(end);
  end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  pthread_rwlock_timedrdlock(&lock, &until);
  *(int *)early += too_early(end);
  end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  pthread_rwlock_timedwrlock(&lock, &until);
  *(int *)early += too_early(end);
  return NULL;
}

int main(void) {
  int early = 0;
  pthread_t thread;
  pthread_mutex_lock(&mutex);
  pthread_rwlock_wrlock(&lock);
  pthread_create(&thread, NULL, locks, &early);
  pthread_join(thread, NULL);

  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  struct timespec end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  pthread_cond_timedwait(&condition, &mutex, &until);
  early += too_early(end);

  pthread_cond_t monotonic;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&monotonic, &attributes);
  end = until = soon(CLOCK_MONOTONIC);
  pthread_cond_timedwait(&monotonic, &mutex, &until);
  early += too_early(end);

  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  sem_timedwait(&semaphore, &until);
  early += too_early(end);

  end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
  early += too_early(end);

  int word = 0, operation = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  end = soon(CLOCK_MONOTONIC), until = soon(CLOCK_REALTIME);
  syscall(SYS_futex, &word, operation, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY);
  early += too_early(end);

  printf("%d\n", early);
  return 0;
}
