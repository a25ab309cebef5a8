/* cli_system.c - signals, clock, CPUs, memory: the little the program asks of the system itself. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t caught;
static volatile sig_atomic_t mode;

static void on_signal(int sig) {
    if (mode == CLI_INTERRUPT_EXITS || (mode == CLI_INTERRUPT_STOPS && caught != 0)) {
        _exit(128 + sig);
    }
    caught = sig;
}

void cli_interrupt_set(cli_on_interrupt what) {
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
    mode = (sig_atomic_t)what;
    for (size_t i = 0; i < CLI_COUNT(SIGNALS); i++) {
        struct sigaction old, action;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal; /* no SA_RESTART: a waiting read must end */
        sigemptyset(&action.sa_mask);
        /* One that the parent ignores (nohup, a background job of sh) stays ignored. */
        if (sigaction(SIGNALS[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(SIGNALS[i], &action, NULL);
        }
    }
}

int cli_interrupted(void) {
    return caught;
}

void cli_interrupt_clear(void) {
    caught = 0;
}

void cli_system_init(void) {
    /* A model file opened as descriptor 1 would receive what is printed: keep 0 to 2 taken. */
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            int null = open("/dev/null", O_RDONLY);
            if (null >= 0 && null != fd) {
                close(null);
            }
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write, not a death */
    cli_interrupt_set(CLI_INTERRUPT_EXITS);
    /* Only LC_CTYPE, for the line editor: numbers keep their decimal point. */
    (void)setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
}

uint32_t cli_cpu_count(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n < CLI_THREADS_MAX ? (uint32_t)n : CLI_THREADS_MAX;
}

uint64_t cli_peak_bytes(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    if (f == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoull(line + 6, NULL, 10);
            break;
        }
    }
    fclose(f);
    return (uint64_t)kib * 1024;
}

double cli_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
